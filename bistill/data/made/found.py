"""What is found in a document that somebody might have searched it by, and where it stands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

# Numbers and marks of lists in front of a text, and what stands behind it: nobody types them.
FRONT: Final = re.compile(r"(?:[\s#>*•·▪■□○●◦▶※~\-–—=|,.:;)\]}]|\(?\d{1,3}[.)]\s|[QA][:.]\s|질문\s?:\s)+")
BEHIND: Final = " \t\r\n#>*•·~-–—=|,.:;([{…"
# Numbers of notes behind a text; inside of one, and brackets that lost what stood in them, they are nothing to type.
NOTES: Final = re.compile(r"(?:\[\d{1,4}\])+$")
ODD: Final = re.compile(r"\[\d+\]|\([\s,;]|\(\)")
QUOTES: Final = "\"'“”‘’«»「」『』"
BRACKETS: Final = {")": "(", "]": "[", "}": "{", "」": "「", "』": "『", "”": "“", "»": "«"}


class Source(NamedTuple):
    """A document that queries are made from.

    Attributes:
        text: the whole, its title included.
        title: what it begins with where the file has titles; else "".
    """

    text: str
    title: str = ""


class Found(NamedTuple):
    """A query, and where it stands in its document.

    Attributes:
        query: its words, blanks between them.
        spans: what the document is without where the query is taken out of it: start and end of pieces that do not
            overlap, in their order. The words of the query stand in them.
    """

    query: str
    spans: tuple[tuple[int, int], ...]


def within(text: str, start: int, end: int) -> Found | None:
    """The query that a piece of a text is, without list marks, quotation marks and the full stop around it.

    Args:
        text: the document.
        start: of the piece.
        end: of the piece: all of it is taken out with the query.

    Returns:
        None where nothing is left, a bracket or a quotation is open in it, or something was lost in it.
    """
    kept = _trimmed(text[start:end])
    if kept[:1] in QUOTES and (kept[-1:] in QUOTES or not is_balanced(kept)):
        kept = kept.lstrip(QUOTES)
    if not is_balanced(kept) or kept[:1] in QUOTES:
        kept = _trimmed(kept.rstrip(QUOTES))
    query = " ".join(kept.split())
    return Found(query, ((start, end),)) if query and is_balanced(query) and not ODD.search(query) else None


def _trimmed(piece: str) -> str:
    piece = piece.rstrip(BEHIND)
    piece = NOTES.sub("", piece) if piece.endswith("]") else piece
    front = FRONT.match(piece)
    return piece[front.end() if front else 0 :].rstrip(BEHIND)


def is_balanced(text: str) -> bool:
    """Whether every bracket and quotation of a text is closed in it."""
    waiting: list[str] = []
    for sign in text:
        if sign in BRACKETS.values():
            waiting.append(sign)
        elif sign in BRACKETS and (not waiting or waiting.pop() != BRACKETS[sign]):
            return False
    return not waiting and text.count('"') % 2 == 0


def words(text: str) -> list[tuple[int, int]]:
    """Start and end of everything between blanks that has a letter or a digit in it."""
    found = ((match.start(), match.end()) for match in re.finditer(r"\S+", text))
    return [(start, end) for start, end in found if any(sign.isalnum() for sign in text[start:end])]


def whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """A piece of a text with the rest of the words at both its ends: "올림픽" becomes "올림픽에서"."""
    while start > 0 and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isspace():
        end += 1
    return start, end


def share_of(text: str, spans: Sequence[tuple[int, int]]) -> float:
    """The share of a document's characters, blanks not counted, that stand in some pieces of it."""
    inside = sum(len("".join(text[start:end].split())) for start, end in spans)
    return inside / max(len("".join(text.split())), 1)
