"""Random choices as functions of (seed, keys): never of the order in which they are asked for."""

from __future__ import annotations

import hashlib

import numpy as np

from bistill.arrays import Ints


def generator(seed: int, *keys: int | str) -> np.random.Generator:
    """A generator whose stream depends on ``seed`` and ``keys`` alone.

    The 128-bit key of a Philox counter generator (Salmon et al., 2011) is the SHA-256 of seed and keys, cut.
    """
    text = "\x1f".join(repr(key if isinstance(key, str) else int(key)) for key in (seed, *keys))
    return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])))


def permutation(seed: int, epoch: int, size: int) -> Ints:
    """Order of ``size`` samples in an epoch: int64 of shape (size,)."""
    return generator(seed, "order", epoch).permutation(size)


def in_turn(seed: int, name: str, size: int, count: int | None) -> Ints:
    """The ids of ``subset`` in an order by (seed, name, size): int64. The first of them are the same whatever ``count``
    is, so that some of them are a choice by chance, too."""
    return generator(seed, "subset", name).permutation(size)[:count]


def subset(seed: int, name: str, size: int, count: int | None) -> Ints:
    """Sorted ids of ``count`` of ``size`` items, all where ``count`` is None or larger; int64.

    Subsets of one (seed, name, size) are nested: a smaller count chooses among the ids of a larger one.
    """
    if count is None or count >= size:
        return np.arange(size)
    return np.sort(in_turn(seed, name, size, count))
