"""What searches by several processes have in common: how pool and queries are cut, how answers are brought together.

Each gives the best documents of its shard of the pool, and the one that asks keeps the best of all. Documents are
compared by score, then by row, so that the order in which the answers come changes nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from bistill.arrays import Flags, Floats, Ints, Keys
from bistill.distributed import Block
from bistill.evaluation.measures.exact import QUERY_BLOCK

# Documents that a worker gives at once for all its queries, at 8 bytes each; and queries that it has at most.
ANSWERS: Final = 2**22
QUERIES: Final = 65_536
# Shards of each worker where there is room for so many: one that is slow does not keep the others waiting for long.
SHARDS_OF_A_WORKER: Final = 4
NONE: Final = np.uint64(2**64 - 1)
SIGN: Final = np.uint32(2**31)


def groups(queries: int, depth: int) -> list[slice]:
    """The queries of each pass over the pool: whole blocks of the exact search, as few passes as memory allows.

    Args:
        queries: how many there are.
        depth: documents that a shard gives for each.
    """
    size = max(min(ANSWERS // max(depth, 1), QUERIES) // QUERY_BLOCK, 1) * QUERY_BLOCK
    return [slice(start, min(start + size, queries)) for start in range(0, queries, size)]


def shards(documents: int, workers: int, *, most: int, step: int = 1) -> list[range]:
    """The rows of each shard of a pool.

    Args:
        documents: how many there are.
        workers: that share them.
        most: rows of a shard at most, unless it is below ``step``.
        step: a shard begins at a multiple of it.
    """
    even = -(-documents // (SHARDS_OF_A_WORKER * workers))
    size = max(min(-(-even // step), most // step), 1) * step
    return [range(start, min(start + size, documents)) for start in range(0, documents, size)]


def keyed(rows: Ints, scores: Floats) -> Keys:
    """Row and score of each document in one number: the better one is the lower one.

    Args:
        rows: int64 of any shape, from 0 to 2^32 - 2; -1: no document.
        scores: float32 of the same shape, no NaN.

    Returns:
        uint64 of that shape: the score's bits, turned so that they rise while it falls, before those of the row.
    """
    bits = (scores + np.float32(0)).view(np.uint32)  # of the two zeros, the positive one
    falling = np.where(bits & SIGN, bits, ~(bits | SIGN))
    keys = falling.astype(np.uint64) << np.uint64(32) | rows.astype(np.uint64)
    return np.where(rows < 0, NONE, keys)


class Best:
    """The best documents of each query so far, whatever the order in which they come.

    Args:
        queries: how many there are.
        depth: documents of each.
    """

    def __init__(self, queries: int, depth: int) -> None:
        self._keys = np.full((queries, depth), NONE, dtype=np.uint64)

    def add(self, keys: Keys) -> None:
        """Take in documents of a shard: ``keyed``, of shape (queries, any number)."""
        for start in range(0, len(keys), QUERY_BLOCK):
            block = slice(start, start + QUERY_BLOCK)
            both = np.concatenate([self._keys[block], keys[block]], axis=1)
            both.sort(axis=1)
            self._keys[block] = both[:, : self._keys.shape[1]]

    def take(self, block: Block, keys: Keys) -> None:
        """``add``, as ``Parts.each`` gives what was found in a block."""
        self.add(keys)

    def rows(self) -> Ints:
        """Rows of the documents, int64 of shape (queries, depth): falling score, equal ones by lower row; -1 fills the
        end of a query with fewer."""
        return np.where(self._none, -1, (self._keys & np.uint64(2**32 - 1)).astype(np.int64))

    def scores(self) -> Floats:
        """Their scores, float32 of the same shape; 0 where there is none."""
        falling = (self._keys >> np.uint64(32)).astype(np.uint32)
        bits = np.where(falling & SIGN, falling, ~falling & ~SIGN)
        return np.where(self._none, np.float32(0), bits.view(np.float32))

    @property
    def _none(self) -> Flags:
        none: Flags = self._keys == NONE
        return none
