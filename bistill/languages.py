"""English and Korean: what a user reads is written in English, and each text has its Korean in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Language = Literal["en", "ko"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "ko")


def said(korean: Mapping[str, str], english: str, language: Language, values: Mapping[str, object]) -> str:
    """A text in a language; one that the table lacks, such as "nDCG@10", stays as it is.

    Args:
        korean: the Korean of each text.
        english: the text; names in braces stand for values.
        language: that is spoken.
        values: by name; empty for a text whose braces are its own.
    """
    text = korean.get(english, english) if language == "ko" else english
    return text.format(**values) if values else text


def of_locale(environment: Mapping[str, str], encoding: str) -> Language:
    """The language of a terminal.

    Args:
        environment: variables of the process, of which the first set one of LC_ALL, LC_MESSAGES and LANG decides.
        encoding: of standard output; where it has no Hangul, English is spoken.
    """
    named = next(filter(None, map(environment.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    try:
        "한글".encode(encoding)
    except (UnicodeError, LookupError):
        return "en"
    return "ko" if named.startswith("ko") else "en"
