"""A query as people type it: words left out, Korean particles and spacing dropped, slips, small letters, no mark."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import numpy as np

from bistill.data.made.keyboard import korean_slip, latin_slip
from bistill.data.made.korean import HANGUL, analysed
from bistill.data.made.stop_words import STOP_WORDS

FEWEST_WORDS: Final = 2
# Of the particles, the gaps and the stop words of a query that a person leaves out at all.
PARTICLES_DROPPED: Final = 0.8
GAPS_DROPPED: Final = 0.4
STOP_WORDS_DROPPED: Final = 0.8
LETTERS_A_SLIP: Final = 60
# How likely a change is beside the others.
SLIPS: Final = 0.4
# Without these nobody knows what a question asks for.
ASKING: Final = frozenset(
    ("what", "when", "where", "which", "who", "whom", "whose", "why", "how", "no", "not", "without")
)
_LATIN: Final = re.compile(r"[A-Za-z]{4,}")
_SYLLABLE: Final = re.compile("[가-힣]")
_HANGUL_GAP: Final = re.compile(r"(?<=[가-힣]) (?=[가-힣])")
Change = Callable[[str, np.random.Generator], str]


def typed(query: str, chance: np.random.Generator) -> tuple[str, str]:
    """The query with one or two changes, and their names with a blank between them.

    A query that no change fits stays as it is, and the names are "".

    Args:
        query: words with single blanks between them.
        chance: which changes, and where.
    """
    names: list[str] = []
    text, wanted = query, int(chance.integers(1, 3))
    weights = np.array([SLIPS if name == "slips" else 1.0 for name in CHANGES])
    for name in chance.choice(list(CHANGES), size=len(CHANGES), replace=False, p=weights / weights.sum()).tolist():
        changed = CHANGES[name](text, chance) if len(names) < wanted else text
        if changed != text and changed.strip():
            text = changed
            names.append(name)
    return (_plain(text), " ".join(sorted(names))) if names else (query, "")


def _plain(text: str) -> str:
    """Small letters, and no mark at the end."""
    return text.lower().rstrip("?!.？！。 ") or text


def _words(text: str, chance: np.random.Generator) -> str:
    """Most stop words left out; where there are none, one word of at least four."""
    found = text.split()
    stop = [number for number, word in enumerate(found) if word.lower() in STOP_WORDS - ASKING]
    gone = {number for number in stop if chance.random() < STOP_WORDS_DROPPED}
    if not stop and len(found) >= 2 * FEWEST_WORDS:
        gone = {int(chance.integers(len(found)))}
    kept = [word for number, word in enumerate(found) if number not in gone]
    return " ".join(kept) if len(kept) >= FEWEST_WORDS else text


def _particles(text: str, chance: np.random.Generator) -> str:
    """Most Korean particles dropped; a word that is nothing else stays."""
    for start, end in reversed(analysed(text).particles):
        alone = start == 0 or text[start - 1] == " "
        if not alone and chance.random() < PARTICLES_DROPPED:
            text = text[:start] + text[end:]
    return text


def _spacing(text: str, chance: np.random.Generator) -> str:
    """Blanks between Korean words dropped, at least one."""
    gaps = [match.start() for match in _HANGUL_GAP.finditer(text)]
    if not gaps:
        return text
    surely = int(chance.integers(len(gaps)))
    gone = {gap for number, gap in enumerate(gaps) if number == surely or chance.random() < GAPS_DROPPED}
    return "".join(sign for place, sign in enumerate(text) if place not in gone)


def _slips(text: str, chance: np.random.Generator) -> str:
    """A slip of a finger every so many letters, at least one."""
    for _ in range(1 + len(text) // LETTERS_A_SLIP):
        places = [*_LATIN.finditer(text), *_SYLLABLE.finditer(text)]
        if not places:
            return text
        weights = np.array([len(match[0]) for match in places])
        match = places[int(chance.choice(len(places), p=weights / weights.sum()))]
        start, end = match.span()
        if HANGUL.match(match[0]):
            first, following = korean_slip(match[0], text[end : end + 1], chance)
            text = text[:start] + first + following + text[end + 1 :]
        else:
            text = text[:start] + latin_slip(match[0], chance) + text[end:]
    return text


CHANGES: Final[dict[str, Change]] = {"words": _words, "particles": _particles, "spacing": _spacing, "slips": _slips}
