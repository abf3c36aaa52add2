"""Whether text that was decoded as cp949 is Korean, or the bytes of another encoding that happen to be valid."""

from __future__ import annotations

import functools
import re
from collections import Counter
from typing import Final

# Syllables that make up seven eighths of Korean text of any kind (encyclopaedia, questions, commands). Of the syllables
# that the bytes of other encodings turn into, they are one eighth.
FREQUENT: Final = frozenset(
    "가각간감강개거건것게겠결경계고공과관교구국군권그금급기김까나난날남내네년노누니다단달당대더던데도동되된될두뒤드든들등디"
    "때또라란람래러런레력령로론료루류르른를리린름마만많말매면명모목몇무문물미민바박반발방배백버번베별병보복본볼부북분불브비빌"
    "사산살상새색생서석선설성세소속손송수순술스습승시식신실심아안알았야약양어언얼없었업에여역연열였영예오온와왔외요용우운울움워원"
    "월위유육으은을음의이인일임입있자작장재저적전절점정제조족종좋주준줄중즈지직진질집차참책처천청체초최추축출치친카커코크클키"
    "타탄태터테토통트특티파판편평포표품프피필하학한할함합해했행향허현형호혼화확환활황회효후히며같및"
)
# Two natural logarithms of how much likelier each kind of character is in Korean than in the bytes of other encodings,
# rounded to the careful side: 0.87 / 0.12 for a frequent syllable, 0.13 / 0.88 for another one of KS X 1001, and less
# than one in a thousand of Korean text is a syllable outside of it or a broken byte.
FREQUENT_WEIGHT: Final = 2.0
OTHER_WEIGHT: Final = -2.0
RARE_WEIGHT: Final = -4.0
HANJA_WEIGHT: Final = -0.5
ENOUGH: Final = 2.0
LONGEST_WORD: Final = 64

_HANGUL_WORD: Final = re.compile("[가-힣]+")
_NEXT_TO_ASCII: Final = re.compile("(?:(?<=[0-9A-Za-z])[가-힣](?![가-힣]))|(?:(?<![가-힣])[가-힣](?=[0-9A-Za-z]))")
_HANJA: Final = re.compile("[\u4e00-\u9fff\uf900-\ufaff]")
_BROKEN: Final = re.compile("[\udc80-\udcff]")


class Evidence:
    """For or against Korean, summed over a file whose text streams by."""

    def __init__(self) -> None:
        self.score = 0.0
        self.words = 0

    @property
    def is_korean(self) -> bool:
        """Whether there is a word of several common syllables, and Korean the likelier explanation of all of them."""
        return self.words > 0 and self.score >= ENOUGH

    def see(self, text: str) -> None:
        """Take note of a piece of text, whole words, decoded as cp949 with "surrogateescape"."""
        if text.isascii():
            return
        rare = _rare_syllables()
        for word, count in Counter(_HANGUL_WORD.findall(text)).items():
            several = len(set(word)) > 1  # a row of one sign, such as an underline of dots, is no word
            frequent = sum(syllable in FREQUENT for syllable in word)
            outside = sum(syllable in rare for syllable in word)
            others = len(word) - frequent - outside
            self.score += count * (others * OTHER_WEIGHT + outside * RARE_WEIGHT)
            self.score += count * frequent * FREQUENT_WEIGHT * (several or len(word) == 1)
            self.words += count * (several and not outside)
        # "3개" is Korean, and so would be any two signs of another encoding between digits: it counts for neither.
        alone = sum(syllable in FREQUENT for syllable in _NEXT_TO_ASCII.findall(text))
        self.score -= alone * FREQUENT_WEIGHT
        self.score += len(_HANJA.findall(text)) * HANJA_WEIGHT + len(_BROKEN.findall(text)) * RARE_WEIGHT


def end_of_whole_words(text: str) -> int:
    """Where the last word of a piece of text begins, if that may go on in the next piece; else the end of the text."""
    end = len(text)
    while end > 0 and len(text) - end < LONGEST_WORD and _HANGUL_WORD.match(text[end - 1]):
        end -= 1
    return end


def has_stray_syllable(text: str) -> bool:
    """Whether a syllable outside KS X 1001 stands alone in a text without one Korean word."""
    if text.isascii():
        return False
    words = _HANGUL_WORD.findall(text)
    rare = _rare_syllables()
    return any(len(word) == 1 and word in rare for word in words) and not any(
        len(word) > 1 and not rare.intersection(word) for word in words
    )


@functools.cache
def _rare_syllables() -> frozenset[str]:
    """The 8,822 syllables of cp949 that KS X 1001 does not have: their first or second byte lies outside its table."""
    syllables = [chr(code) for code in range(0xAC00, 0xD7A4)]
    pairs = "".join(syllables).encode("cp949")
    return frozenset(
        syllable for place, syllable in enumerate(syllables) if pairs[2 * place] < 0xB0 or pairs[2 * place + 1] < 0xA1
    )
