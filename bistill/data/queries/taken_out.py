"""The document that a query was made from without the query: which of its characters are taken out, and what is left.

The places are kept, not the text: a few characters for each query, however long its document is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Final

# Start and end of each piece in characters (code points), rising, none overlapping another.
Spans = tuple[tuple[int, int], ...]

_WRITTEN: Final = re.compile(r"\d+-\d+(?: \d+-\d+)*", re.ASCII)


def left_without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """A document without some pieces: a blank stands where one was, and blanks around it are gone.

    Args:
        text: the document.
        spans: start and end of each piece, in their order.
    """
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    kept = (text[start:end].strip() for start, end in list(pairwise(edges))[::2])
    return " ".join(piece for piece in kept if piece)


def joined(spans: Spans) -> Spans:
    """Pieces of which some may overlap, in rising order, as pieces that do not."""
    found: list[tuple[int, int]] = []
    for start, end in spans:
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)


def written(spans: Spans) -> str:
    """The cell of a CSV file that holds them, ``12-45 80-91``; "" where there are none."""
    return " ".join(f"{start}-{end}" for start, end in spans)


def read(cell: str) -> Spans | None:
    """What ``written`` wrote; None where a cell holds anything else."""
    text = cell.strip()
    if not text:
        return ()
    if not _WRITTEN.fullmatch(text):
        return None
    pairs = [piece.split("-") for piece in text.split(" ")]
    spans = tuple((int(start), int(end)) for start, end in pairs)
    edges = list(chain.from_iterable(spans))
    rising = all(before <= after for before, after in pairwise(edges)) and all(start < end for start, end in spans)
    return spans if rising else None


def fits(text: str, spans: Spans) -> bool:
    """Whether pieces lie inside a document, and something is left of it."""
    return not spans or (spans[-1][1] <= len(text) and bool(left_without(text, spans)))
