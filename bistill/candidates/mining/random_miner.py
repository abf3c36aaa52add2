"""The ``random`` miner: documents by chance."""

from __future__ import annotations

from bistill.arrays import Ints
from bistill.candidates.filtering import refusal
from bistill.candidates.lists import random_documents
from bistill.candidates.mining.miner import Search
from bistill.candidates.settings import Random
from bistill.data.sampling import generator
from bistill.data.store.collection import Collection


class RandomMiner:
    """Documents by chance, never the text of one that is labelled for the query or of the query itself, and no text
    twice; a larger depth only adds documents.

    Args:
        collection: queries, labels and documents.
        seed: of the choice.
    """

    name = Random.name

    def __init__(self, collection: Collection, seed: int) -> None:
        self._dataset, self._corpus, self._seed = *collection, seed

    def mine(self, query_ids: Ints, depth: int) -> list[list[int]]:
        """``depth`` documents of each query, drawn by (seed, query id)."""
        return [self.draw(int(query), depth) for query in query_ids]

    def draw(self, query_id: int, count: int, *, but: frozenset[int] = frozenset()) -> list[int]:
        """``count`` documents of a query, fewer where the corpus has no more; none of ``but``."""
        record = self._dataset[query_id]
        excluded = {*record.positives, *record.negatives, *but}
        stream = generator(self._seed, "random candidates", query_id)
        refused = refusal(record, self._corpus, [*record.negatives, *but])
        return random_documents(len(self._corpus), excluded, count, stream, refused)


def made(_settings: Random, search: Search) -> RandomMiner:
    """The miner of a search's documents."""
    return RandomMiner(search.collection, search.seed)
