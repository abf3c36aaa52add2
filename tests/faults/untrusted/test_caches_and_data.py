"""A pickle bomb in a cache or among the data never runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bistill import artifacts, cache_folder
from bistill.candidates.mining.kept import kept
from bistill.candidates.mining.lexical import LexicalMiner
from bistill.data.store import cache
from bistill.data.store.opening import load_documents
from bistill.errors import ArtifactError, BistillError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute.vectors import cached_vectors, vectors_key
from tests.faults.untrusted.bombs import BOMBED, TEXTS, bomb, bombed_array


def encoder_and_cache(tiny_encoder: Path) -> tuple[BiEncoder, Path]:
    encoder = BiEncoder.load(str(tiny_encoder))
    return encoder, cache_folder.cache_dir() / "index" / vectors_key(encoder, TEXTS)


@pytest.mark.parametrize("array", [True, False])
def test_cached_vectors_with_a_bomb_are_made_again(
    array: bool, tiny_encoder: Path, marker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, folder = encoder_and_cache(tiny_encoder)
    expected = np.array(cached_vectors(encoder, TEXTS))
    (folder / "vectors.npy").write_bytes(bombed_array(marker) if array else bomb(marker, "pickle"))
    manifest = artifacts.read_json(folder / "manifest.json")
    manifest["sha256"] = artifacts.sha256_of_file(folder / "vectors.npy")  # whoever lays a bomb can write this, too
    artifacts.write_json(folder / "manifest.json", manifest)
    np.testing.assert_array_equal(cached_vectors(encoder, TEXTS), expected)
    assert f"{folder}: the cached index is no array of numbers" in capsys.readouterr().err


@pytest.mark.parametrize("array", [True, False])
def test_cached_answers_of_a_miner_with_a_bomb_are_refused(array: bool, marker: Path) -> None:
    miner = LexicalMiner(TEXTS, TEXTS, tokens="words")
    data: Any = SimpleNamespace(fingerprint="data")

    class Corpus(list[str]):
        def fingerprint(self) -> str:
            return "corpus"

    corpus: Any = Corpus(TEXTS)
    expected = np.array(kept(miner, data, corpus, np.arange(3), 2))
    (file,) = cache_folder.cache_dir().rglob("mined.npy")
    file.write_bytes(bombed_array(marker) if array else bomb(marker, "pickle"))
    np.testing.assert_array_equal(kept(miner, data, corpus, np.arange(3), 2), expected)  # by its checksum
    file.write_bytes(bombed_array(marker) if array else bomb(marker, "pickle"))
    manifest = artifacts.read_json(file.parent / "manifest.json")
    manifest["files"][file.name] = {"bytes": file.stat().st_size, "sha256": artifacts.sha256_of_file(file)}
    artifacts.write_json(file.parent / "manifest.json", manifest)
    assert cache.entry_folder(manifest["key"]) == file.parent
    with pytest.raises(ArtifactError, match="the file is no array of numbers") as error:
        kept(miner, data, corpus, np.arange(3), 2)
    assert error.value.where == str(file)


@pytest.mark.parametrize("kind", BOMBED)
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_a_bomb_as_data(ending: str, kind: str, tmp_path: Path, marker: Path) -> None:
    file = tmp_path / f"documents.{ending}"
    file.write_bytes(bomb(marker, kind))
    with pytest.raises(BistillError, match=r"documents\."):
        load_documents(str(file))
