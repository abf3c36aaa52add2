"""How far a figure of some queries can be trusted: the percentile bootstrap over queries.

Queries are drawn anew with replacement, as many as there are, and each draw's figure is computed; 95 % of these figures
lie in the interval (Efron 1979, "Bootstrap Methods: Another Look at the Jackknife"; percentile method). Both sides of a
comparison are computed on the same draws: what makes a query hard for both cancels out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from bistill.arrays import Doubles, Ints, Reals

RESAMPLES: Final = 10_000
CONFIDENCE: Final = 0.95
# Below this number of queries even differences that all have one sign are no more than chance: 2 * 0.5 ** 6 < 5 %.
FEWEST: Final = 6
# Numbers held at once, 8 bytes each.
BLOCK: Final = 2**21


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and what it might have been on other queries of the same kind.

    Attributes:
        value: the figure of the queries there are; nan where it does not exist.
        low: lower end of its interval; nan without a figure, -inf where the draws do not bound it.
        high: upper end; nan, or inf.
    """

    value: float
    low: float
    high: float


def counts(stream: np.random.Generator, items: int, resamples: int = RESAMPLES) -> Iterator[Ints]:
    """How often each resample holds each item, in blocks: int64 of shape (some resamples, items), each row's sum items.

    Args:
        stream: decides the draws.
        items: number of items, at least 1.
        resamples: rows of all blocks together.
    """
    size = max(1, BLOCK // items)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = stream.integers(0, items, (rows, items)) + items * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * items).reshape(rows, items)


def means(values: Reals, stream: np.random.Generator, resamples: int = RESAMPLES) -> Doubles:
    """Means of resampled rows.

    Args:
        values: one row a query, shape (queries, figures), at least one row.
        stream: decides the draws.
        resamples: number of resamples.

    Returns:
        float64 of shape (resamples, figures).
    """
    rows = len(values)
    return np.concatenate([block @ values / rows for block in counts(stream, rows, resamples)])


def interval(value: float, lows: Reals, highs: Reals | None = None, *, confidence: float = CONFIDENCE) -> Interval:
    """The interval of a figure from its values on resamples: two order statistics, the outer neighbours.

    Args:
        value: the figure itself.
        lows: its values on resamples, shape (resamples,), inf among them where it has no bound.
        highs: for the upper end, where it is not taken from the same values.
        confidence: share of the values between both ends.
    """
    tail = (1 - confidence) / 2
    low = np.quantile(lows, tail, method="lower")
    high = np.quantile(lows if highs is None else highs, 1 - tail, method="higher")
    return Interval(value, float(low), float(high))


def paired(
    first: Reals,
    second: Reals,
    stream: np.random.Generator,
    resamples: int = RESAMPLES,
    *,
    confidence: float = CONFIDENCE,
) -> list[Interval]:
    """Mean of ``first - second`` over queries, with its interval, for each figure.

    Args:
        first: one row a query, shape (queries, figures).
        second: the same queries and figures of what it is compared with.
        stream: decides the draws.
        resamples: number of resamples.
        confidence: of the intervals.

    Returns:
        One interval a figure; nan throughout without a query.
    """
    assert first.shape == second.shape and first.ndim == 2
    if not len(first):
        return [Interval(np.nan, np.nan, np.nan)] * first.shape[1]
    differences = np.asarray(first, dtype=np.float64) - second
    drawn = means(differences, stream, resamples)
    return [
        interval(float(mean), drawn[:, column], confidence=confidence)
        for column, mean in enumerate(differences.mean(axis=0))
    ]


def gap_closed(
    base: Reals,
    student: Reals,
    teacher: Reals,
    stream: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """Share of the teacher's lead over the base that the student has won: ``(student - base) / (teacher - base)``.

    0 is the base, 1 the teacher; below 0 and above 1 are possible. A draw in which the teacher does not lead gives no
    share; it counts as one beyond either end, so that a lead that might be none leaves the share unbounded.

    Args:
        base: a figure of each query, shape (queries,).
        student: the same.
        teacher: the same.
        stream: decides the draws.
        resamples: number of resamples.

    Returns:
        None where the mean of the teacher is not above that of the base.
    """
    leads = np.stack([np.asarray(student, dtype=np.float64) - base, np.asarray(teacher, dtype=np.float64) - base], 1)
    if not len(leads) or (mean := leads.mean(axis=0))[1] <= 0:
        return None
    won, lead = means(leads, stream, resamples).T
    shares = np.divide(won, lead, out=np.full(len(lead), np.inf), where=lead > 0)
    return interval(float(mean[0] / mean[1]), np.where(lead > 0, shares, -np.inf), shares)
