"""Exact search against a full sort."""

from __future__ import annotations

import numpy as np
import pytest

from bistill.evaluation.measures import exact


@pytest.mark.parametrize("depth", [1, 7, 40, 99])
def test_top_documents_equals_a_full_sort(monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    monkeypatch.setattr(exact, "QUERY_BLOCK", 4)
    monkeypatch.setattr(exact, "DOCUMENT_BLOCK", 9)
    random = np.random.default_rng(3)
    # Small integers: products are exact and many scores are equal, also where the cut falls.
    queries = random.integers(-2, 3, (11, 3)).astype(np.float32)
    documents = random.integers(-2, 3, (40, 3)).astype(np.float32)
    done: list[int] = []
    ids, scores = exact.top_documents(queries, documents, depth, advance=done.append)
    full = queries @ documents.T
    expected = np.argsort(-full, axis=1, kind="stable")[:, :depth]
    assert np.array_equal(ids, expected)
    assert np.array_equal(scores, np.take_along_axis(full, expected, 1))
    assert done == [4, 4, 3]


def test_top_documents_of_none() -> None:
    ids, scores = exact.top_documents(np.ones((2, 3), np.float32), np.empty((0, 3), np.float32), 5)
    assert ids.shape == scores.shape == (2, 0)
