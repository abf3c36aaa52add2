"""The divergence from an embedding teacher over a whole batch: by hand, against scipy, and what must not change it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax

from bistill import losses
from bistill.errors import OptionError

TEACHER = torch.tensor([[0.9, 0.2, -0.1, 0.4], [0.1, 0.6, 0.3, 0.5]], dtype=torch.float64)
STUDENT = torch.tensor([[0.4, 0.5, 0.2, -0.3], [0.6, 0.2, 0.1, 0.3]], dtype=torch.float64)


def reference(teacher: np.ndarray, student: np.ndarray, teacher_tau: float, tau: float) -> float:
    """Both ways, by scipy."""
    ways = []
    for axis in (1, 0):
        p, q = softmax(teacher / teacher_tau, axis=axis), softmax(student / tau, axis=axis)
        ways.append(rel_entr(p, q).sum(axis=axis).mean())
    return float(np.mean(ways))


def test_two_queries_and_two_documents_by_hand() -> None:
    # Teacher: each query prefers its document by 1 / 0.5 = 2, and each document its query; the student nothing.
    teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    student = torch.full((2, 2), 0.3, dtype=torch.float64)
    p = 1 / (1 + math.exp(-2))
    expected = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    assert losses.embedding_kl(teacher, student, 0.5, 0.05).item() == pytest.approx(expected, abs=1e-12)


def test_the_documents_side_counts_by_half() -> None:
    # One document: no query has a choice, the document has one between two queries, as above.
    teacher, student = torch.tensor([[1.0], [0.0]]), torch.tensor([[0.3], [0.3]])
    p = 1 / (1 + math.exp(-2))
    expected = (p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))) / 2
    assert losses.embedding_kl(teacher, student, 0.5, 0.05).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("teacher_tau", "tau"), [(0.05, 0.05), (0.2, 0.05), (1.0, 0.3)])
def test_it_equals_scipy_with_a_temperature_for_each_side(teacher_tau: float, tau: float) -> None:
    expected = reference(TEACHER.numpy(), STUDENT.numpy(), teacher_tau, tau)
    assert losses.embedding_kl(TEACHER, STUDENT, teacher_tau, tau).item() == pytest.approx(expected, abs=1e-12)


def test_a_pair_that_does_not_count_changes_nothing_and_has_no_gradient() -> None:
    teacher = torch.cat([TEACHER, torch.full((2, 1), torch.nan, dtype=torch.float64)], 1)
    student = torch.cat([STUDENT, torch.full((2, 1), 0.99, dtype=torch.float64)], 1).requires_grad_()
    found = losses.embedding_kl(teacher, student, 0.1, 0.05)
    by_query = [reference(TEACHER.numpy()[row : row + 1], STUDENT.numpy()[row : row + 1], 0.1, 0.05) for row in (0, 1)]
    by_document = 2 * reference(TEACHER.numpy(), STUDENT.numpy(), 0.1, 0.05) - 2 * np.mean(by_query)
    # A document of which no pair counts is a column of divergence 0 among five.
    assert found.item() == pytest.approx((2 * np.mean(by_query) + by_document * 4 / 5) / 2, abs=1e-12)
    found.backward()
    assert student.grad is not None and torch.isfinite(student.grad).all()
    assert student.grad[:, 4].abs().sum() == 0 < student.grad[:, 0].abs().sum()


def test_gradient_in_float64() -> None:
    teacher = TEACHER.clone()
    teacher[0, 2] = torch.nan
    assert torch.autograd.gradcheck(
        lambda values: losses.embedding_kl(teacher, values, 0.1, 0.2), STUDENT.clone().requires_grad_()
    )


def test_it_is_zero_where_the_student_says_the_same_up_to_a_constant_and_not_else() -> None:
    assert losses.embedding_kl(TEACHER, TEACHER - 0.3, 0.1, 0.1).item() == pytest.approx(0, abs=1e-12)
    assert losses.embedding_kl(TEACHER, TEACHER / 2, 0.1, 0.05).item() == pytest.approx(0, abs=1e-12)
    assert losses.embedding_kl(TEACHER, STUDENT, 0.1, 0.1).item() > 0.1


def test_order_of_queries_and_documents_changes_nothing() -> None:
    plain = losses.embedding_kl(TEACHER, STUDENT, 0.1, 0.05)
    moved = losses.embedding_kl(TEACHER[[1, 0]][:, [2, 0, 3, 1]], STUDENT[[1, 0]][:, [2, 0, 3, 1]], 0.1, 0.05)
    torch.testing.assert_close(moved, plain)


def test_a_sure_teacher_gives_finite_values_and_gradients() -> None:
    student = STUDENT.float().requires_grad_()
    losses.embedding_kl(TEACHER.float(), student, 1e-4, 1e-4).backward()
    assert student.grad is not None and torch.isfinite(student.grad).all()


def scores(*cosines: torch.Tensor, positive: bool = True) -> losses.ListScores:
    nothing = torch.zeros_like(STUDENT)
    labels = torch.zeros_like(STUDENT, dtype=torch.bool)
    labels[:, 0] = positive
    return losses.ListScores(nothing, STUDENT, nothing, labels, labels, cosines)


def test_the_object_is_the_mean_over_teachers_and_needs_no_label() -> None:
    other = TEACHER.flip(1)
    loss = losses.EmbeddingKL(tau=0.05, teacher_tau=0.2)
    each = [losses.embedding_kl(teacher, STUDENT, 0.2, 0.05) for teacher in (TEACHER, other)]
    torch.testing.assert_close(loss(scores(TEACHER, other)), (each[0] + each[1]) / 2)
    torch.testing.assert_close(loss(scores(TEACHER, positive=False)), each[0])
    terms = losses.weighted_sum([losses.EmbeddingKL(0.05, 0.2, weight=3)], scores(TEACHER, positive=False))
    torch.testing.assert_close(terms, {"loss": 3 * each[0], "embedding_kl": each[0]})


def test_the_mean_over_teachers_has_the_gradient_of_their_mean_distribution() -> None:
    other, student = TEACHER.flip(1), STUDENT.clone().requires_grad_()
    (losses.embedding_kl(TEACHER, student, 0.2, 0.05) + losses.embedding_kl(other, student, 0.2, 0.05)).backward()
    assert student.grad is not None
    expected = torch.zeros_like(STUDENT)
    for axis, size in ((1, 2), (0, 4)):
        target = ((TEACHER / 0.2).softmax(axis) + (other / 0.2).softmax(axis)) / 2
        expected += ((STUDENT / 0.05).softmax(axis) - target) / 0.05 / size / 2
    torch.testing.assert_close(student.grad / 2, expected)


def test_without_a_teacher_there_is_nothing_to_learn() -> None:
    with pytest.raises(
        OptionError, match=r"`losses`: no embedding teacher gives the cosines.*\n  found: 'embedding_kl'"
    ):
        losses.EmbeddingKL()(scores())
