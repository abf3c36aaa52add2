"""The cross-entropy of a teacher's lists: values by hand, beside torch's own, and what it does not depend on."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from bistill.losses import localized_contrast

LOGITS = torch.tensor([2.0, 0.0, 1.0, -1.0, 0.5, 3.0])
POSITIVE = torch.tensor([True, False, False, True, False, True])
QUERIES = torch.tensor([4, 4, 4, 9, 9, 7])  # the last one's query has no negative


def test_values_by_hand() -> None:
    first = math.log(1 + math.exp(0 - 2) + math.exp(1 - 2))
    second = math.log(1 + math.exp(0.5 + 1))
    assert localized_contrast(LOGITS, POSITIVE, QUERIES).item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_one_positive_a_list_is_the_usual_cross_entropy() -> None:
    scores = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    positive = torch.zeros(5, 7, dtype=torch.bool)
    positive[:, 0] = True
    queries = torch.arange(5).repeat_interleave(7)
    found = localized_contrast(scores.flatten(), positive.flatten(), queries)
    torch.testing.assert_close(found, functional.cross_entropy(scores, torch.zeros(5, dtype=torch.int64)))


def test_other_positives_of_a_query_are_no_negatives() -> None:
    logits, queries = torch.tensor([1.0, 5.0, 0.0]), torch.zeros(3, dtype=torch.int64)
    found = localized_contrast(logits, torch.tensor([True, True, False]), queries)
    by_hand = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-5))) / 2
    assert found.item() == pytest.approx(by_hand, rel=1e-6)


def test_neither_order_nor_a_constant_for_each_query_matters() -> None:
    order = torch.tensor([5, 2, 0, 4, 3, 1])
    whole = localized_contrast(LOGITS, POSITIVE, QUERIES)
    torch.testing.assert_close(localized_contrast(LOGITS[order], POSITIVE[order], QUERIES[order]), whole)
    torch.testing.assert_close(localized_contrast(LOGITS + QUERIES, POSITIVE, QUERIES), whole)


@pytest.mark.parametrize("positive", [[False, False], [True, True]])
def test_lists_of_one_kind_give_nothing_and_no_nan(positive: list[bool]) -> None:
    logits = torch.tensor([80.0, -80.0], requires_grad=True)
    found = localized_contrast(logits, torch.tensor(positive), torch.zeros(2, dtype=torch.int64))
    found.backward()
    assert found.item() == 0 and logits.grad is not None and not logits.grad.any()


def test_the_gradient_is_that_of_finite_differences() -> None:
    logits = LOGITS.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: localized_contrast(values, POSITIVE, QUERIES), logits)
