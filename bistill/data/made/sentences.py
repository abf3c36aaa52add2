"""Sentences of a document in English or Korean, by a plain rule: nothing of the text is lost, changed or moved.

Splitters that protect numbers and quotations by placeholders, or look for the end of a quotation, lose text, change it
or never come back (kss issues 6, 29, 57, 60). Here a sentence is what lies between two places, and a place is found by
what stands a few characters around it, so that the time is linear in the length of the text.
"""

from __future__ import annotations

import re
from typing import Final

from bistill.data.made.found import Found, Source, within, words

_END: Final = re.compile(r"[.!?…。！？]+[\"'”’」』)\]»]*|[\r\n]\s*")
_MARKS: Final = (".", "!", "?", "…", "。", "！", "？")
_CLOSING: Final = "\"'”’」』"
# What goes on with a sentence whose quotation has ended: “가자.” 라고 말했다.
_QUOTING: Final = re.compile(r"\s*(?:이?라고|이?라는|이?라며|이?라면서|하고|하며|고|며)(?![가-힣]*다\b)")
_FULL_STOPS: Final = """
dr mr mrs ms prof st vs fig figs al no nos vol jr sr inc ltd co approx dept cf ca ed eds pp p e.g i.e sp spp ref
eq jan feb mar apr jun jul aug sep sept oct nov dec gen col lt sgt rev hon
"""
_WITH_FULL_STOP: Final = frozenset(_FULL_STOPS.split())
LONGEST_WITH_FULL_STOP: Final = 8
_LETTERS_BEFORE: Final = re.compile(r"[^\W\d_](?:[\w.]*\w)?$")
FEWEST_WORDS: Final = {"english": 4, "korean": 3}
MOST_WORDS: Final = 16
LONGEST: Final = 120
# Words that lead over from the sentence before, and headings of abstracts.
LEADING: Final = re.compile(
    r"(?:(?:however|therefore|thus|hence|moreover|furthermore|in addition|additionally|for example|for instance|finally"
    r"|(?:in|by) contrast|in conclusion|consequently|interestingly|also|then|background|objectives?|methods?|results?"
    r"|conclusions?|motivation|purpose|aims?)\s?[,:]"
    r"|(?-i:(?:BACKGROUND|OBJECTIVES?|METHODS?|RESULTS?|FINDINGS?|CONCLUSIONS?|PURPOSE|INTERPRETATION) (?=[A-Z][a-z]))"
    r"|(?:그러나|하지만|그런데|그리고|또한|또|특히|따라서|그래서|즉|한편|예를 들어|예컨대|다만),?(?= ))\s*",
    re.I,
)
# What somebody who has not read the sentence before cannot know.
POINTING: Final = re.compile(
    r"(?:(?:this|that|these|those|it|its|they|their|he|his|she|her|such|there|here|both|see|one|some|others?"
    r"|and|but|or|so|because|which|who|at th\w+|in th\w+|for th\w+|by th\w+)\b"
    r"|(?:이|그|저|이는|그는|그녀[가-힣]*|이것[가-힣]*|그것[가-힣]*|이러한|그러한|이런|그런|그의|이들[가-힣]*"
    r"|그들[가-힣]*|이때|그때|여기[가-힣]*|이에|이를|이로|이로서|이로써|이와|그와|당시|이후)(?:\s|,|$))",
    re.I,
)
SPEAKING: Final = re.compile(r"\b(?:we|our|us|i|my|you|your)\b", re.I)
_HANGUL: Final = re.compile("[가-힣]")


def sentences(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, blanks around it left out; together they hold all that is not blank.

    A sentence ends with its line, unless the next line goes on with a small letter, as hard wrapped text does.
    """
    found, start = [], 0
    for match in _END.finditer(text):
        if match.end() > start and _ends(text, start, match):
            found.append((start, match.end()))
            start = match.end()
    found.append((start, len(text)))
    stripped = ((begin + _blank(text[begin:end]), begin + len(text[begin:end].rstrip())) for begin, end in found)
    return [(begin, end) for begin, end in stripped if begin < end]


def parts(source: Source) -> list[tuple[int, int]]:
    """Title and sentences of a document: a title has no full stop, and would go on in the first sentence."""
    behind = len(source.title) if source.text.startswith(source.title) else 0
    found = ((start + behind, end + behind) for start, end in sentences(source.text[behind:]))
    return [(0, behind), *found] if behind else list(found)


def candidates(source: Source) -> list[Found]:
    """Each sentence that is understood without the others, in the order of the document; its title is none.

    A word that leads over from the sentence before (However, 그러나) is left out. A sentence that names what it is
    about by a pronoun is none, and so is one in which the authors speak of themselves.
    """
    found = []
    for start, end in parts(source):
        if source.title and end <= len(source.title):
            continue
        query = within(source.text, start, end)
        own = LEADING.sub("", query.query, count=1) if query is not None else ""
        if query is None or own.endswith(("?", "？")) or POINTING.match(own) or SPEAKING.search(own):
            continue
        if fewest(own) <= len(words(own)) <= MOST_WORDS and len(own) <= LONGEST:
            found.append(Found(own, query.spans))
    return found


def fewest(query: str) -> int:
    """How many words a sentence or question has at least that somebody understands without its text."""
    return FEWEST_WORDS["korean" if _HANGUL.search(query) else "english"]


def _blank(text: str) -> int:
    return len(text) - len(text.lstrip())


def _ends(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether a sentence that begins at ``start`` ends with a mark or line break."""
    mark, after = match[0], text[match.end() : match.end() + 2]
    if mark[0] in "\r\n":
        stands_alone = text[match.start() - 1 : match.start()] in _MARKS or len(mark.replace("\r\n", "\n")) > 1
        return stands_alone or not ("a" <= after[:1] <= "z")
    if not after or mark[0] in "。！？":
        return True
    if mark[-1] in ")]" and not text.startswith(("(", "["), start + _blank(text[start : start + 80])):
        return False
    if mark[-1] in _CLOSING and _QUOTING.match(text, match.end(), match.end() + 12):
        return False
    before = text[max(start, match.start() - LONGEST_WITH_FULL_STOP - 1) : match.start()]
    if not after[0].isspace():
        return mark.rstrip(_CLOSING) == "." and _runs_on(before, after)
    following = text[match.end() : match.end() + 8].lstrip()[:1]
    return mark[0] != "." or not (following.islower() or _goes_on(text[start : match.start()][-40:], before, following))


def _runs_on(before: str, after: str) -> bool:
    """Whether a sentence begins right behind a full stop: "is seen.A scan", "이다.그러나"."""
    if _HANGUL.match(before[-1:]):
        return bool(_HANGUL.match(after)) or "A" <= after[0] <= "Z"
    if "/" in before or "www" in before or not "A" <= after[0] <= "Z":
        return False
    last = before[-2:]
    if len(before) > 2 and all("a" <= sign <= "z" or sign in ")]%" for sign in last):
        return not after[1:].isupper()
    return len(last) == 2 and last.isalnum() and (after[1:].islower() or after[1:].isspace())


def _goes_on(sentence: str, before: str, following: str) -> bool:
    """Whether a full stop ends a number of a list, an initial, or a word that is written with one."""
    if sentence.strip().isdigit():
        return True
    word = _LETTERS_BEFORE.search(before)
    if word is None:
        return False
    last = word[0].rpartition(".")[2]
    if len(last) == 1 and last.isascii() and last.isupper():
        return True
    return word[0].lower() in _WITH_FULL_STOP and bool(following)
