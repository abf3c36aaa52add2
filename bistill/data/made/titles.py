"""Titles and headings of a document: the title beside it, a first line that is one, headings of Markdown and wikis."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bistill.data.made.found import Found, Source, within, words

LONGEST: Final = 160
_HEADING: Final = re.compile(
    r"^(?:#{1,6}[ \t]+\S.*|={2,5}[^=\r\n]+={2,5}[ \t]*|\S.*(?=\r?\n(?:={3,}|-{3,})[ \t]*$))", re.M
)
_FIRST_LINE: Final = re.compile(r"\s*(\S.*)(?=\r?\n)")
_SENTENCE: Final = re.compile(r"[.!?。！？…,;:]\s*$|[.!?。]\s")


def candidates(source: Source) -> list[Found]:
    """The title of a document, then its headings in their order.

    A heading of a single word (History, 개요) says nothing without its document, and is left out; a title is not.
    """
    places = list(dict.fromkeys(_places(source)))
    found = ((place, within(source.text, *place)) for place in places if place[1] - place[0] <= LONGEST)
    known = [(place, query) for place, query in found if query is not None]
    title = (0, len(source.title))
    return [query for place, query in known if place == title or len(words(query.query)) > 1]


def _places(source: Source) -> Iterator[tuple[int, int]]:
    if source.title and source.text.startswith(source.title):
        yield 0, len(source.title)
    elif (first := _FIRST_LINE.match(source.text)) and len(first[1]) <= LONGEST and not _SENTENCE.search(first[1]):
        yield first.span(1)
    for heading in _HEADING.finditer(source.text):
        if len(heading[0]) <= LONGEST:
            yield heading.span()
