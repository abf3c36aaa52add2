"""The distance from an embedding teacher's vectors: by hand, against the vectors themselves, and what must not change
it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bistill import losses
from bistill.errors import OptionError

COSINE = torch.zeros(2, 3, dtype=torch.float64)
OWN = torch.tensor([0.5, 0.9, 1.0, -1.0, 0.3], dtype=torch.float64)


def scores(*own: torch.Tensor) -> losses.ListScores:
    nothing = torch.zeros_like(COSINE, dtype=torch.bool)
    return losses.ListScores(COSINE, COSINE, COSINE, nothing, nothing, own_cosines=own)


def test_two_queries_and_three_documents_by_hand() -> None:
    # Squared distances: 1.0 and 0.2 of the queries; 0.0, 4.0 and 1.4 of the documents.
    found = losses.vector_distance(OWN[:2], OWN[2:])
    assert found.item() == pytest.approx((0.6 + 1.8) / 2, abs=1e-12)


def test_it_is_the_mean_squared_distance_of_unit_vectors() -> None:
    generator = np.random.default_rng(0)
    student, teacher = (generator.normal(size=(7, 12)) for _ in range(2))
    student, teacher = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (student, teacher))
    squared = ((student - teacher) ** 2).sum(axis=1)
    own = torch.from_numpy((student * teacher).sum(axis=1))
    expected = (squared[:3].mean() + squared[3:].mean()) / 2
    assert losses.vector_distance(own[:3], own[3:]).item() == pytest.approx(expected, abs=1e-12)


def test_both_sides_count_the_same_however_many_documents_there_are() -> None:
    queries, documents = OWN[:2].clone().requires_grad_(), OWN[2:].repeat(4).requires_grad_()
    found = losses.vector_distance(queries, documents)
    torch.testing.assert_close(found, losses.vector_distance(OWN[:2], OWN[2:]))
    found.backward()
    assert queries.grad is not None and documents.grad is not None
    assert queries.grad.tolist() == [-0.5, -0.5] and documents.grad.tolist() == [-1 / 12] * 12


def test_the_object_is_the_mean_over_teachers_and_needs_no_label() -> None:
    loss, other = losses.VectorDistance(weight=5), OWN.flip(0)
    each = [losses.vector_distance(own[:2], own[2:]) for own in (OWN, other)]
    torch.testing.assert_close(loss(scores(OWN, other)), (each[0] + each[1]) / 2)
    terms = losses.weighted_sum([loss], scores(OWN))
    torch.testing.assert_close(terms, {"loss": 5 * each[0], "vector_distance": each[0]})


def test_without_a_teacher_there_is_nothing_to_learn() -> None:
    with pytest.raises(
        OptionError, match=r"`losses`: no embedding teacher gives the vectors.*\n  found: 'vector_distance'"
    ):
        losses.VectorDistance()(scores())
