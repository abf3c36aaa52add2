"""How many candidates of a query each miner gives where no depth is named: a small multiple of what its lists take.

Every candidate is read by the teacher, so a pool that does not follow K costs more than the training it serves.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Depths:
    """Depths that follow from the lists.

    Attributes:
        own: candidates that a list takes beside its positive.
        epochs: lists that are drawn of a query.
        mined: whether a miner finds candidates near the query; random documents are beside these, else alone.
    """

    own: int
    epochs: int
    mined: bool

    def of_miner(self, name: str, known: int = 0) -> int:
        """Candidates of one query.

        Labelled negatives stand first in every list: no more of them than all epochs can take, and the others only for
        the places that they leave, four for every three of these from each retrieval miner, so that limits and
        quantiles have a choice. One random document is there in any case: the lowest score of a query stands for all
        documents that nobody scored.

        Args:
            name: of the miner.
            known: labelled negatives of the query that are candidates.
        """
        wanted = max(self.own - known, 0)
        if name == "labelled":
            return self.own * self.epochs
        if name == "random":
            return max(wanted, min(self.own, 1)) * (1 if self.mined else self.epochs)
        return -(-4 * wanted // 3)
