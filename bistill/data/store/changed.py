"""Documents as the lists of a run hold them: those of a corpus, and behind them what is left of those that queries were
made from without the query.

A changed document stands in the lists of its own query in place of the whole one. No search finds it, and it counts as
the same document as the whole one: where the one is a positive or a candidate, the other is no negative.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from bistill.arrays import Ints
from bistill.data.queries.taken_out import left_without
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.logs import spans_of
from bistill.data.store.texts import ById


class WithChanged(ById):
    """Documents by id: those of the corpus under their own, then the changed ones, which are made when they are read.

    Args:
        corpus: whole documents, those of ``dataset`` first.
        dataset: queries, some of them with ``taken_out``.

    Attributes:
        corpus: as above.
    """

    def __init__(self, corpus: Corpus, dataset: Dataset) -> None:
        self.corpus, self._taken_out = corpus, dataset.taken_out
        self._places = np.unique(self._taken_out[0])
        self._queries = dataset.labelled + self._places
        self._sources = dataset.sources[self._places]

    @cached_property
    def first(self) -> Ints:
        """The document that stands for each: the lowest id of the same text, for a changed one that of the whole;
        int64 of shape (documents,)."""
        first = self.corpus.copies.first
        return np.concatenate([first, first[self._sources]]) if len(self._sources) else first

    def changed(self, query_ids: Ints) -> Ints:
        """The changed document of each query, int64 of the same shape; -1 where its lists hold the whole one."""
        if not len(self._queries):
            return np.full(len(query_ids), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self._queries, query_ids), len(self._queries) - 1)
        return np.where(self._queries[places] == query_ids, len(self.corpus) + places, -1)

    def whole(self, ids: Ints) -> Ints:
        """The documents of the corpus that some are, or were changed from: int64 of the same shape."""
        found: Ints = np.asarray(ids, dtype=np.int64).copy()
        behind = found >= len(self.corpus)
        found[behind] = self._sources[found[behind] - len(self.corpus)]
        return found

    def __len__(self) -> int:
        return len(self.corpus) + len(self._places)

    def _text(self, row: int) -> str:
        if (place := row - len(self.corpus)) < 0:
            return self.corpus[row]
        return left_without(self.corpus[int(self._sources[place])], spans_of(self._taken_out, int(self._places[place])))
