"""Nouns and particles of Korean text, with their places: by morphemes where kiwipiepy is installed, else by endings."""

from __future__ import annotations

import functools
import importlib.util
import re
from typing import Any, Final, NamedTuple

HANGUL: Final = re.compile("[가-힣]")
KIWI: Final = "kiwipiepy"
# Longer documents are analysed so far: time for a text without blanks grows faster than its length.
LONGEST: Final = 10_000
# Tags of the Sejong corpus: nouns, foreign words, numbers and the prefixes and suffixes that make nouns of nouns.
NOUNS: Final = frozenset({"NNG", "NNP", "SL", "SH", "SN", "XPN", "XSN"})
NAMING: Final = frozenset({"NNG", "NNP", "SL", "SH"})
# Nouns that place or count something else.
_VAGUE: Final = """
경우 정도 이후 이전 가운데 때문 이외 이상 이하 현재 당시 다음 처음 마지막 사이 대부분 일부 모두 자신
우리 여기 거기 저기 동안 이번 오늘 어제 내일 이것 그것 누구 무엇 때 곳 것 수 등 중 전 후 위 아래
안 밖 앞 뒤 옆 속 쪽 편 점 말 뜻 예 번 개 명 년 월 일 시 분 초 날 달 해
"""
VAGUE: Final = frozenset(_VAGUE.split())
# Particles that no word ends with by itself as often; behind at least two syllables.
PARTICLES: Final = re.compile(
    "(?<=[가-힣0-9A-Za-z]{2})(?:에서는|에서도|에서|에게서|에게|까지|부터|으로는|으로|에는|에도|을|를|은|의)(?![가-힣0-9A-Za-z])"
)
_WORD: Final = re.compile("[가-힣0-9A-Za-z]{2,}")


class Korean(NamedTuple):
    """What is known of a Korean text.

    Attributes:
        nouns: start and end of each noun, parts of compound ones joined, in their order.
        particles: likewise of each particle (은, 는, 이, 가, 을, 를, 에서 ...).
    """

    nouns: tuple[tuple[int, int], ...]
    particles: tuple[tuple[int, int], ...]


@functools.lru_cache(maxsize=16)
def analysed(text: str) -> Korean:
    """Nouns and particles of a text; of one without Hangul none.

    What the analyser says is taken where every noun and particle of it stands in the text at the place that it names.
    """
    if not HANGUL.search(text):
        return Korean((), ())
    text = text[:LONGEST]
    return (_by_morphemes(text) if is_installed() else None) or by_endings(text)


def is_installed() -> bool:
    """Whether morphemes can be told."""
    return importlib.util.find_spec(KIWI) is not None


def version() -> str:
    """What decides how Korean is analysed."""
    if not is_installed():
        return "endings"
    import kiwipiepy
    import kiwipiepy_model

    return f"kiwi {kiwipiepy.__version__}, model {kiwipiepy_model.__version__}"


def by_endings(text: str) -> Korean:
    """Without an analyser: what stands before a particle is a noun."""
    particles = tuple(match.span() for match in PARTICLES.finditer(text))
    words = {match.end(): match.start() for match in _WORD.finditer(text)}
    ends = {end: start for start, end in particles}
    nouns = tuple((words[end], ends[end]) for end in sorted(words.keys() & ends.keys()))
    return Korean(nouns, particles)


@functools.cache
def analyser() -> Any:
    """Kiwi, loaded once."""
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=1)


def _by_morphemes(text: str) -> Korean | None:
    """By Kiwi (https://github.com/bab2min/kiwipiepy); None where a form is not what stands at its place."""
    tokens = analyser().tokenize(text)
    if any(token.tag in NOUNS and text[token.start : token.start + token.len] != token.form for token in tokens):
        return None
    nouns: list[tuple[int, int]] = []
    particles: list[tuple[int, int]] = []
    place = 0
    while place < len(tokens):
        last = place
        while last + 1 < len(tokens) and _joins(tokens, last):
            last += 1
        own = tokens[place : last + 1]
        if any(token.tag in NAMING for token in own) and all(token.tag in NOUNS for token in own):
            start, end = own[0].start, own[-1].start + own[-1].len
            if _stands_alone(text, start, tokens[last + 1 :][:3], end):
                nouns.append((start, end))
        particles += [
            (token.start, token.start + token.len) for token in own if token.tag.startswith("J") and token.len
        ]
        place = last + 1
    return Korean(tuple(nouns), tuple(particles))


def _joins(tokens: Any, place: int) -> bool:
    """Whether a noun and the token behind it are parts of a compound."""
    one, other = tokens[place], tokens[place + 1]
    return one.tag in NOUNS and other.tag in NOUNS and one.start + one.len == other.start


def _stands_alone(text: str, start: int, following: Any, end: int) -> bool:
    """Whether a noun is the whole word, or the word without its particles or the copula: neither the root of a verb nor
    what is left of a name that was taken for a noun and something else."""
    if text[start:end] in VAGUE or (start > 0 and (text[start - 1].isalnum() or text[start - 1] in "'’")):
        return False
    for token in following:
        if token.start > end or not HANGUL.match(text[end : end + 1]):
            return True
        if not token.tag.startswith("J"):
            return bool(token.tag == "VCP")
        end = token.start + token.len
    return True
