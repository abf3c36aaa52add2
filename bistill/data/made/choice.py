"""Which of the made queries of a corpus are kept: every text once, none that says nothing of its document, so many."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from bistill.arrays import Flags, Ints, Keys

# A query that more documents give is a formula (Introduction, 자주 묻는 질문) and asks for none of them.
SHARED_BY: Final = 10


class Chosen(NamedTuple):
    """What is kept, and why the rest is not.

    Attributes:
        kept: of each query, in the order in which it was added: bool of shape (queries,).
        left_out: number of queries by reason.
    """

    kept: Flags
    left_out: Mapping[str, int]


class Candidates:
    """The made queries by numbers alone: 24 bytes each."""

    def __init__(self) -> None:
        self._order = array("Q")
        self._query_keys, self._source_keys = bytearray(), bytearray()

    def __len__(self) -> int:
        return len(self._order)

    def add(self, order: int, query_key: bytes, source_key: bytes) -> None:
        """Take note of a query.

        Args:
            order: of two, the one of the lower number is kept.
            query_key: ``text_key`` of the query.
            source_key: ``text_key`` of the document.
        """
        self._order.append(order)
        self._query_keys += query_key
        self._source_keys += source_key

    def choose(self, number: int | None, apart_from: tuple[Keys, Keys]) -> Chosen:
        """Leave out what is a query or has a document of another file; queries of more than ``SHARED_BY`` documents,
        and of fewer all but one; then all but the first ``number``.

        Args:
            number: of queries that are wanted; None: all.
            apart_from: ``text_key`` of queries and of documents of other files, uint64.
        """
        order = np.frombuffer(self._order, dtype=np.uint64)
        queries, sources = (np.frombuffer(bytes(keys), np.uint64) for keys in (self._query_keys, self._source_keys))
        kept = np.ones(len(order), dtype=bool)
        left_out: dict[str, int] = {}

        def leave_out(reason: str, gone: Flags) -> None:
            left_out[reason] = int((kept & gone).sum())
            kept[gone] = False

        leave_out(
            "in another file, with their document", np.isin(queries, apart_from[0]) | np.isin(sources, apart_from[1])
        )
        alike, place, counts = np.unique(np.where(kept, queries, 0), return_inverse=True, return_counts=True)
        leave_out(f"of more than {SHARED_BY} documents", counts[place] > SHARED_BY)
        leave_out("of several documents, kept for one", ~_lowest(place, len(alike), order, kept))
        rest = np.flatnonzero(kept)
        wanted = rest[np.argsort(order[rest], kind="stable")[:number]]
        leave_out("beyond the number that was asked for", ~np.isin(np.arange(len(order)), wanted))
        return Chosen(kept, left_out)


def _lowest(group: Ints, groups: int, order: Keys, there: Flags) -> Flags:
    """Whether an item is the one of lowest order of its group, among those that are there: bool of shape (n,)."""
    ranked = np.lexsort((order, ~there, group))
    lowest = np.zeros(len(group), dtype=bool)
    starts = np.searchsorted(group[ranked], np.arange(groups))
    lowest[ranked[starts]] = True
    return lowest & there if len(group) else there
