"""Documents that are the same text: which ones they are, and a corpus in which every text stands once.

Two texts are the same where ``same_text`` says so. Of documents that are, the one of lowest id stands for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np

from bistill.arrays import Floats, Ints, Keys
from bistill.data.store.texts import fingerprint_of_texts, keys_of, windows


class Copies:
    """Which of some documents are the same text.

    Args:
        documents: texts by id; of them, 24 bytes a document are held.

    Attributes:
        first: lowest id of the same text, of each document: int64 of shape (n,).
        different: rising ids of the documents that are no copy of an earlier one: int64 of shape (m,).
    """

    def __init__(self, documents: Sequence[str]) -> None:
        keys = keys_of(documents)
        order = np.argsort(keys, kind="stable")  # of equal keys, ids rise
        ordered = keys[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(keys) else order
        self._keys, self._firsts = ordered[starts], order[starts]
        self.first = np.empty(len(keys), dtype=np.int64)
        self.first[order] = np.repeat(self._firsts, np.diff(starts, append=len(keys)))
        self.different = np.sort(self._firsts)

    @property
    def count(self) -> int:
        """Documents that are the same text as an earlier one."""
        return len(self.first) - len(self.different)

    def numbers(self, documents: Ints) -> Ints:
        """Place in ``different`` of the text of each document, int64 of the same shape."""
        return np.searchsorted(self.different, self.first[documents])

    def find(self, texts: Sequence[str]) -> Ints:
        """The first document that is the same text as each of some texts, int64; -1 where none is."""
        keys = keys_of(texts)
        if not len(self._keys):
            return np.full(len(keys), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[places] == keys, self._firsts[places], -1)


def ranked_without_own(search: Callable[[int], tuple[Ints, Floats]], own: Ints, depth: int) -> tuple[Ints, Floats]:
    """The first ``depth`` documents of each query that are not its own text; the search is asked for one more.

    Args:
        search: ids and scores of the best documents of each query, both of shape (queries, at most the depth it is
            given), -1 where there are no more.
        own: the document that is the text of each query, int64 of shape (queries,), -1 where there is none; empty where
            there is none for any query.
        depth: documents of each query.

    Returns:
        Ids and scores as the search gives them, with -1 and -inf at the end of a row that has fewer.
    """
    if not (own >= 0).any():
        return search(depth)
    ids, scores = search(depth + 1)
    ids, order = without_own(ids, own, depth)
    return ids, np.where(ids >= 0, np.take_along_axis(scores, order, axis=1), np.float32(-np.inf))


def without_own(ids: Ints, own: Ints, depth: int) -> tuple[Ints, Ints]:
    """The first ``depth`` ids of each row without the one of ``own``, -1 at the end of a row that has fewer; and the
    column that each was in: both int64 of shape (rows, at most depth). Arguments as of ``ranked_without_own``."""
    there = (ids != own[:, None]) & (ids >= 0)
    order = np.argsort(~there, axis=1, kind="stable")[:, :depth]
    taken = np.take_along_axis(np.where(there, ids, -1), order, axis=1)
    return taken, order


class Selection(Sequence[str]):
    """Some texts of a sequence, under numbers of their own.

    Args:
        texts: all of them.
        ids: of the chosen ones in ``texts``, int64 of shape (n,).
    """

    def __init__(self, texts: Sequence[str], ids: Ints) -> None:
        self._texts, self.ids = texts, ids
        self._fingerprint: str | None = None

    @property
    def keys(self) -> Keys:
        """The ``text_key`` of each text, uint64 of shape (n,)."""
        found: Keys = keys_of(self._texts)[self.ids]
        return found

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self.take(np.arange(len(self))[index]) if isinstance(index, slice) else self._texts[int(self.ids[index])]

    def __iter__(self) -> Iterator[str]:
        return (self._texts[int(row)] for row in self.ids)

    def take(self, ids: Sequence[int] | Ints) -> list[str]:
        """Texts of ids, in the order of the ids."""
        return [self[int(item)] for item in ids]

    def batches(self, size: int) -> Iterator[list[str]]:
        """All texts in order, ``size`` at a time."""
        return windows(self, size)

    def fingerprint(self) -> str:
        """SHA-256 over the texts in order, read once."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of_texts(self)
        return self._fingerprint
