"""A teacher in a program: relevance of pairs, of a Cross-Encoder and of a causal re-ranker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bistill
from bistill.errors import ModelError, OptionError
from bistill.models import rerankers

QUERIES, DOCUMENTS = ["read a file", "red"], ["file of the list", "red tree", "blue map"]


@pytest.mark.parametrize("model", ["tiny_teacher", "tiny_causal_reranker"])
def test_scores_are_the_sigmoid_of_the_logits(model: str, request: pytest.FixtureRequest) -> None:
    folder = str(request.getfixturevalue(model))
    teacher = bistill.load_teacher(folder, precision="fp32", device="cpu")
    pairs = [(query, document) for query in QUERIES for document in DOCUMENTS]
    logits = rerankers.load(folder, precision="fp32").score(pairs).reshape(2, 3)
    expected = 1 / (1 + np.exp(-logits.astype(np.float64)))
    found = teacher.score(QUERIES, DOCUMENTS)
    assert found.shape == (2, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(teacher.score(QUERIES[1], DOCUMENTS), expected[1], atol=1e-6)
    assert teacher.score([], DOCUMENTS).shape == (0, 3) and teacher.score(QUERIES[0], []).shape == (0,)


def test_what_is_no_list_of_documents_is_refused(tiny_teacher: Path) -> None:
    teacher = bistill.Teacher(str(tiny_teacher))
    with pytest.raises(OptionError) as caught:
        teacher.score(QUERIES, "red tree")
    assert (caught.value.where, caught.value.todo) == ("`documents`", "give [text]")


def test_a_model_without_a_head_is_no_teacher(tiny_encoder: Path) -> None:
    with pytest.raises(ModelError, match="no trained Cross-Encoder"):
        bistill.load_teacher(str(tiny_encoder))
