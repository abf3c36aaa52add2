"""Curves and histograms of block characters, eight levels a row. Pure functions of numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final

LEVELS: Final = " ▁▂▃▄▅▆▇█"
STEPS: Final = len(LEVELS) - 1


def curve(values: Sequence[float | None], width: int, height: int = 1) -> list[str]:
    """Values in their order as columns of blocks, the lowest one level high, the highest all of the height.

    Args:
        values: None and what is NaN or infinite leave a gap.
        width: columns at most; more values share columns, each drawn as their mean.
        height: rows.

    Returns:
        ``height`` rows from the top, all of the same length: min(width, number of values).
    """
    means = shared(values, width)
    known = [value for value in means if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    return _rows([_level(value, low, high, height * STEPS) for value in means], height)


def bars(counts: Sequence[int], height: int = 1) -> list[str]:
    """A histogram: the largest count all of the height, 0 nothing, every other count at least one level.

    Returns:
        ``height`` rows from the top, a column for each count.
    """
    most = max(counts, default=0) or 1
    return _rows([math.ceil(count / most * height * STEPS) for count in counts], height)


def shared(values: Sequence[float | None], width: int) -> list[float | None]:
    """At most ``width`` means of equally many values each (the number differs by one where it must); None of none."""
    columns = min(width, len(values))
    edges = [len(values) * column // columns for column in range(columns + 1)] if columns > 0 else [0]
    return [_mean(values[start:end]) for start, end in itertools.pairwise(edges)]


def filled(share: float, width: int) -> tuple[str, str]:
    """A bar of ``width`` characters, done and not done; ``share`` is cut to 0..1."""
    done = round(min(max(share, 0.0), 1.0) * width)
    return "█" * done, "░" * (width - done)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return math.fsum(known) / len(known) if known else None


def _level(value: float | None, low: float, high: float, most: int) -> int:
    if value is None:
        return 0
    if low == high:
        return most // 2
    return 1 + round((value - low) / (high - low) * (most - 1))


def _rows(levels: Sequence[int], height: int) -> list[str]:
    """Rows from the top of columns that are so many levels high."""
    return [
        "".join(LEVELS[min(max(level - below * STEPS, 0), STEPS)] for level in levels)
        for below in reversed(range(height))
    ]
