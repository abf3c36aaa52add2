"""The distillation losses and the teacher's loss: pure functions of score tensors.

Shapes: ``queries`` rows, ``candidates`` columns; ``mask`` is True where a candidate exists, ``positive`` where it is
relevant (a subset of ``mask``). Scores lie in 0..1: the teacher's relevance, the student's linear score
``(cosine + 1) / 2`` or its calibrated one. Every loss is a mean, so its size does not depend on the batch; a loss with
nothing to act on is a zero that keeps the graph. The combination and its constants are the contract's
(``docs/decisions/0003-losses.md``).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

MARGIN = 0.7
NEGATIVE_CEILING = 0.15


def linear_score(cosine: Tensor) -> Tensor:
    """Cosine in -1..1 brought to 0..1: (cosine + 1) / 2, any shape."""
    return (cosine + 1) / 2


def listwise_kl(teacher: Tensor, student: Tensor, mask: Tensor, tau: float) -> Tensor:
    """Mean over queries of KL(softmax(teacher / tau) || softmax(student / tau)) over each query's candidates.

    KL(p || q) = sum_d p_d (log p_d - log q_d), in nats; Hinton et al. 2015 without their factor tau^2, as the
    contract writes it. One temperature stands for both; a second one for the student (CADET, arXiv 2505.19274) ranked
    no better (``docs/experiments.md``).

    Args:
        teacher: (queries, candidates) scores.
        student: (queries, candidates) scores.
        mask: (queries, candidates) bool, at least one True in each row.
        tau: temperature in units of score, above 0.

    Returns:
        Scalar, at least 0.
    """
    target = _masked_log_softmax(teacher / tau, mask)
    predicted = _masked_log_softmax(student / tau, mask)
    return (target.exp() * (target - predicted)).sum(dim=1).mean()


def contrastive_hinge(student: Tensor, positive: Tensor, mask: Tensor, margin: float = MARGIN) -> Tensor:
    """Mean over queries of max(0, margin - (mean positive score - mean negative score)).

    Queries without a positive or without a negative do not count.

    Args:
        student: (queries, candidates) scores.
        positive: (queries, candidates) bool.
        mask: (queries, candidates) bool.
        margin: wanted distance in units of score.

    Returns:
        Scalar, at least 0.
    """
    negative = mask & ~positive
    both = positive.any(dim=1) & negative.any(dim=1)
    gap = _row_mean(student, positive) - _row_mean(student, negative)
    return _mean_where(functional.relu(margin - gap), both)


def negative_penalty(student: Tensor, positive: Tensor, mask: Tensor, ceiling: float = NEGATIVE_CEILING) -> Tensor:
    """How far negatives lie above ``ceiling``: half over the whole batch, half per query.

    0.5 * mean over all negatives of max(0, s - ceiling)
    + 0.5 * mean over queries of max(0, mean negative score of the query - ceiling).

    The first half sees every single high negative, the second holds each query's mean to the target of the contract
    (mean negative score <= 0.15) however many negatives the query has.

    Args:
        student: (queries, candidates) scores.
        positive: (queries, candidates) bool.
        mask: (queries, candidates) bool.
        ceiling: highest wanted score of a negative.

    Returns:
        Scalar, at least 0.
    """
    negative = mask & ~positive
    whole_batch = _mean_where(functional.relu(student - ceiling), negative)
    per_query = _mean_where(functional.relu(_row_mean(student, negative) - ceiling), negative.any(dim=1))
    return 0.5 * whole_batch + 0.5 * per_query


def distillation(
    teacher: Tensor,
    student: Tensor,
    positive: Tensor,
    mask: Tensor,
    *,
    tau: float,
    contrastive_weight: float,
    negative_penalty_weight: float,
    listwise_weight: float = 1.0,
) -> dict[str, Tensor]:
    """The weighted sum of the three losses and each of them by name.

    Args:
        teacher: (queries, candidates) scores.
        student: (queries, candidates) scores.
        positive: (queries, candidates) bool.
        mask: (queries, candidates) bool.
        tau: temperature of the listwise term.
        contrastive_weight: weight of the hinge.
        negative_penalty_weight: weight of the penalty.
        listwise_weight: weight of the listwise term; at 0 the teacher's scores count for nothing.

    Returns:
        Scalars ``loss``, ``listwise_kl``, ``contrastive_hinge``, ``negative_penalty``; the last three unweighted.
    """
    terms = {
        "listwise_kl": listwise_kl(teacher, student, mask, tau),
        "contrastive_hinge": contrastive_hinge(student, positive, mask),
        "negative_penalty": negative_penalty(student, positive, mask),
    }
    loss = (
        listwise_weight * terms["listwise_kl"]
        + contrastive_weight * terms["contrastive_hinge"]
        + negative_penalty_weight * terms["negative_penalty"]
    )
    return {"loss": loss, **terms}


def info_nce(cosine: Tensor, positive: Tensor, negative: Tensor, tau: float) -> Tensor:
    """Mean over queries of the cross-entropy of the positive against a query's negatives, in nats.

    -log(exp(c+ / tau) / (exp(c+ / tau) + sum of exp(c- / tau) over the negatives)), as van den Oord et al. 2018,
    "Representation Learning with Contrastive Predictive Coding", equation 4. Which documents are negatives is the
    caller's choice: those that a teacher finds relevant are better left out (Qu et al. 2021, RocketQA).

    Args:
        cosine: (queries, documents) in -1..1.
        positive: (queries, documents) bool, exactly one True in each row.
        negative: (queries, documents) bool, never where ``positive`` is.
        tau: temperature in units of cosine, above 0.

    Returns:
        Scalar, at least 0.
    """
    floor = torch.finfo(cosine.dtype).min / 4
    scores = (cosine / tau).masked_fill(~(positive | negative), floor)
    return functional.cross_entropy(scores, positive.int().argmax(dim=1))


def pointwise_bce(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy of sigmoid(logits) against labels in 0..1, both of shape (pairs,); in nats."""
    return functional.binary_cross_entropy_with_logits(logits, labels)


def _masked_log_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    # A finite floor instead of -inf: probability 0 times a finite logarithm is 0, times -inf it would be NaN.
    floor = torch.finfo(scores.dtype).min / 4
    return scores.masked_fill(~mask, floor).log_softmax(dim=1)


def _row_mean(values: Tensor, where: Tensor) -> Tensor:
    """Mean of each row over the True places: (rows, columns) -> (rows,); 0 for a row without any."""
    return values.masked_fill(~where, 0.0).sum(dim=1) / where.sum(dim=1).clamp(min=1)


def _mean_where(values: Tensor, where: Tensor) -> Tensor:
    """Mean over the True places, 0 with graph if there are none."""
    return values.masked_fill(~where, 0.0).sum() / where.sum().clamp(min=1)
