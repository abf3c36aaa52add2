"""JSON text as a stream of values: how a file is laid out, and its values one by one, whatever its size.

Besides JSON Lines there are files that hold one array, pretty-printed objects one after the other, or a single object
that is a whole data set (``json_document``). Which of them a file is, is told from its content, never from its name:
users rename one into the other.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, TextIO

from bistill.data.read.json_document import is_document
from bistill.errors import DataError

JsonLayout = Literal["lines", "values", "document"]

CHUNK_CHARACTERS: Final = 1 << 20
BLANK: Final = " \t\r\n\ufeff"
# What the parser says near the end of a text that is cut may be right once the rest is there. The longest word that can
# be cut is "-Infinity", the longest escape "\ud83d\ude00".
CUT_CHARACTERS: Final = 16
# Python refuses to read integers of more than 4,300 digits, and no float has more than 309 before its point.
LONGEST_INTEGER: Final = 4300
OBJECTS_WANTED: Final = "write one object on each line (.jsonl), or an array of objects (.json)"


class RepeatedKeyError(ValueError):
    """An object has a key twice."""


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise RepeatedKeyError(f"a key occurs twice among {[name for name, _ in pairs]}")
    return value


def _integer(digits: str) -> int | float:
    """A whole number of JSON; beyond the largest float it is infinite, as one with an exponent is."""
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


DECODER: Final = json.JSONDecoder(object_pairs_hook=_without_repetition, parse_int=_integer)
_LENIENT: Final = json.JSONDecoder(parse_int=_integer)


def layout_of(text: TextIO, file: Path) -> JsonLayout:
    """How a JSON file is laid out; the text is read from its beginning and left there.

    Args:
        text: the file's text, which can be rewound.
        file: the file as messages name it.

    Returns:
        "lines": an object on each line. "values": an array, or objects of several lines each. "document": a single
        object that holds a whole data set.
    """
    start = _first_line(text)
    text.seek(0)
    if start.startswith("["):
        return "values"
    if not start.startswith("{"):
        return "lines"
    try:
        first = DECODER.decode(start)
    except RepeatedKeyError:
        return "lines"
    except (json.JSONDecodeError, RecursionError):
        return _of_several_lines(text, file, certain=start.endswith(("{", "[")))
    return "document" if is_document(first) and len(_first_two(text, file)) == 1 else "lines"


def values(text: TextIO, file: Path) -> Iterator[tuple[int, Any]]:
    """Number and value of each element of a file's arrays and of each value beside them, from 1.

    Memory is that of the largest value. A value with a repeated key comes as a ``RepeatedKeyError``.

    Raises:
        DataError: the text is not JSON, with line and character.
    """
    source = _JsonText(text, file)
    number = 0
    while source.next_sign():
        for value in _elements(source) if source.next_sign() == "[" else (source.value(),):
            number += 1
            yield number, value


def _elements(source: _JsonText) -> Iterator[Any]:
    source.pass_sign()
    if source.next_sign() == "]":
        source.pass_sign()
        return
    while True:
        yield source.value()
        sign = source.next_sign()
        if sign not in (",", "]"):
            raise source.broken("a comma between two objects, or the bracket ] at the end of the array, is missing")
        source.pass_sign()
        if sign == "]":
            return


class _JsonText:
    """A text read on as far as is needed, and the place that has been reached in it."""

    def __init__(self, text: TextIO, file: Path) -> None:
        self.text, self.file = text, file
        self.buffer, self.at = "", 0
        self.lines = 0  # whole lines before the buffer
        self.characters = 0  # and what of the buffer's first line is before it
        self.ended = False

    def next_sign(self) -> str:
        """The next character that is no blank, not yet passed; "" at the end."""
        while True:
            while self.at < len(self.buffer):
                if self.buffer[self.at] not in BLANK:
                    return self.buffer[self.at]
                self.at += 1
            if self.ended:
                return ""
            self._read_on()

    def pass_sign(self) -> None:
        """Go on behind the next character."""
        self.at += 1

    def value(self) -> Any:
        """The value that begins here."""
        self.next_sign()
        while True:
            try:
                value, end = DECODER.raw_decode(self.buffer, self.at)
            except json.JSONDecodeError as error:
                if self.ended or self._is_certain(error):
                    raise self.broken(error.msg, error.pos) from None
            except RepeatedKeyError as error:
                after = self._end_of_value()
                if after is not None:
                    self.at = after
                    return error
            except RecursionError:
                raise self.broken("the objects are nested too deeply") from None
            else:
                if self.ended or end < len(self.buffer) or isinstance(value, str | list | dict):
                    self.at = end
                    return value
            self._read_on()

    def broken(self, reason: str, at: int | None = None) -> DataError:
        """What is said of a text that is not JSON here."""
        at = self.at if at is None else at
        line = self.lines + self.buffer.count("\n", 0, at) + 1
        begin = self.buffer.rfind("\n", 0, at) + 1
        cut = self.ended and (
            reason.startswith("Unterminated")
            or (at >= len(self.buffer.rstrip(BLANK)) and not reason.startswith("Invalid control"))
        )
        return DataError(
            "the file ends in the middle of its JSON" if cut else f"the file is not JSON: {reason}",
            where=f"{self.file}, line {line}, character {at - begin + 1 + (self.characters if begin == 0 else 0)}",
            found=self.buffer[max(begin, at - 40) : at + 40],
            todo="copy it again" if cut else f"correct it there; or {OBJECTS_WANTED}",
        )

    def _end_of_value(self) -> int | None:
        try:
            return _LENIENT.raw_decode(self.buffer, self.at)[1]
        except json.JSONDecodeError:  # the object around the one with the repeated key is cut or broken
            if self.ended:
                raise self.broken("a key occurs twice in an object that is broken, too") from None
            return None

    def _is_certain(self, error: json.JSONDecodeError) -> bool:
        """Whether an error would stay if more of the text were there."""
        return not error.msg.startswith("Unterminated") and error.pos < len(self.buffer) - CUT_CHARACTERS

    def _read_on(self) -> None:
        rest = len(self.buffer) - self.at
        more = self.text.read(max(CHUNK_CHARACTERS, rest))
        self.ended = not more
        self.lines += self.buffer.count("\n", 0, self.at)
        begin = self.buffer.rfind("\n", 0, self.at) + 1
        self.characters = self.at - begin + (self.characters if begin == 0 else 0)
        self.buffer, self.at = self.buffer[self.at :] + more, 0


def _first_line(text: TextIO) -> str:
    """The first line that is not blank, without surrounding blanks; of an array, which may have only one, the start."""
    piece = text.readline(CHUNK_CHARACTERS)
    while piece and not piece.strip(BLANK):
        piece = text.readline(CHUNK_CHARACTERS)
    pieces = [piece]
    while not piece.lstrip(BLANK).startswith("[") and pieces[-1] and not pieces[-1].endswith("\n"):
        pieces.append(text.readline(CHUNK_CHARACTERS))
    return "".join(pieces).strip(BLANK)


def _of_several_lines(text: TextIO, file: Path, *, certain: bool) -> JsonLayout:
    """The layout of a file whose first line alone is no JSON."""
    try:
        found = _first_two(text, file)
    except DataError:
        # A pretty-printed file that is broken somewhere, or lines of which the first is broken.
        return "values" if certain else "lines"
    return "document" if len(found) == 1 and is_document(found[0]) else "values"


def _first_two(text: TextIO, file: Path) -> list[Any]:
    try:
        return [value for _, value in itertools.islice(values(text, file), 2)]
    finally:
        text.seek(0)
