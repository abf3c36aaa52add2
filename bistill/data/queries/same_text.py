"""The one definition of "the same text": what evaluation, mining and batches take for copies of each other.

Two texts are the same where they differ only in the form of Unicode (NFC or NFD), case, width of letters, characters
that nobody can see, and white space. Digits in circles, superscripts and punctuation are kept apart: "x²" is not "x2".
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from typing import Final, Literal

# Default_Ignorable_Code_Point of Unicode 16 (DerivedCoreProperties.txt), and control and format characters that have
# no width either. The blank pattern of Braille (U+2800) is used as an invisible letter and counts, too.
_INVISIBLE: Final = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
INVISIBLE: Final = re.compile(f"[{_INVISIBLE}]+")
_VISIBLE: Final = re.compile(rf"[^{_INVISIBLE}\s]")
# Letters of other than usual width; the blank of full width (U+3000) is white space and needs no entry.
_USUAL_WIDTH: Final = {
    code: unicodedata.normalize("NFKC", chr(code))
    for code in range(0xFF01, 0xFFEF)
    if unicodedata.decomposition(chr(code)).startswith(("<wide>", "<narrow>"))
}
_OTHER_WIDTH: Final = re.compile("[\uff01-\uffee]")
# Python sorts the marks on one letter by insertion: a run of 30,000 takes a second, of a million a quarter of an hour.
# Unicode's stream-safe text format (UAX #15, section 13) ends a run after 30, with a character that nobody can see.
LONGEST_RUN: Final = 30
_END_OF_RUN: Final = "\u034f"
_MARKS_MATTER_FROM: Final = 1000


def is_blank(text: str) -> bool:
    """Whether nobody can see anything in a text: it is empty, white space, or invisible characters alone."""
    return _VISIBLE.search(text) is None


def without_invisible(text: str) -> str:
    """A text without the characters that nobody can see, such as zero-width spaces and byte order marks."""
    return text if text.isascii() and text.isprintable() else INVISIBLE.sub("", text)


def normalised_form(form: Literal["NFC", "NFKC"], text: str) -> str:
    """A normal form of Unicode in time that is linear in the length of the text."""
    if len(text) >= _MARKS_MATTER_FROM and not text.isascii():
        text = _long_runs().sub(lambda run: run[0] + _END_OF_RUN, text)
    return unicodedata.normalize(form, text)


@functools.cache
def _long_runs() -> re.Pattern[str]:
    """As many marks in a row as are allowed, where one more follows."""
    marks = "".join(re.escape(chr(code)) for code in range(0x300, 0x1E950) if unicodedata.combining(chr(code)))
    return re.compile(f"[{marks}]{{{LONGEST_RUN}}}(?=[{marks}])")


def same_text(text: str) -> str:
    """A form that two texts share exactly where they are the same; see the module."""
    folded = text
    if not text.isascii():
        if _OTHER_WIDTH.search(folded):
            folded = folded.translate(_USUAL_WIDTH)
        folded = normalised_form("NFC", folded)
    folded = without_invisible(folded.casefold())
    if not folded.isascii():
        folded = normalised_form("NFC", folded)  # folding and what stood between two letters may leave them apart
    return " ".join(folded.split())


def text_key(text: str) -> bytes:
    """Eight bytes that two texts share where they are the same (BLAKE2b of ``same_text`` in UTF-8)."""
    return hashlib.blake2b(same_text(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
