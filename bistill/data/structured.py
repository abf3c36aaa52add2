"""Cells that are objects: a title joined with its text, as for a BEIR corpus."""

from __future__ import annotations

from pathlib import Path

from bistill.data.same_text import is_blank
from bistill.data.validation import EDIT, checked_text
from bistill.errors import RowError


def titled_text(title: object, text: object, *, file: str | Path, row: int, column: str = "") -> str:
    """Title and text of a document joined by a space; where one of them is missing or blank, the other alone.

    Args:
        title: the title; None and blank texts are no title.
        text: the text; None and blank texts are none.
        file: the file as the user named it.
        row: the row's number for messages.
        column: the column that holds both; "" where they are columns themselves.

    Raises:
        RowError: both are blank, or one is no text or holds NUL or bytes that are not UTF-8.
    """
    inside = f"{column}." if column else ""
    parts = [(value, name) for value, name in ((title, "title"), (text, "text")) if not _is_none(value)]
    if not parts:
        raise RowError("the cell is empty", file=file, row=row, column=f"{inside}text", found=text, todo=EDIT)
    return " ".join(checked_text(value, file=file, row=row, column=inside + name) for value, name in parts)


def _is_none(value: object) -> bool:
    return value is None or (isinstance(value, str) and is_blank(value))
