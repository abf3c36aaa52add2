"""How far two sources of scores disagree on the same pairs: one model in two engines, two precisions, two teachers.

Pure functions of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bistill.arrays import Doubles, Ints, Reals


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two sources agree; nan where there is nothing to compare.

    Attributes:
        pairs: compared.
        queries: with at least two documents, of which the last three speak.
        mean_difference: mean of the absolute difference of a and b.
        high_difference: its 95th percentile.
        largest_difference: its largest.
        correlation: Spearman's, of the ranks among all pairs (equal scores have the mean of their ranks).
        reversed_order: share of the pairs of documents of a query, equally scored ones apart, of which the two say the
            contrary; mean over queries.
        tied: share of the pairs of documents of a query that exactly one of them scores equally; mean over queries.
        same_first: share of queries whose first document by a has the highest score by b, too.
    """

    pairs: int
    queries: int
    mean_difference: float
    high_difference: float
    largest_difference: float
    correlation: float
    reversed_order: float
    tied: float
    same_first: float


def agreement(a: Reals, b: Reals, queries: Ints) -> Agreement:
    """Compare two sources.

    Args:
        a: scores of pairs, shape (n,), finite.
        b: scores of the same pairs, in the same unit.
        queries: number of the query of each pair, shape (n,).
    """
    first: Doubles = np.asarray(a, dtype=np.float64)
    second: Doubles = np.asarray(b, dtype=np.float64)
    difference: Doubles = np.abs(first - second)
    by_query = [found for rows in _groups(queries) if (found := _within(first[rows], second[rows])) is not None]
    reversed_order, tied, same_first = (_mean([item[part] for item in by_query]) for part in range(3))
    return Agreement(
        pairs=len(first),
        queries=len(by_query),
        mean_difference=_mean(difference),
        high_difference=float(np.quantile(difference, 0.95)) if len(first) else np.nan,
        largest_difference=float(difference.max()) if len(first) else np.nan,
        correlation=_correlation(ranks(first), ranks(second)),
        reversed_order=reversed_order,
        tied=tied,
        same_first=same_first,
    )


def ranks(values: Doubles) -> Doubles:
    """Ranks from 1, the lowest first; equal values have the mean of theirs: float64 of shape (n,)."""
    unique, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: Doubles = (last - (counts - 1) / 2)[places] if len(unique) else np.empty(0)
    return means


def _within(a: Doubles, b: Doubles) -> tuple[float, float, float] | None:
    """Share of reversed and of once tied pairs of documents, and whether the first is the same; None of one alone."""
    if len(a) < 2:
        return None
    first, second = np.triu_indices(len(a), k=1)
    by_a, by_b = np.sign(a[first] - a[second]), np.sign(b[first] - b[second])
    ordered = (by_a != 0) & (by_b != 0)
    reversed_order = float((by_a[ordered] != by_b[ordered]).mean()) if ordered.any() else 0.0
    return reversed_order, float(((by_a == 0) != (by_b == 0)).mean()), float(b[a.argmax()] == b.max())


def _groups(queries: Ints) -> list[Ints]:
    """Rows of each query."""
    order = np.argsort(queries, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(queries[order])) + 1) if len(order) else []


def _correlation(a: Doubles, b: Doubles) -> float:
    """Pearson's; nan where one of them does not vary."""
    if len(a) < 2 or not a.std() or not b.std():
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _mean(values: Doubles | list[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
