"""In which encoding a text file is, found by its content; what is in doubt is not read.

UTF-8, and UTF-16 or UTF-32 with a byte order mark, can be told for certain. cp949 (Korean Windows) cannot: nearly any
bytes of another encoding are some text in it. It is taken only where that text is plausibly Korean. Everything else
above ASCII stays undecoded, so that each cell which holds some is refused, with its two likeliest readings.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TextIO, cast

from bistill.data.read import korean
from bistill.errors import DataError

CHUNK_BYTES: Final = 1 << 20
SURROGATE: Final = re.compile("[\ud800-\udfff]")
BROKEN: Final = "bistill.undecodable"
# A character of three bytes or more is hardly ever found by chance in text that is not UTF-8.
_LONG_CHARACTER: Final = re.compile("[\u0800-\ud7ff\ue000-\U0010ffff]")
_TWO_BYTES: Final = re.compile("[\u0080-\u07ff]")
_AROUND: Final = 30


@dataclass(frozen=True)
class TextEncoding:
    """How the bytes of a file become text.

    Attributes:
        codec: its name for Python.
        name: its name in messages.
        note: what is said of the file; "" for UTF-8.
    """

    codec: str
    name: str
    note: str = ""

    @property
    def in_doubt(self) -> bool:
        """Whether only the ASCII part of the file can be read."""
        return self.codec == "ascii"


UTF8: Final = TextEncoding("utf-8-sig", "UTF-8")
CP949: Final = TextEncoding("cp949", "cp949", "read as cp949 (Korean Windows), not UTF-8")
UTF16: Final = TextEncoding("utf-16", "UTF-16", "read as UTF-16, not UTF-8")
UTF32: Final = TextEncoding("utf-32", "UTF-32", "read as UTF-32, not UTF-8")
UNKNOWN: Final = TextEncoding("ascii", "UTF-8")
# The mark of UTF-32 begins with that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF8, UTF8),
    (codecs.BOM_UTF32_LE, UTF32),
    (codecs.BOM_UTF32_BE, UTF32),
    (codecs.BOM_UTF16_LE, UTF16),
    (codecs.BOM_UTF16_BE, UTF16),
)


def detect_encoding(file: Path) -> TextEncoding:
    """Encoding of a text file, by its whole content (a .gz file is unpacked), in flat memory.

    A UTF-8 file with a few broken bytes stays UTF-8, so that these are reported.

    Raises:
        DataError: the file is missing, or UTF-16 without a byte order mark.
        EOFError, OSError, zlib.error: a .gz file is damaged.
    """
    with open_bytes(file) as raw:
        start = raw.read(4096)
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    if _is_utf16(start):
        raise DataError(
            "the file looks like UTF-16, but the byte order mark at its beginning is missing",
            where=str(file),
            found=start[:24],
            todo="save it as UTF-8",
        )
    try:
        for _ in _decoded(file, "utf-8", "strict"):
            pass
    except UnicodeDecodeError:
        if _is_broken_utf8(file):
            return UTF8
        return CP949 if _is_cp949(file) else UNKNOWN
    return UTF8


def open_bytes(file: Path) -> BinaryIO:
    """The content of a file, unpacked where its name ends in .gz.

    Raises:
        DataError: the file is missing.
    """
    try:
        return cast(BinaryIO, gzip.open(file, "rb")) if file.name.lower().endswith(".gz") else file.open("rb")
    except (FileNotFoundError, IsADirectoryError):
        raise DataError("the file does not exist", where=str(file), todo="check the path") from None


def open_text(file: Path, encoding: TextEncoding, *, newline: str) -> TextIO:
    r"""The text of a file. What cannot be decoded becomes lone surrogates, which ``unreadable`` explains.

    Args:
        file: the file, unpacked where its name ends in .gz.
        encoding: as ``detect_encoding`` found it.
        newline: as ``io.TextIOWrapper`` has it: "" ends lines at CR, LF and CRLF, "\\n" at LF alone.
    """
    errors = BROKEN if encoding in (UTF16, UTF32) else "surrogateescape"
    return io.TextIOWrapper(open_bytes(file), encoding=encoding.codec, errors=errors, newline=newline)


def unreadable(value: str, at: int, encoding: TextEncoding) -> tuple[str, object, str]:
    """What is wrong with the lone surrogate at a place of a cell: the fact, what was found, and what to do."""
    code = ord(value[at])
    found: object = bytes([code - 0xDC00]) if 0xDC80 <= code <= 0xDCFF else value[at]
    todo = "save the file as UTF-8, correct the row, or set bad rows aside with `on_bad_rows` skip"
    if not encoding.in_doubt:
        return f"bytes that are not {encoding.name}, at character {at + 1} of the cell", found, todo
    return (
        f"bytes that are not UTF-8, at character {at + 1} of the cell, and the file is not plainly Korean: "
        + _readings(value, at),
        found,
        "save the file as UTF-8 (in Excel: CSV UTF-8), or convert it: iconv -f NAME -t utf-8, where NAME is the "
        "reading that is right; or set bad rows aside with `on_bad_rows` skip",
    )


def doubtful(value: str, encoding: TextEncoding) -> str:
    """What is doubtful about a cell that could be decoded; "" for nothing.

    In a cp949 file that is a syllable which no word surrounds: a degree sign of another encoding with the letter behind
    it would be one.
    """
    if encoding is not CP949 or not korean.has_stray_syllable(value):
        return ""
    raw = value.encode("cp949")
    return f"text that is not plainly Korean: as cp949 {_cut(value)!r}, as cp1252 {_cut(_as(raw, 'cp1252'))!r}"


def _readings(value: str, at: int) -> str:
    raw = value[max(0, at - _AROUND) : at + _AROUND].encode("utf-8", "surrogateescape")
    return f"as cp1252 {_as(raw, 'cp1252')!r}, as cp949 {_as(raw, 'cp949')!r}"


def _as(raw: bytes, codec: str) -> str:
    return raw.decode(codec, "replace")


def _cut(text: str) -> str:
    return text if len(text) <= 2 * _AROUND else text[: 2 * _AROUND] + "..."


def _is_utf16(start: bytes) -> bool:
    """Whether many bytes at even, or many at odd places are NUL, and hardly any at the others."""
    fewer, more = sorted((start[0::2].count(0), start[1::2].count(0)))
    return more * 20 > len(start) and fewer * 10 < more


def _is_broken_utf8(file: Path) -> bool:
    long = short = broken = 0
    for text in _decoded(file, "utf-8", "surrogateescape"):
        long += len(_LONG_CHARACTER.findall(text))
        short += len(_TWO_BYTES.findall(text))
        broken += len(SURROGATE.findall(text))
    return broken <= long + short or broken <= 5 * long


def _is_cp949(file: Path) -> bool:
    evidence = korean.Evidence()
    kept = ""
    for text in _decoded(file, "cp949", "surrogateescape"):
        text = kept + text
        end = korean.end_of_whole_words(text)
        evidence.see(text[:end])
        kept = text[end:]
    evidence.see(kept)
    return evidence.is_korean


def _decoded(file: Path, codec: str, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(codec)(errors)
    with open_bytes(file) as raw:
        while chunk := raw.read(CHUNK_BYTES):
            yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _undecodable(error: UnicodeError) -> tuple[str, int]:
    """An error handler for encodings of wider units, where "surrogateescape" has no sign for the bytes below 128."""
    assert isinstance(error, UnicodeDecodeError)
    return "\ud800", error.end


codecs.register_error(BROKEN, _undecodable)
