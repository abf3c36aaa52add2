"""Queries that come again where others are held out: what is learned from must not be what is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

import numpy as np

from bistill.arrays import Ints
from bistill.data.prepare.duplicates import find_duplicates
from bistill.data.settings import Splitting
from bistill.progress import progress

NEAR: Final = Splitting().near_duplicates


def apart(queries: Sequence[Sequence[str]], held_out: Sequence[Sequence[str]], threshold: float = NEAR) -> list[Ints]:
    """Of each of several collections of queries those that are not the same as, or nearly equal to, one held out.

    Nearly equal is what ``bistill prepare`` takes for it (``find_duplicates``): a query goes with all of its cluster.

    Args:
        queries: collections of texts, all of which are held in memory here.
        held_out: likewise.
        threshold: Jaccard similarity in 0.5..1 of nearly equal texts; 1: equal ones only.

    Returns:
        Rising ids of each collection, int64.
    """
    texts = [*chain(*held_out, *queries)]
    with progress("comparing queries", len(texts), "queries") as advance:
        clusters = find_duplicates(texts, threshold, advance).near
    held = sum(map(len, held_out))
    free = ~np.isin(clusters[held:], clusters[:held])
    return [np.flatnonzero(own) for own in np.split(free, np.cumsum([len(own) for own in queries])[:-1])]
