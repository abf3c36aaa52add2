"""Depth-k pooling: which documents of a query are judged. Pure functions of rankings.

The pool of a query is what any of the models ranks among its first k (Sparck Jones and van Rijsbergen, "Report on the
need for and provision of an ideal information retrieval test collection", 1975; as in TREC: Voorhees and Harman, "TREC:
Experiment and Evaluation in Information Retrieval", 2005).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bistill.arrays import Ints
from bistill.data.sampling import generator


def pools(rankings: Sequence[Ints], depth: int) -> list[Ints]:
    """The pool of each query.

    Args:
        rankings: of each model the documents of every query, int64 of shape (queries, documents), the best first, -1 at
            the end of a row that has fewer.
        depth: documents that each ranking gives.

    Returns:
        Of each query the rising ids of its documents, each once: int64.
    """
    first = np.concatenate([ranking[:, :depth] for ranking in rankings], axis=1)
    return [np.unique(row[row >= 0]) for row in first]


def fitting(found: Sequence[Ints], number: int) -> int:
    """How many of the first pools hold at most ``number`` documents together; one at least.

    It ends with the first pool that does not fit, even where a later one would: small pools are those of queries of
    which the models agree, and to prefer them would be to choose what is judged by its result.
    """
    ends = np.cumsum([len(pool) for pool in found])
    return max(1, int(np.searchsorted(ends, number, side="right")))


def shuffled(pool: Ints, seed: int, query: int) -> Ints:
    """The documents of a pool in an order by (seed, query, pool) alone, which tells nothing of who found them."""
    return pool[generator(seed, "judged pool", query).permutation(len(pool))]
