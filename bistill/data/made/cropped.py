"""Spans cropped out of a document's sentences (AugTriever, arXiv 2212.08841): 4 to 12 words in a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from bistill.data.made.found import Found, Source, within, words
from bistill.data.made.korean import analysed
from bistill.data.made.sentences import parts
from bistill.data.made.stop_words import STOP_WORDS

FEWEST: Final = 4
MOST: Final = 12
DRAWN: Final = 16


def candidates(source: Source, chance: np.random.Generator) -> Iterator[Found]:
    """Spans by chance: a length, then a place in the text that has it. Words without a meaning at both ends are cut,
    and the particle of the last word, as a person leaves them out.

    Args:
        source: the document.
        chance: where lengths and places come from.
    """
    places = [own for start, end in parts(source) if len(own := _words(source.text, start, end)) >= FEWEST]
    for _ in range(DRAWN if places else 0):
        length = int(chance.integers(FEWEST, MOST + 1))
        rooms = np.array([max(len(own) - length + 1, 1) for own in places])
        place = places[int(chance.choice(len(places), p=rooms / rooms.sum()))]
        first = int(chance.integers(0, max(len(place) - length, 0) + 1))
        if (query := _span(source.text, place[first : first + length])) is not None:
            yield query


def _words(text: str, start: int, end: int) -> list[tuple[int, int]]:
    return [(start + begin, start + stop) for begin, stop in words(text[start:end])]


def _span(text: str, chosen: list[tuple[int, int]]) -> Found | None:
    """The query of some words in a row; None where fewer than ``FEWEST`` are left."""
    while chosen and _is_empty(text, chosen[0]):
        chosen = chosen[1:]
    while chosen and _is_empty(text, chosen[-1]):
        chosen = chosen[:-1]
    if len(chosen) < FEWEST:
        return None
    start, end = chosen[0][0], chosen[-1][1]
    query = within(text, start, end)
    if query is None:
        return None
    return Found(_without_last_particle(query.query), query.spans)


def _is_empty(text: str, word: tuple[int, int]) -> bool:
    return text[word[0] : word[1]].strip(".,;:()[]\"'").lower() in STOP_WORDS


def _without_last_particle(query: str) -> str:
    particles = analysed(query).particles
    return query[: particles[-1][0]] if particles and particles[-1][1] == len(query) else query
