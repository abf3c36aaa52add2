"""Which of a query's scored negatives make its list: labelled ones first, then others by chance or by score quantile.

Pure functions of scores; every choice is a function of (seed, epoch, query id), so the lists of any epoch can be made
again, in any order, from the same scored candidates.
"""

from __future__ import annotations

import numpy as np

from bistill.arrays import Flags, Floats, Ints
from bistill.candidates.settings import Choice
from bistill.data.sampling import generator


def choose_negatives(
    scores: Floats, labelled: Flags, count: int, *, how: Choice, seed: int, epoch: int, query_id: int
) -> Ints:
    """Places of at most ``count`` of n negatives; those that a person called irrelevant come first.

    Args:
        scores: of the teacher for each negative, shape (n,); logits, since relevances near 1 are equal in float32.
        labelled: True where a person called it irrelevant, shape (n,).
        count: negatives wanted; all there are where n is smaller.
        how: the others: "random": by chance, as different from epoch to epoch as their number allows; "stratified": one
            of each of as many quantiles of their scores as places are left (arXiv 2604.04734).
        seed: of the run.
        epoch: 0-based.
        query_id: the query.

    Returns:
        int64 of shape (min(count, n),), no place twice.
    """
    known, others = np.flatnonzero(labelled), np.flatnonzero(~labelled)
    first = known[generator(seed, "labelled", epoch, query_id).permutation(len(known))][:count]
    wanted = min(count - len(first), len(others))
    if how == "random":
        return np.concatenate([first, _stretch(others, wanted, seed, epoch, query_id)])
    order = others[np.argsort(-scores[others], kind="stable")]
    return np.concatenate([first, _stratified(order, wanted, seed, epoch, query_id)])


def _stretch(others: Ints, count: int, seed: int, epoch: int, query_id: int) -> Ints:
    """``count`` of the others: one order for all epochs, of which each takes the next stretch, so that nothing comes
    twice before everything came once."""
    order = others[generator(seed, "unlabelled", query_id).permutation(len(others))]
    return order[(epoch * count + np.arange(count)) % max(len(others), 1)]


def _stratified(order: Ints, count: int, seed: int, epoch: int, query_id: int) -> Ints:
    """One place of each of ``count`` strata of equal size; ``order`` holds at least as many by falling score."""
    edges = np.linspace(0, len(order), count + 1).round().astype(np.int64)
    drawn = generator(seed, "strata", epoch, query_id).random(count)
    return order[edges[:-1] + (drawn * np.diff(edges)).astype(np.int64)]
