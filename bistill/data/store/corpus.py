"""The documents of two files as one sequence: those of the first by their ids, then what only the second has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from bistill.arrays import Keys
from bistill.data.queries.copies import Copies, Selection
from bistill.data.store.texts import ById, digest, fingerprint_of_texts, keys_of, windows


class Corpus(ById):
    """Documents by id; texts stay where they are (memory-mapped, where they are ``Texts``), only numbers are held.

    Args:
        own: documents that keep their ids, no text twice but for its spelling.
        further: documents of another file, likewise; those that are among ``own`` are left out.
    """

    def __init__(self, own: Sequence[str], further: Sequence[str] = ()) -> None:
        self.own, self.further = own, further
        known = {digest(text) for text in own} if len(further) else set()
        added = (row for row, text in enumerate(further) if digest(text) not in known)
        self._added = np.fromiter(added, dtype=np.int64)
        self._fingerprint: str | None = None

    @cached_property
    def keys(self) -> Keys:
        """The ``text_key`` of each document, uint64 of shape (n,)."""
        return np.concatenate([keys_of(self.own), keys_of(self.further)[self._added]])

    @cached_property
    def copies(self) -> Copies:
        """Which documents are the same text; counted out when it is first asked for."""
        return Copies(self)

    def different(self) -> Corpus | Selection:
        """Every text once: the corpus itself where it holds no copies, else those that are no copy of an earlier one,
        under numbers of their own (``Selection.ids`` says which document each is)."""
        return Selection(self, self.copies.different) if self.copies.count else self

    def __len__(self) -> int:
        return len(self.own) + len(self._added)

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from (self.further[int(row)] for row in self._added)

    def batches(self, size: int) -> Iterator[list[str]]:
        """All texts in order, ``size`` at a time."""
        return windows(self, size)

    def fingerprint(self) -> str:
        """SHA-256 over all documents in order, read once: every miner's key asks for it."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of_texts(self)
        return self._fingerprint

    def _text(self, row: int) -> str:
        return self.own[row] if row < len(self.own) else self.further[int(self._added[row - len(self.own)])]
