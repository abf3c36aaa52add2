"""What a cell of text and a label must look like; everything else is an error with row and column."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from pathlib import Path
from typing import Final

from bistill.data.queries.same_text import is_blank, without_invisible
from bistill.data.read.dialect import LONGEST_TEXT
from bistill.data.read.encoding import SURROGATE, UTF8, TextEncoding, doubtful, unreadable
from bistill.data.read.ids import JOIN
from bistill.errors import RowError

NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
TRUTH: Final = {"true": 1.0, "false": 0.0}  # as pandas and spreadsheets write what JSON writes as true and false
ASIDE: Final = "set bad rows aside with `on_bad_rows` skip"
EDIT: Final = f"correct the row, or {ASIDE}"


def checked_text(value: object, *, file: str | Path, row: int, column: str) -> str:
    """The text of a cell that must hold one.

    Raises:
        RowError: it is no text, nobody can see anything in it, it is too long, or it holds NUL or bytes that are not
            UTF-8.
    """
    if not isinstance(value, str):
        if value is None:
            raise RowError("the cell is empty", file=file, row=row, column=column, found=value, todo=EDIT)
        if isinstance(value, int | float) and not isinstance(value, bool):
            what = "the cell is not text, but a number"
            todo = f"write a number that is meant as text in quotes; if it is the id of a text, {JOIN}; or {ASIDE}"
            raise RowError(what, file=file, row=row, column=column, found=value, todo=todo)
        raise RowError("the cell is not text", file=file, row=row, column=column, found=value, todo=EDIT)
    refuse_bad_characters(value, file=file, row=row, column=column)
    if is_blank(value):
        raise RowError("the cell is empty", file=file, row=row, column=column, found=value, todo=EDIT)
    refuse_too_long(value, file=file, row=row, column=column)
    return value


def titled_text(
    title: object, text: object, *, file: str | Path, row: int, names: tuple[str, str] = ("title", "text")
) -> str:
    """Title and text of a document joined by a space; where one of them is missing or blank, the other alone.

    Args:
        title: the title; None and blank texts are no title.
        text: the text; None and blank texts are none.
        file: the file as the user named it.
        row: the row's number for messages.
        names: of the columns or fields of title and text.

    Raises:
        RowError: both are blank, or one is no text or holds NUL or bytes that are not UTF-8.
    """
    parts = [(value, name) for value, name in zip((title, text), names, strict=True) if not is_nothing(value)]
    if not parts:
        raise RowError("the cell is empty", file=file, row=row, column=names[1], found=text, todo=EDIT)
    joined = " ".join(checked_text(value, file=file, row=row, column=name) for value, name in parts)
    refuse_too_long(joined, file=file, row=row, column=names[1])
    return joined


def is_nothing(value: object) -> bool:
    """Whether a cell, or an item of a list in it, holds nothing: null, or a text in which nobody can see anything."""
    return value is None or (isinstance(value, str) and is_blank(value))


def refuse_too_long(value: str, *, file: str | Path, row: int, column: str) -> None:
    """Raise RowError where a text is longer than a field of the CSV files that `bistill prepare` writes may be."""
    if len(value) > LONGEST_TEXT:
        what = f"a text of {len(value):,} characters; {LONGEST_TEXT:,} is the most"
        raise RowError(what, file=file, row=row, column=column, found=value[:200], todo=EDIT)


def refuse_bad_characters(
    value: str, *, file: str | Path, row: int, column: str, encoding: TextEncoding = UTF8
) -> None:
    """Raise RowError where a text holds NUL, or was not or not surely decoded from the file's encoding."""
    if "\0" in value:
        at = value.index("\0")
        around = value[max(0, at - 20) : at + 20]
        raise RowError(
            f"NUL at character {at + 1} of the cell", file=file, row=row, column=column, found=around, todo=EDIT
        )
    if value.isascii():
        return
    if lone := SURROGATE.search(value):
        what, found, todo = unreadable(value, lone.start(), encoding)
        raise RowError(what, file=file, row=row, column=column, found=found, todo=todo)
    if what := doubtful(value, encoding):
        todo = f"save the file as UTF-8, {EDIT}"
        raise RowError(what, file=file, row=row, column=column, found=value, todo=todo)


def checked_label(value: object, *, file: str | Path, row: int, column: str, maximum: float | None) -> float:
    """The label of a cell as the file gives it, not yet normalised.

    Raises:
        RowError: it is missing, not a number, NaN, infinite, negative or above ``maximum``.
    """
    number, what = number_of(value)
    if not what and math.isnan(number):
        what = "the label is not a number (NaN)"
    if not what and (number < 0 or math.isinf(number) or (maximum is not None and number > maximum)):
        allowed = f"labels go from 0 to {maximum:g}" if maximum is not None else "labels are 0 or a finite number above"
        what = f"the label is out of range: {allowed}"
    if what:
        raise RowError(what, file=file, row=row, column=column, found=value, todo=_label_advice(value))
    return number


def number_of(value: object) -> tuple[float, str]:
    """The number that a label is, or what is wrong with it. True and False are 1 and 0, as texts, too."""
    if isinstance(value, str):
        text = without_invisible(value).strip()
        if not text:
            return math.nan, "the label is empty"
        if text.casefold() in TRUTH:
            return TRUTH[text.casefold()], ""
        return (float(text), "") if NUMBER.fullmatch(text) else (math.nan, "the label is not a number")
    if value is None:
        return math.nan, "the label is empty"
    if isinstance(value, int | float | Decimal):
        return as_float(value), ""
    return math.nan, "the label is not a number"


def as_float(value: float | Decimal) -> float:
    """A number as a float; an integer beyond all floats is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _label_advice(value: object) -> str:
    if is_nothing(value):
        return f"{EDIT}; `bistill evaluate` takes a file that was judged in part with `partly_judged`"
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+,\d+\s*", value):
        return f"write the number with a point ({value.strip().replace(',', '.')}), or {ASIDE}"
    if isinstance(value, str) and re.search(r"[^\W\d]", value):
        return f"write 1 for relevant and 0 for not, or a grade as a number, or {ASIDE}"
    return EDIT
