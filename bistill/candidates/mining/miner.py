"""What every way of finding a query's documents in a pool has in common."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Miner(Protocol):
    """Finds the documents of a pool that are nearest to a query, in its own sense of near.

    A miner knows nothing of labels: a query's positives are in its answer wherever it finds them, so that its recall
    can be measured.

    Attributes:
        name: "lexical", "dense" and the like.
    """

    name: str

    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of everything beside pool, queries and depth that decides the answer."""

    def mine(self, query_ids: np.ndarray, depth: int) -> np.ndarray:
        """The documents nearest to each query.

        Args:
            query_ids: the queries, integers of shape (queries,).
            depth: documents of each query.

        Returns:
            Ids of documents of the pool, int64 of shape (queries, depth): the best first, equal ones by lower id, no
            id twice in a row; -1 fills the end of a row with fewer documents.
        """
