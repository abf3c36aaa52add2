"""Slips of fingers: on the Latin keyboard by letters, on the Korean one (두벌식) by the letters of a syllable."""

from __future__ import annotations

from typing import Final

import numpy as np

_ROWS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# The letters of the Korean keyboard on the same keys.
_KOREAN_ROWS: Final = ("ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ", "ㅁㄴㅇㄹㅎㅗㅓㅏㅣ", "ㅋㅌㅊㅍㅠㅜㅡ")
_FIRST: Final = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS: Final = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_LAST: Final = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
# Shift forgotten, and vowels that are said alike.
_CONFUSED: Final = {
    **dict(zip("ㄲㄸㅃㅆㅉ", "ㄱㄷㅂㅅㅈ", strict=True)),
    **dict(zip("ㅐㅔㅒㅖㅙㅚㅞ", "ㅔㅐㅐㅔㅚㅙㅙ", strict=True)),
}
_BASE: Final = 0xAC00


def _neighbours(rows: tuple[str, ...]) -> dict[str, str]:
    """Keys left and right of each key, and those above and below that touch it."""
    found = {}
    for line, keys in enumerate(rows):
        for place, key in enumerate(keys):
            beside = [(line, place - 1), (line, place + 1), (line - 1, place), (line - 1, place + 1)]
            beside += [(line + 1, place - 1), (line + 1, place)]
            inside = [rows[row][at] for row, at in beside if 0 <= row < len(rows) and 0 <= at < len(rows[row])]
            found[key] = "".join(inside)
    return found


LATIN: Final = _neighbours(_ROWS)
KOREAN: Final = _neighbours(_KOREAN_ROWS)


def latin_slip(word: str, chance: np.random.Generator) -> str:
    """A word of at least four letters with two neighbouring letters swapped, one left out, one twice, or one of a
    neighbouring key; never its first letter."""
    place = int(chance.integers(1, len(word) - 1))
    kind = int(chance.integers(4))
    letter, rest = word[place], word[place + 1 :]
    if kind == 0:
        return word[:place] + rest[0] + letter + rest[1:]
    if kind == 1:
        return word[:place] + rest
    keys = LATIN.get(letter.lower(), "")
    if kind == 2 or not keys:
        return word[: place + 1] + letter + rest
    return word[:place] + keys[int(chance.integers(len(keys)))] + rest


def korean_slip(syllable: str, following: str, chance: np.random.Generator) -> tuple[str, str]:
    """A syllable, and the one behind it, with a slip: its last consonant moved into a following syllable that begins
    with a vowel; a vowel that is said alike or shift forgotten; a letter of a neighbouring key; the last consonant left
    out.

    Args:
        syllable: of the block U+AC00 to U+D7A3.
        following: likewise, or anything else where no syllable follows.
        chance: which slip, of those that the syllable allows.

    Returns:
        Both; they are as they were where the syllable allows none.
    """
    first, vowel, last = _taken_apart(syllable)
    found = [(joined, following) for joined in _other_letters(first, vowel, last)]
    if _is_syllable(following) and last in _FIRST and _taken_apart(following)[0] == "ㅇ" and last != "ㅇ":
        _, next_vowel, next_last = _taken_apart(following)
        found.append((_joined(first, vowel, " "), _joined(last, next_vowel, next_last)))
    return found[int(chance.integers(len(found)))] if found else (syllable, following)


def _other_letters(first: str, vowel: str, last: str) -> list[str]:
    """The syllables that a single slip makes of one."""
    firsts = [key for key in (*KOREAN.get(first, ""), *_CONFUSED.get(first, "")) if key in _FIRST]
    vowels = [key for key in (*KOREAN.get(vowel, ""), *_CONFUSED.get(vowel, "") * 3) if key in _VOWELS]
    lasts = [key for key in (*_CONFUSED.get(last, "") * 3, " ") if last != " " and key in _LAST]
    made = [_joined(key, vowel, last) for key in firsts] + [_joined(first, key, last) for key in vowels]
    return made + [_joined(first, vowel, key) for key in lasts]


def _is_syllable(sign: str) -> bool:
    return len(sign) == 1 and "가" <= sign <= "힣"


def _taken_apart(syllable: str) -> tuple[str, str, str]:
    code = ord(syllable) - _BASE
    return _FIRST[code // 588], _VOWELS[code % 588 // 28], _LAST[code % 28]


def _joined(first: str, vowel: str, last: str) -> str:
    return chr(_BASE + _FIRST.index(first) * 588 + _VOWELS.index(vowel) * 28 + _LAST.index(last))
