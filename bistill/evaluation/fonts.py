"""Fonts of the picture: DejaVu Sans with NanumGothic behind it, so that Hangul is drawn as Hangul."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Final

LATIN: Final = "DejaVu Sans"
KOREAN: Final = "NanumGothic"
KOREAN_PACKAGE: Final = "koreanize_matplotlib"
KOREAN_FILE: Final = "NanumGothic.ttf"
MISSING: Final = "\N{WHITE SQUARE}"


@cache
def families() -> tuple[str, ...]:
    """Font families in the order in which matplotlib looks for a glyph.

    The package that ships NanumGothic is only searched for, not imported: importing it changes matplotlib's settings
    for the whole process.
    """
    from matplotlib import font_manager

    spec = importlib.util.find_spec(KOREAN_PACKAGE)
    if spec is None or spec.origin is None:
        return (LATIN,)
    font_manager.fontManager.addfont(str(Path(spec.origin).parent / "fonts" / KOREAN_FILE))
    return (LATIN, KOREAN)


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
