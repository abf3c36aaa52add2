"""The queries of one document: functions of its text, the seed and the settings, whatever other documents there are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from bistill.data.made import cropped, keyphrases, questions, sentences, titles
from bistill.data.made.found import Found, Source, share_of
from bistill.data.made.mistakes import typed
from bistill.data.queries.same_text import same_text
from bistill.data.queries.taken_out import joined, left_without, written
from bistill.data.sampling import generator
from bistill.data.settings import MadeKind, Making

# Longer queries are none that somebody types, and a query that is most of its document asks for nothing in it.
LONGEST: Final = 150
MOST_WORDS: Final = 20
MOST_OF_DOCUMENT: Final = 0.6
# A document without the query must still be one.
MOST_TAKEN_OUT: Final = 0.5
FEWEST_WORDS_LEFT: Final = 10

# The kind of queries that a language model writes.
WRITTEN: Final = "written"

# What a kind finds in a document, in the order in which it is tried. A new kind is a file, a name in ``MadeKind`` and a
# line here.
KINDS: Final[dict[MadeKind, Callable[[Source, np.random.Generator], Iterable[Found]]]] = {
    "titles": lambda source, chance: _likely_first(titles.candidates(source), chance),
    "questions": lambda source, chance: _shuffled(questions.candidates(source), chance),
    "sentences": lambda source, chance: _shuffled(sentences.candidates(source), chance),
    "spans": cropped.candidates,
    "keyphrases": keyphrases.candidates,
}


class Made(NamedTuple):
    """A made query.

    Attributes:
        query: as a person would type it.
        source: the document.
        kind: which of ``MadeKind``.
        typed: names of the changes that people make when they type; "" where it stands in the document as it is.
        taken_out: the characters of the source that the query's own lists lack (``queries.taken_out``); "" where it
            is to stay whole.
    """

    query: str
    source: str
    kind: str
    typed: str
    taken_out: str


def made_from(source: Source, making: Making) -> Iterator[Made]:
    """Up to ``making.each`` queries of a document, no two of them the same text."""
    shares = making.shares or (1.0,) * len(making.kinds)
    known = {same_text(source.text)}
    for number in range(making.each):
        chance = generator(making.seed, "made", _digest(source.text), number)
        drawn = _drawn(source, making.kinds, shares, known, chance)
        if drawn is None:
            return
        kind, found = drawn
        known.add(same_text(found.query))
        yield _finished(source, kind, found, making, chance)


def order_of(source: str, number: int, seed: int) -> int:
    """Where a query stands among those of all documents, of which the first are taken: by its number in its document,
    then by a hash of seed and document: 63 bits."""
    digest = hashlib.blake2b(f"{seed}\x1f{_digest(source)}".encode(), digest_size=7).digest()
    return number << 56 | int.from_bytes(digest)


def _drawn(
    source: Source,
    kinds: tuple[MadeKind, ...],
    shares: tuple[float, ...],
    known: set[str],
    chance: np.random.Generator,
) -> tuple[MadeKind, Found] | None:
    """The kinds in an order by their shares (Efraimidis and Spirakis 2006), and the first query that will do."""
    keys = {kind: float(chance.random()) ** (1 / share) for kind, share in zip(kinds, shares, strict=True) if share}
    for kind in sorted(keys, key=lambda kind: -keys[kind]):
        for found in KINDS[kind](source, chance):
            if _will_do(source.text, found) and same_text(found.query) not in known:
                return kind, found
    return None


def _will_do(text: str, found: Found) -> bool:
    return is_query(found.query) and share_of(text, found.spans) <= MOST_OF_DOCUMENT


def is_query(query: str) -> bool:
    """Whether a text has the length and the letters of one that somebody types, and is no address."""
    if not 2 <= len(query) <= LONGEST or len(query.split()) > MOST_WORDS or "://" in query or "www." in query:
        return False
    letters = sum(sign.isalpha() for sign in query)
    return letters * 2 >= len(query.replace(" ", ""))


def _finished(source: Source, kind: str, found: Found, making: Making, chance: np.random.Generator) -> Made:
    """The query as it is typed, and its document without it."""
    changed, taken_out = chance.random() < making.typed, chance.random() < making.taken_out
    query, names = typed(found.query, chance) if changed else (found.query, "")
    spans = joined(found.spans)
    left = left_without(source.text, spans) if taken_out and spans else ""
    fits = share_of(source.text, spans) <= MOST_TAKEN_OUT and len(left.split()) >= FEWEST_WORDS_LEFT
    return Made(query, source.text, kind, names, written(spans) if fits else "")


def written_for(source: Source, queries: Sequence[str], making: Making) -> list[Made]:
    """What somebody wrote for a document as made queries, none of them twice: changed as people type like the others,
    and taken out of no document, since they stand in none."""
    known = {same_text(source.text)}
    made = []
    for number, query in enumerate(queries):
        if is_query(query) and same_text(query) not in known:
            known.add(same_text(query))
            chance = generator(making.seed, "written", _digest(source.text), number)
            made.append(_finished(source, WRITTEN, Found(query, ()), making, chance))
    return made[: making.each]


def _shuffled(found: list[Found], chance: np.random.Generator) -> list[Found]:
    return [found[int(place)] for place in chance.permutation(len(found))]


def _likely_first(found: list[Found], chance: np.random.Generator) -> list[Found]:
    """The title before its headings half of the times: it says most."""
    return found if chance.random() < 0.5 else _shuffled(found, chance)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).hexdigest()
