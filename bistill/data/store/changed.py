"""Documents as the lists of a run hold them: those of a corpus, and behind them what is left of those that queries were
made from without the query.

A changed document stands in the lists of its own query in place of the whole one. No search finds it, and it counts as
the same document as the whole one: where the one is a positive or a candidate, the other is no negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import overload

import numpy as np

from bistill.arrays import Ints
from bistill.data.queries.taken_out import left_without
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.logs import spans_of


class WithChanged(Sequence[str]):
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
        places = np.searchsorted(self._queries, query_ids)
        there = np.isin(query_ids, self._queries)
        return np.where(there, len(self.corpus) + places, -1)

    def whole(self, ids: Ints) -> Ints:
        """The documents of the corpus that some are, or were changed from: int64 of the same shape."""
        found: Ints = np.asarray(ids, dtype=np.int64).copy()
        behind = found >= len(self.corpus)
        found[behind] = self._sources[found[behind] - len(self.corpus)]
        return found

    def __len__(self) -> int:
        return len(self.corpus) + len(self._places)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        row = range(len(self))[index] - len(self.corpus)
        return self.corpus[row + len(self.corpus)] if row < 0 else self._text(row)

    def take(self, ids: Sequence[int] | Ints) -> list[str]:
        """Texts of ids, in the order of the ids.

        Raises:
            IndexError: an id is not below the number of documents.
        """
        return [self[int(item)] for item in ids]

    def _text(self, row: int) -> str:
        return left_without(self.corpus[int(self._sources[row])], spans_of(self._taken_out, int(self._places[row])))
