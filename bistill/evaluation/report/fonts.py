"""Fonts of picture and page: NanumGothic behind the others, so that Hangul is drawn as Hangul everywhere."""

from __future__ import annotations

import base64
import io
import unicodedata
from functools import cache
from typing import Final

from bistill import packaged

LATIN: Final = "DejaVu Sans"
KOREAN: Final = "NanumGothic"
# Brackets such as \u300a and \u300b, and full-width forms.
BESIDE_HANGUL: Final = (("\u3000", "\u303f"), ("\uff00", "\uffef"))
MISSING: Final = "\N{WHITE SQUARE}"


@cache
def families() -> tuple[str, ...]:
    """Font families in the order in which matplotlib looks for a glyph.

    The package that ships NanumGothic is only searched for, not imported: importing it changes matplotlib's settings
    for the whole process.
    """
    from matplotlib import font_manager

    path = packaged.korean_font()
    if path is None:
        return (LATIN,)
    font_manager.fontManager.addfont(str(path))
    return (LATIN, KOREAN)


def korean_part(text: str) -> str | None:
    """A TrueType font of NanumGothic's Hangul and Hanja in a text, and nothing else, in base64; None without any.

    The page embeds it, since machines without a Korean font, Debian's default among them, would show boxes.
    """
    from fontTools import subset

    path, letters = packaged.korean_font(), set(filter(is_east_asian, set(text)))
    if path is None or not letters:
        return None
    options = subset.Options(hinting=False, layout_features=[], name_IDs=[], notdef_outline=True)
    options.drop_tables += packaged.FONT_SOURCE_TABLES
    font = subset.load_font(str(path), options)
    chosen = subset.Subsetter(options)
    chosen.populate(unicodes=sorted(map(ord, letters)))
    chosen.subset(font)
    written = io.BytesIO()
    subset.save_font(font, written, options)
    font.close()
    return base64.b64encode(written.getvalue()).decode("ascii")


def is_east_asian(letter: str) -> bool:
    """Whether a character is of Hangul, an ideograph, kana, or the punctuation and wide forms beside them."""
    if letter.isspace():
        return False
    named = unicodedata.name(letter, "").startswith(("HANGUL", "CJK", "HIRAGANA", "KATAKANA"))
    return named or any(first <= letter <= last for first, last in BESIDE_HANGUL)


@cache
def _drawable() -> frozenset[int]:
    """Code points that one of the families can draw."""
    from matplotlib import font_manager, ft2font

    points: set[int] = set()
    for family in families():
        points |= ft2font.FT2Font(font_manager.findfont(family)).get_charmap().keys()
    return frozenset(points)


def drawable(text: str) -> str:
    """One line of the text, characters that no font has shown as white squares."""
    known = _drawable()
    return "".join(letter if ord(letter) in known else MISSING for letter in " ".join(text.split()))
