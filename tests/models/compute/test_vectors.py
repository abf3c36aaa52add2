"""Vectors of documents in the cache: what is in them, when they are made again, how they are written."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bistill import artifacts, cache_folder
from bistill.data.store.texts import fingerprint_of_texts
from bistill.errors import ArtifactError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute.vectors import cached_vectors, vectors_key

WORDS = "file list set map tree 서울 부산 날씨 red"
DOCUMENTS = [f"{word} of the {number}" for number, word in enumerate(WORDS.split())]
MANY = [f"{text} {number}" for number in range(5) for text in DOCUMENTS]
UNFINISHED = [artifacts.UNFINISHED_RECORD, artifacts.UNFINISHED_VECTORS]
FINISHED = [artifacts.MANIFEST, artifacts.VECTORS_LOCK, artifacts.VECTORS_FILE]


@pytest.fixture
def encoder(tiny_encoder: Path) -> BiEncoder:
    return BiEncoder.load(str(tiny_encoder))


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of documents of each window that was encoded."""
    counts: list[int] = []
    original = BiEncoder.document_windows

    def counted(self: BiEncoder, texts: Iterable[str], **settings: object) -> Iterator[np.ndarray]:
        for window in original(self, texts, **settings):  # type: ignore[arg-type]
            counts.append(len(window))
            yield window

    monkeypatch.setattr(BiEncoder, "document_windows", counted)
    return counts


def entry() -> Path:
    (folder,) = (cache_folder.cache_dir() / "index").iterdir()
    return folder


def test_cached_equal_encoded_and_are_made_once(encoder: BiEncoder, windows: list[int]) -> None:
    first = cached_vectors(encoder, DOCUMENTS)
    again = cached_vectors(encoder, DOCUMENTS)
    assert windows == [len(DOCUMENTS)]
    assert isinstance(again, np.memmap)
    assert again.dtype == np.float32
    assert np.array_equal(first, again)
    np.testing.assert_array_equal(again, encoder.encode_documents(DOCUMENTS))


def test_windows_are_written_one_behind_the_other(encoder: BiEncoder, windows: list[int]) -> None:
    vectors = cached_vectors(encoder, MANY, batch_size=1)
    assert windows == [16, 16, 13]
    np.testing.assert_array_equal(vectors, encoder.encode_documents(MANY, batch_size=1))
    np.testing.assert_allclose(vectors, encoder.encode_documents(MANY), atol=1e-6)


def test_other_documents_or_settings_have_another_key(encoder: BiEncoder) -> None:
    keys = {vectors_key(encoder, DOCUMENTS), vectors_key(encoder, DOCUMENTS[:-1])}
    encoder.max_len -= 1
    keys.add(vectors_key(encoder, DOCUMENTS))
    encoder.prompts = encoder.prompts._replace(document="passage: ")
    keys.add(vectors_key(encoder, DOCUMENTS))
    encoder.start_layers = [0]
    keys.add(vectors_key(encoder, DOCUMENTS))
    assert len(keys) == 5
    assert fingerprint_of_texts(["ab", "c"]) != fingerprint_of_texts(["a", "bc"])


@pytest.mark.parametrize("damage", ["torn", "changed", "no vectors", "no manifest", "manifest torn"])
def test_damaged_vectors_are_made_again(encoder: BiEncoder, windows: list[int], damage: str) -> None:
    expected = np.array(cached_vectors(encoder, DOCUMENTS))
    vectors, manifest = entry() / artifacts.VECTORS_FILE, entry() / artifacts.MANIFEST
    content = vectors.read_bytes()
    if damage == "torn":
        vectors.write_bytes(content[:-100])
    elif damage == "changed":
        vectors.write_bytes(content[:-4] + b"\x00\x00\x80\x3f")
    elif damage == "no vectors":
        vectors.unlink()
    elif damage == "no manifest":
        manifest.unlink()
    else:
        manifest.write_text(manifest.read_text(encoding="utf-8")[:20], encoding="utf-8")
    assert np.array_equal(cached_vectors(encoder, DOCUMENTS), expected)
    assert len(windows) == 2


def test_an_encoding_that_breaks_off_goes_on(
    encoder: BiEncoder, windows: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = BiEncoder.document_windows

    def broken(self: BiEncoder, texts: Iterable[str], **settings: object) -> Iterator[np.ndarray]:
        yield from itertools.islice(original(self, texts, **settings), 2)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(BiEncoder, "document_windows", broken)
        cached_vectors(encoder, MANY, batch_size=1)
    assert "documents: broken off after 32 of 45; the same command goes on" in capsys.readouterr().err
    assert sorted(file.name for file in entry().iterdir()) == [*UNFINISHED, artifacts.VECTORS_LOCK]
    vectors = cached_vectors(encoder, MANY, batch_size=1)
    assert windows == [16, 16, 13]
    assert "documents: going on from text 32 of 45" in capsys.readouterr().err
    np.testing.assert_array_equal(vectors, encoder.encode_documents(MANY, batch_size=1))
    assert sorted(file.name for file in entry().iterdir()) == FINISHED


def test_training_mode_is_put_back_between_windows(encoder: BiEncoder) -> None:
    encoder.model.train()
    for _ in encoder.document_windows(["red", "blue"] * 10, batch_size=1):
        assert encoder.model.training


def test_no_documents(encoder: BiEncoder) -> None:
    assert cached_vectors(encoder, []).shape == (0, 32)


def test_vectors_of_a_cache_that_nobody_can_write_are_used_where_they_are_whole(
    encoder: BiEncoder, windows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = cached_vectors(encoder, DOCUMENTS).copy()

    def refuse(folder: Path) -> None:
        raise cache_folder.cache_unwritable(folder, PermissionError(13, "Permission denied"))

    monkeypatch.setattr(cache_folder, "check_cache", refuse)
    np.testing.assert_array_equal(cached_vectors(encoder, DOCUMENTS), kept)
    assert windows == [len(DOCUMENTS)]
    with pytest.raises(ArtifactError, match=r"the cache folder cannot be written \(Permission denied\)"):
        cached_vectors(encoder, DOCUMENTS[1:])
