"""Where to cut: thresholds above which a pair counts as relevant, and how far the choice can be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from bistill.arrays import Doubles, Flags, Ints, Reals

# Precision and recall that the thresholds named after them must reach.
PRECISION: Final = 0.95
RECALL: Final = 0.95
# A threshold is of no use that finds less than so much of the relevant pairs, or that lets so many of all pairs count.
FEW: Final = 0.1
NEARLY_ALL: Final = 0.95
NAMES: Final = ("best_f1", "precision_95", "recall_95")
# Numbers held at once for one of a handful of arrays, 8 bytes each.
BLOCK: Final = 2**20


@dataclass(frozen=True, slots=True)
class Threshold:
    """A pair counts as relevant where its score is at least ``threshold``.

    Attributes:
        threshold: one of the scores.
        precision: share of the relevant among the pairs that count.
        recall: share of the relevant pairs that count.
        f1: harmonic mean of both.
    """

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Curve:
    """What every threshold gives: all of shape (different scores,), thresholds falling."""

    thresholds: Doubles
    precision: Doubles
    recall: Doubles
    f1: Doubles


def curve(scores: Reals, relevant: Flags) -> Curve:
    """Precision, recall and F1 at every different score.

    Args:
        scores: shape (pairs,), at least one relevant pair among them.
        relevant: true where relevant, shape (pairs,).
    """
    ordered = _Ordered(scores, relevant)
    true, counted = ordered.cumulative(np.ones((1, len(ordered.order))))
    precision, recall, f1 = (figures[0] for figures in _figures(true, counted))
    return Curve(ordered.thresholds, precision, recall, f1)


def choose(scores: Reals, relevant: Flags) -> dict[str, Threshold | None]:
    """Three thresholds, each None where there is none.

    ``best_f1``: the highest F1, the highest threshold among equals. ``precision_95``: the lowest threshold whose
    precision is at least ``PRECISION``. ``recall_95``: the highest threshold whose recall is at least ``RECALL``.

    Args:
        scores: shape (pairs,).
        relevant: true where relevant, shape (pairs,).
    """
    if not np.any(relevant):
        return dict.fromkeys(NAMES)
    found = curve(scores, relevant)
    places = _places(found.precision[None], found.recall[None], found.f1[None], np.ones((1, len(found.f1)), dtype=bool))
    return {name: _threshold(found, int(place[0])) for name, place in zip(NAMES, places, strict=True)}


def useless(found: Threshold, share_relevant: float) -> str | None:
    """Why a threshold is of no use: "finds_few" of the relevant pairs, or "keeps_all", nearly; None where it is of use.

    Args:
        found: the threshold.
        share_relevant: share of the relevant among all pairs, 0..1.
    """
    if found.recall < FEW:
        return "finds_few"
    counted = found.recall * share_relevant / found.precision
    return "keeps_all" if counted >= NEARLY_ALL else None


def resampled(scores: Reals, relevant: Flags, queries: Ints, draws: Iterable[Ints]) -> dict[str, Doubles]:
    """The thresholds of ``choose`` on resamples of the queries, each query with all its pairs.

    Args:
        scores: shape (pairs,).
        relevant: true where relevant, shape (pairs,).
        queries: the pair's query as a column of the draws, shape (pairs,).
        draws: blocks of how often each resample holds each query, shape (some resamples, queries).

    Returns:
        For each name the threshold of each resample, shape (resamples,); inf where a resample has none.
    """
    ordered = _Ordered(scores, relevant)
    thresholds = np.append(ordered.thresholds, np.inf)  # place -1 is none
    step = max(1, BLOCK // max(len(ordered.order), 1))
    found: list[list[Doubles]] = []
    for block in draws:
        for start in range(0, len(block), step):
            true, counted = ordered.cumulative(block[start : start + step, queries[ordered.order]])
            present = np.diff(counted, axis=1, prepend=0) > 0  # a threshold is a score of the resample
            found.append([thresholds[places] for places in _places(*_figures(true, counted), present)])
    return {name: np.concatenate(parts) for name, parts in zip(NAMES, zip(*found, strict=True), strict=True)}


class _Ordered:
    """Pairs by falling score, equal scores together."""

    def __init__(self, scores: Reals, relevant: Flags) -> None:
        values = np.asarray(scores, dtype=np.float64)
        assert values.shape == np.shape(relevant) and values.ndim == 1
        self.order = np.argsort(-values, kind="stable")
        self._relevant = np.asarray(relevant).astype(np.float64)[self.order]
        falling = values[self.order]
        self._ends = np.flatnonzero(np.append(np.diff(falling) != 0, True)) if len(falling) else np.empty(0, np.int64)
        self.thresholds = falling[self._ends]

    def cumulative(self, weights: Ints | Doubles) -> tuple[Doubles, Doubles]:
        """Relevant pairs and all pairs at or above each threshold, (rows, thresholds), of weights (rows, pairs)."""
        true = np.cumsum(weights * self._relevant, axis=1)[:, self._ends]
        return true, np.cumsum(weights, axis=1, dtype=np.float64)[:, self._ends]


def _figures(true: Doubles, counted: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Precision, recall and F1 of each row and threshold; 0 where nothing counts or nothing is relevant."""
    total = true[:, -1:]
    precision = true / np.maximum(counted, 1)
    recall = true / np.maximum(total, 1)
    return precision, recall, 2 * true / np.maximum(counted + total, 1)


def _places(precision: Doubles, recall: Doubles, f1: Doubles, present: Flags) -> tuple[Ints, ...]:
    """Place of each threshold of ``NAMES`` in each row, among falling ones; -1 where there is none."""
    exact, whole = present & (precision >= PRECISION), present & (recall >= RECALL)
    best = np.argmax(np.where(present, f1, -1), axis=1)
    lowest = np.where(exact.any(axis=1), exact.shape[1] - 1 - np.argmax(exact[:, ::-1], axis=1), -1)
    highest = np.where(whole.any(axis=1), np.argmax(whole, axis=1), -1)
    return np.where(f1.max(axis=1) > 0, best, -1), lowest, highest


def _threshold(found: Curve, place: int) -> Threshold | None:
    if place < 0:
        return None
    return Threshold(*(float(values[place]) for values in (found.thresholds, found.precision, found.recall, found.f1)))
