"""Keyphrases of a document, one to three of them as somebody types search words.

English by RAKE (Rose et al. 2010, "Automatic keyword extraction from individual documents"): a phrase is what stands
between stop words and punctuation; each of its words counts its degree (words that it stands beside in phrases) over
its frequency. Korean likewise, where a phrase is up to three nouns with nothing but blanks between them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import Final

import numpy as np

from bistill.data.made.found import Found, Source, whole_words
from bistill.data.made.korean import HANGUL, analysed
from bistill.data.made.stop_words import STOP_WORDS, VERBS

BEST: Final = 12
MOST: Final = 3
LONGEST_PHRASE: Final = 3
FEWEST_SIGNS: Final = 5
DRAWN: Final = 8
# A mark between two words parts them; a blank or hyphen does not.
_PARTS: Final = re.compile(r"(?<!\.)\d+(?:[.,]\d+)*(?:[\w'’/\-]*\w)?|[^\W\d_](?:[\w'’/\-]*\w)?")
_GAP: Final = re.compile(r"[ \t]{1,2}")
BETWEEN: Final = STOP_WORDS | VERBS
Phrase = tuple[int, int]


def candidates(source: Source, chance: np.random.Generator) -> Iterator[Found]:
    """One to three of the best phrases by chance, in the order of the document.

    Args:
        source: the document.
        chance: where number and choice of the phrases come from: better ones are likelier.
    """
    text = source.text
    best = phrases(source)[:BEST]
    weights = 1 / np.arange(2, len(best) + 2)
    for _ in range(DRAWN if best else 0):
        count = min(int(chance.integers(1, MOST + 1)), len(best))
        drawn = chance.choice(len(best), size=count, replace=False, p=weights / weights.sum())
        chosen = sorted(_apart(text, [best[int(place)] for place in drawn]))
        query = " ".join(" ".join(text[start:end].split()) for start, end in chosen)
        if len(query) >= FEWEST_SIGNS and " " in query:
            yield Found(query, tuple(sorted({whole_words(text, *place) for place in chosen})))


def _apart(text: str, drawn: list[Phrase]) -> list[Phrase]:
    """Phrases without those that share a word with an earlier one."""
    known: set[str] = set()
    kept = []
    for place in drawn:
        own = {*text[slice(*place)].lower().split()}
        if not own & known:
            kept.append(place)
            known |= own
    return kept


def phrases(source: Source) -> list[Phrase]:
    """Start and end of each different phrase where it first stands, the best first.

    A phrase that is there again counts more; one that says a word twice is none.
    """
    text, behind = source.text, len(source.title) if source.text.startswith(source.title) else 0
    split = [
        [(start + offset, end + offset) for start, end in run]
        for offset, piece in ((0, text[:behind]), (behind, text[behind:]))
        for run in (_korean(piece) if HANGUL.search(piece) else _english(piece))
    ]
    frequency, degree = Counter[str](), Counter[str]()
    names = [[text[start:end].lower() for start, end in run] for run in split]
    for name in names:
        frequency.update(name)
        degree.update(word for word in name for _ in name)
    often = Counter(map(tuple, names))
    first = {name: (run[0][0], run[-1][1]) for name, run in reversed(list(zip(map(tuple, names), split, strict=True)))}
    scores = {name: sum(degree[word] / frequency[word] for word in name) + math.log(often[name]) for name in first}
    known = (name for name in first if len({*name}) == len(name))
    return [first[name] for name in sorted(known, key=lambda name: (-scores[name], first[name]))]


def _english(text: str) -> Iterator[list[Phrase]]:
    """Runs of words without a stop word or mark between them; of a long one its last words, where the noun stands."""
    run: list[Phrase] = []
    ends = chain((match.span() for match in _PARTS.finditer(text)), [(len(text), len(text))])
    for start, end in ends:
        word = text[start:end]
        if run and (not _GAP.fullmatch(text[run[-1][1] : start]) or word.lower() in BETWEEN or not word):
            if tells(text, run := _cut(text, run)):
                yield run[-LONGEST_PHRASE:]
            run = []
        if word and word.lower() not in BETWEEN:
            run.append((start, end))


def _cut(text: str, run: list[Phrase]) -> list[Phrase]:
    """A run without adverbs at its ends and participles behind it: "genes normally expressed" is "genes"."""
    while run and text[slice(*run[0])].lower().endswith("ly"):
        run = run[1:]
    while run and text[slice(*run[-1])].lower().endswith(("ly", "ed")):
        run = run[:-1]
    return run


def _korean(text: str) -> Iterator[list[Phrase]]:
    """Runs of nouns with blanks between them."""
    run: list[Phrase] = []
    for place in (*analysed(text).nouns, (len(text), len(text))):
        if run and (
            not _GAP.fullmatch(text[run[-1][1] : place[0]]) or place[0] == len(text) or len(run) == LONGEST_PHRASE
        ):
            if tells(text, run):
                yield run
            run = []
        run.append(place)


def tells(text: str, run: list[Phrase]) -> bool:
    """Whether a run of words says more than a number or a letter."""
    letters = [sign for start, end in run for sign in text[start:end] if sign.isalpha()]
    return len(letters) > (1 if HANGUL.search("".join(letters)) else 2)
