"""The ``labelled`` miner: negatives that people labelled."""

from __future__ import annotations

from bistill.arrays import Ints
from bistill.candidates.mining.miner import Search
from bistill.candidates.settings import Labelled
from bistill.data.sampling import generator
from bistill.data.store.dataset import Dataset


class LabelledMiner:
    """The negatives of the data file.

    Args:
        dataset: queries and labels.
        seed: of the choice.
        drawn: whether some of many are drawn by (seed, query id), instead of the first ones. A larger depth only adds
            some then.
    """

    name = Labelled.name

    def __init__(self, dataset: Dataset, seed: int, *, drawn: bool) -> None:
        self._dataset, self._seed, self._drawn = dataset, seed, drawn

    def mine(self, query_ids: Ints, depth: int) -> list[list[int]]:
        """``depth`` labelled negatives of each query, all where there are no more, in the order of the file."""
        return [self._some(int(query), depth) for query in query_ids]

    def _some(self, query_id: int, depth: int) -> list[int]:
        negatives = self._dataset[query_id].negatives
        if not self._drawn:
            return list(negatives[:depth])
        order = generator(self._seed, "labelled candidates", query_id).permutation(len(negatives))
        return [negatives[place] for place in sorted(order[:depth])]


def made(settings: Labelled, search: Search) -> LabelledMiner:
    """The miner of the settings; without a depth it draws."""
    return LabelledMiner(search.collection.dataset, search.seed, drawn=settings.depth is None)
