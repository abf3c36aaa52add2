"""What every way of finding a query's documents in a pool has in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from bistill.arrays import Ints
from bistill.models.settings import EncoderStart

if TYPE_CHECKING:  # settings that name miners are read where a command only shows its help
    from bistill.candidates.scores.teachers import Teachers
    from bistill.data.queries.copies import Selection
    from bistill.data.store.collection import Collection
    from bistill.data.store.corpus import Corpus


@runtime_checkable
class Miner(Protocol):
    """Finds the documents of a pool that are nearest to a query, in its own sense of near.

    A miner knows nothing of labels: a query's positives are in its answer wherever it finds them, so that its recall
    can be measured.

    Attributes:
        name: "lexical", "dense" and the like.
    """

    name: str

    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of everything beside pool, queries and depth that decides the answer; "" where another
        answer may be given next time: this one is not kept."""

    def mine(self, query_ids: Ints, depth: int) -> Ints:
        """The documents nearest to each query.

        Args:
            query_ids: the queries, integers of shape (queries,).
            depth: documents of each query.

        Returns:
            Ids of documents of the pool, int64 of shape (queries, depth): the best first, equal ones by lower id, no
            id twice in a row; -1 fills the end of a row with fewer documents.
        """


@dataclass(frozen=True)
class Search:
    """What a miner is made for.

    Attributes:
        collection: queries, labels and all documents.
        pool: the documents that retrieval searches: of those that are the same text the first.
        start: the student's start.
        seed: of what is drawn.
        teachers: who score; their ranking may be asked for.
    """

    collection: Collection
    pool: Corpus | Selection
    start: EncoderStart
    seed: int
    teachers: Teachers
