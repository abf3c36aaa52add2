"""Nearest vectors against brute force, exactly and by faiss; the miner over a tiny encoder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.candidates.mining import nearest
from bistill.candidates.mining.dense import DenseMiner
from bistill.models.bi_encoder import BiEncoder
from bistill.models.settings import EncoderStart

WORDS = "file list set map tree 서울 부산 날씨 red"
POOL = [f"{word} of the {number}" for number, word in enumerate(WORDS.split())]
QUERIES = ["read a file", "서울 날씨", "sort"]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clustered(count: int, asked: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    centres = unit(random.standard_normal((count // 40, 24)))

    def around(size: int) -> np.ndarray:
        return unit(centres[random.integers(len(centres), size=size)] + 0.1 * random.standard_normal((size, 24)))

    return around(asked), around(count)


def miner(model: Path, batch_size: int = 4, **settings: Any) -> DenseMiner:
    return DenseMiner(
        QUERIES, POOL, EncoderStart(str(model), **{"precision": "fp32", **settings}), batch_size=batch_size
    )


@pytest.mark.parametrize("depth", [1, 5, 20])
def test_exact_equals_brute_force(depth: int) -> None:
    queries, documents = clustered(400, 30)
    expected = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :depth]
    assert np.array_equal(nearest.nearest(queries, documents, depth), expected)


def test_faiss_finds_what_the_exact_product_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, documents = clustered(4_000, 50)
    exact = nearest.nearest(queries, documents, 20)
    monkeypatch.setattr(nearest, "APPROXIMATE_FROM", 4_000)
    monkeypatch.setattr(nearest, "APPROXIMATE_FROM_QUERIES", 50)
    monkeypatch.setattr(nearest, "exact", None)
    monkeypatch.setattr(nearest, "PROBED_SHARE", 0.25)
    monkeypatch.setattr(nearest, "SEARCHED_AT_ONCE", 16)
    found = nearest.nearest(queries, documents, 20)
    assert np.mean([np.isin(one, other).mean() for one, other in zip(exact, found, strict=True)]) > 0.97
    assert np.array_equal(found, nearest.nearest(queries, documents, 20))
    assert all(len(set(row.tolist())) == 20 for row in found)


def test_with_every_cell_probed_faiss_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, documents = clustered(2_000, 50)
    exact = nearest.nearest(queries, documents, 10)
    monkeypatch.setattr(nearest, "APPROXIMATE_FROM", 1)
    monkeypatch.setattr(nearest, "APPROXIMATE_FROM_QUERIES", 1)
    monkeypatch.setattr(nearest, "PROBED_SHARE", 1.0)
    assert np.array_equal(nearest.nearest(queries, documents, 10), exact)


def test_the_order_among_candidates_is_that_of_the_exact_cosine() -> None:
    documents = unit(np.array([[1, 0], [1, 1], [0, 1], [1, 0], [-1, 0], [3, 1]], dtype=np.float32))
    query = np.array([1, 0], dtype=np.float32)
    assert nearest.reordered(query, documents, np.array([4, 3, 2, 5, 0])).tolist() == [0, 3, 5, 2, 4]


@pytest.mark.parametrize("start", [1, 100])
def test_rows_end_with_minus_one_where_there_is_no_more(monkeypatch: pytest.MonkeyPatch, start: int) -> None:
    monkeypatch.setattr(nearest, "APPROXIMATE_FROM", start)
    monkeypatch.setattr(nearest, "APPROXIMATE_FROM_QUERIES", 1)
    monkeypatch.setattr(nearest, "PROBED_SHARE", 1.0)
    queries, documents = clustered(80, 3)
    found = nearest.nearest(queries, documents[:5], 7)
    assert found.dtype == np.int64
    assert np.array_equal(found[:, :5], np.argsort(-(queries @ documents[:5].T), axis=1))
    assert (found[:, 5:] == -1).all()


def test_no_documents_and_no_queries() -> None:
    nothing = np.empty((0, 8), dtype=np.float32)
    assert nearest.nearest(np.eye(2, 8, dtype=np.float32), nothing, 2).tolist() == [[-1, -1], [-1, -1]]
    assert nearest.nearest(nothing, np.eye(2, 8, dtype=np.float32), 2).shape == (0, 2)


def test_miner_equals_brute_force_in_the_order_of_the_query_ids(tiny_encoder: Path) -> None:
    encoder = BiEncoder.load(str(tiny_encoder), query_prompt="how to ", document_prompt="")
    cosines = encoder.encode_queries(QUERIES) @ encoder.encode_documents(POOL).T
    found = miner(tiny_encoder, query_prompt="how to ", document_prompt="").mine(np.array([2, 0, 2]), 4)
    assert np.array_equal(found, np.argsort(-cosines[[2, 0, 2]], axis=1)[:, :4])


def test_the_pool_is_encoded_once(tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = miner(tiny_encoder).mine(np.arange(3), 4)
    monkeypatch.setattr(BiEncoder, "document_windows", None)
    assert np.array_equal(miner(tiny_encoder).mine(np.arange(3), 4), first)


def test_fingerprint_tells_models_and_settings_apart(tiny_encoder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_encoder, other)
    assert miner(other).fingerprint() == miner(tiny_encoder).fingerprint()
    changes: list[dict[str, object]] = [{"max_len": 8}, {"query_prompt": "q: "}, {"document_prompt": "d: "}]
    marks = {miner(tiny_encoder, **change).fingerprint() for change in [{}, *changes, {"precision": "bf16"}]}
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    marks.add(miner(other).fingerprint())
    assert len(marks) == 6
    assert miner(tiny_encoder, batch_size=1).fingerprint() in marks


def test_a_family_by_its_folder_name_has_its_own_fingerprint(tiny_encoder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_encoder, tmp_path / "multilingual-e5-small")
    assert miner(tmp_path / "multilingual-e5-small").fingerprint() != miner(tiny_encoder).fingerprint()
