"""Vectors in the cache, made by a crew: the file of one process, and what becomes of one that cannot be finished."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from bistill import artifacts, cache_folder, distributed
from bistill.errors import ModelError, ProcessError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import crewed
from bistill.models.compute.vectors import cached_vectors
from bistill.models.settings import EncoderStart
from bistill.models.unloaded import UnloadedEncoder
from tests.clusters import cluster
from tests.conftest import WORDS
from tests.faults import hindered

TEXTS = [f"{WORDS[number % 40]} of {WORDS[number % 7]} {number}" for number in range(100)]


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with cluster(tmp_path_factory.mktemp("cluster")) as address, distributed.hired(address):
        yield


def entry() -> Path:
    (folder,) = (cache_folder.cache_dir() / "index").iterdir()
    return folder


@pytest.mark.slow
def test_the_file_has_the_bytes_of_one_process_and_the_driver_no_weights(
    crew: None, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_encoder.parent)  # where no worker is
    monkeypatch.setattr(UnloadedEncoder, "loaded", property(lambda _: pytest.fail("the driver needs no weights")))
    start = EncoderStart(tiny_encoder.name, max_len=8, layers=1, query_prompt="how to ", pooling="cls")
    found = cached_vectors(UnloadedEncoder(start), TEXTS, kind="query", batch_size=2)
    alone = BiEncoder.start(start).encode_queries(TEXTS, batch_size=2)
    assert found.tobytes() == alone.tobytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "crew", lambda: None)
        again = cached_vectors(BiEncoder.start(start), TEXTS, kind="query", batch_size=2)
    assert isinstance(again, np.memmap) and again.filename == found.filename  # type: ignore[attr-defined]


@pytest.mark.slow
def test_windows_that_fail_end_it_and_it_goes_on_behind_those_before(
    crew: None, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(crewed, "encoded", hindered.encoded)
    poison = tmp_path / "poison"
    poison.touch()
    encoder = BiEncoder.load(str(tiny_encoder))
    texts = [*TEXTS[:40], f"poison {poison}", *TEXTS[40:]]
    with pytest.raises(ProcessError, match="documents 32 to 47: these texts cannot be encoded") as caught:
        cached_vectors(encoder, texts, batch_size=1)
    assert "cannot be encoded: KeyError: 'poison'" in str(caught.value)
    assert sorted(path.name for path in entry().iterdir()) == [
        artifacts.UNFINISHED_RECORD,
        artifacts.UNFINISHED_VECTORS,
        artifacts.VECTORS_LOCK,
    ]
    poison.unlink()
    capsys.readouterr()
    found = cached_vectors(encoder, texts, batch_size=1)
    assert "documents: going on from text 32 of 101" in capsys.readouterr().err
    assert found.tobytes() == encoder.encode_documents(texts, batch_size=1).tobytes()


@pytest.mark.slow
def test_numbers_that_are_none_are_told_as_in_one_process(crew: None, tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = BiEncoder.load(str(tiny_encoder))
    encoder.model.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    weights = load_file(tmp_path / artifacts.WEIGHTS_FILE)
    name = "embeddings.word_embeddings.weight"
    weights[name][encoder.tokenizer.convert_tokens_to_ids("tree")] = float("nan")
    save_file(weights, tmp_path / artifacts.WEIGHTS_FILE, metadata={"format": "pt"})
    with pytest.raises(ProcessError, match="documents 16 to 19: these texts cannot be encoded") as caught:
        cached_vectors(
            UnloadedEncoder(EncoderStart(str(tmp_path))), [*TEXTS[:8], *TEXTS[:8], "tree", *TEXTS[:3]], batch_size=1
        )
    assert "the model gives NaN or infinite values" in str(caught.value)


def test_a_worker_refuses_another_model_than_the_drivers(tiny_encoder: Path) -> None:
    encoder = UnloadedEncoder(EncoderStart(str(tiny_encoder), max_len=16))
    assert encoder.made is not None
    expected = crewed.decisive(encoder, "of other files")
    with pytest.raises(ModelError, match=f"{tiny_encoder} on .*: not the model of the driver: other files, pooling\n"):
        crewed.made_alike(encoder.made, {**expected, "pooling": "other"})
