"""Tokens of the lexical miner: words, Korean morphemes, and pairs of characters where words have no gaps.

There is no list of stop words and no stemmer, since the languages of a pool are not known; BM25 gives a token that is
in most documents next to no weight.
"""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

import numpy as np

from bistill.candidates.settings import LexicalTokens
from bistill.data.queries.same_text import normalised_form
from bistill.errors import OptionError

Kind = Literal["words", "morphemes", "bigrams"]
# The tokens of each of some texts, in order.
Tokenizer = Callable[[Sequence[str]], Iterator[list[str]]]

# Syllables and letters; NFKC turns the letters that stand alone into U+1100 and following.
HANGUL: Final = "\u1100-\u11ff\uac00-\ud7a3"
# Chinese characters and Japanese kana, without the marks among them that no word holds.
IDEOGRAPHS: Final = (
    "\u3005\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
RUNS: Final = {
    "words": re.compile(rf"[{IDEOGRAPHS}]+|[^\W{IDEOGRAPHS}]+"),
    "bigrams": re.compile(rf"[{IDEOGRAPHS}]+|[{HANGUL}]+|[^\W{IDEOGRAPHS}{HANGUL}]+"),
    "morphemes": re.compile(rf"[{IDEOGRAPHS}]+|[^\W{IDEOGRAPHS}{HANGUL}]+"),
}
PAIRED: Final = {
    "words": re.compile(rf"[{IDEOGRAPHS}]"),
    "bigrams": re.compile(rf"[{IDEOGRAPHS}{HANGUL}]"),
    "morphemes": re.compile(rf"[{IDEOGRAPHS}]"),
}
ANY_HANGUL: Final = re.compile(rf"[{HANGUL}]")
# Nouns, numerals, stems of verbs and adjectives, roots, and what the analyser cannot tell: what carries a meaning.
# The tags are those of the Sejong corpus, as Kiwi uses them.
CONTENT_TAGS: Final = frozenset({"NNG", "NNP", "NR", "VV", "VA", "XR", "UN"})
# Texts whose tokens are in memory as text at once.
WINDOW: Final = 4_096
KIWI: Final = "kiwipiepy"
KIWI_THREADS: Final = 2
SAMPLE: Final = 1_000


def kind_for(tokens: LexicalTokens, pool: Sequence[str]) -> Kind:
    """The kind of tokens: as asked for, or by what up to 1,000 documents spread evenly over the pool hold.

    Args:
        tokens: auto: where there is Hangul, morphemes if kiwipiepy is installed and else bigrams; words elsewhere.
        pool: documents by id.

    Raises:
        OptionError: morphemes are asked for, and kiwipiepy is not installed.
    """
    installed = importlib.util.find_spec(KIWI) is not None
    if tokens == "morphemes" and not installed:
        raise OptionError(
            "Korean morphemes need kiwipiepy, which is not installed",
            where="`Lexical.tokens`",
            found=tokens,
            todo=f"pip install {KIWI}",
        )
    if tokens != "auto":
        return tokens
    places = np.unique(np.linspace(0, len(pool) - 1, min(SAMPLE, len(pool))).astype(np.int64))
    if not any(ANY_HANGUL.search(normalized(pool[int(place)])) for place in places):
        return "words"
    return "morphemes" if installed else "bigrams"


def tokenizer(kind: Kind) -> Tokenizer:
    """What cuts texts into tokens of a kind."""
    return _Morphemes() if kind == "morphemes" else lambda texts: (runs(kind, normalized(text)) for text in texts)


def version(kind: Kind) -> dict[str, str]:
    """What beside the kind decides the tokens: version of the Unicode tables, and of analyser and its model."""
    versions = {"unicode": unicodedata.unidata_version}
    if kind == "morphemes":
        import kiwipiepy
        import kiwipiepy_model

        versions |= {"kiwi": kiwipiepy.__version__, "kiwi model": kiwipiepy_model.__version__}
    return versions


def normalized(text: str) -> str:
    """Lower case, in the composed form in which Hangul is syllables and a letter of full width is a plain one."""
    return text.lower() if text.isascii() else normalised_form("NFKC", text).lower()


def runs(kind: Kind, text: str) -> list[str]:
    """Words of a normalised text; of a run of ideographs or kana, and with bigrams of Hangul, its character bigrams.

    Bigrams as in Lucene's CJKBigramFilter: all pairs of neighbours, and a character that stands alone as it is.
    Morphemes leave Hangul out here.
    """
    found = RUNS[kind].findall(text)
    if text.isascii():
        return found
    paired = PAIRED[kind]
    return [token for run in found for token in (bigrams(run) if paired.match(run) else (run,))]


def bigrams(run: str) -> list[str]:
    """All pairs of neighbouring characters; of a single character itself."""
    return [run[place : place + 2] for place in range(len(run) - 1)] or [run]


class _Morphemes:
    """Content morphemes of Hangul by Kiwi (https://github.com/bab2min/kiwipiepy), and the words of other scripts."""

    def __init__(self) -> None:
        from kiwipiepy import Kiwi

        self._kiwi: Any = Kiwi(num_workers=KIWI_THREADS)

    def __call__(self, texts: Sequence[str]) -> Iterator[list[str]]:
        clean = [normalized(text) for text in texts]
        # The analyser takes some time a text, so it sees only those that it can say something of.
        korean = [bool(ANY_HANGUL.search(text)) for text in clean]
        analysed = iter(self._kiwi.tokenize([text for text, asked in zip(clean, korean, strict=True) if asked]))
        for text, asked in zip(clean, korean, strict=True):
            yield [*runs("morphemes", text), *(_content(next(analysed)) if asked else ())]


def _content(morphemes: Any) -> list[str]:
    """Forms of the content morphemes that are Hangul; the tag of an irregular stem has an ending (VV-I)."""
    return [
        morpheme.form
        for morpheme in morphemes
        if morpheme.tag.partition("-")[0] in CONTENT_TAGS and ANY_HANGUL.match(morpheme.form)
    ]
