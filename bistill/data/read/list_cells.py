"""Lists that became the text of one cell: as pandas, JSON and numpy write them.

A table has no lists. pandas writes ``['a', 'b']``, other programs ``["a", "b"]``, and a numpy array of texts becomes
``['a' 'b']``. Such a cell is no document. Only columns of positives and negatives may hold lists, and passages beside a
list of labels: in any other column, where a document can well be a line of JSON, it is said if all cells look so.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

from bistill.data.read.columns import ColumnMap
from bistill.errors import RowError

_TEXT: Final = r"""(?:"(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+')"""
_ITEM: Final = rf"(?:{_TEXT}|None|null|nan|NaN)"
ITEMS: Final = re.compile(_ITEM, re.DOTALL)
# Python's and JSON's commas, numpy's blanks and line ends; a list of one may end with a comma.
LIST: Final = re.compile(rf"\[\s*+(?:{_ITEM}(?:\s*+,\s*+{_ITEM}|\s++{_ITEM})*+\s*+,?+\s*+)?+\]", re.DOTALL)
TUPLE: Final = re.compile(rf"\(\s*+{_ITEM}\s*+,(?:\s*+{_ITEM}\s*+,?+)*+\s*+\)", re.DOTALL)
NUMBERS: Final = re.compile(r"\[\s*+[^\s,\[\]]++(?:(?:\s*+,\s*+|\s++)[^\s,\[\]]++)*+\s*+\]")
BEGINS: Final = re.compile(r"""\[\s*+["'{]""")


class ListCells:
    """Reads lists out of the cells of a file, and remembers in which columns."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lists: Counter[str] = Counter()
        self.texts: Counter[str] = Counter()

    def read(self, cell: Any, row: int, column: str) -> Any:
        """The list that a cell of positives or negatives holds; the cell itself where it is a text.

        Raises:
            RowError: it begins as a list and cannot be read as one, for instance since it was cut.
        """
        if not isinstance(cell, str):
            return cell
        found = list_of(cell)
        if found is not None:
            self.lists[column] += 1
            return found
        if BEGINS.match(cell.strip()) and (self.lists[column] or cell.rstrip().endswith("]")):
            raise RowError(
                "the cell looks like a list written as text, but cannot be read as one",
                file=self.file,
                row=row,
                column=column,
                found=cell,
                todo='write it as JSON (["first", "second"]), or each text in a column of its own (negative_1, '
                "negative_2), or set bad rows aside with `on_bad_rows` skip",
            )
        return cell

    def see(self, cell: Any, column: str) -> None:
        """Take note of a cell that stays a text."""
        if isinstance(cell, str) and not self.texts[column]:
            (self.lists if list_of(cell) else self.texts)[column] += 1

    def notes(self, read: tuple[str, ...], kept: tuple[str, ...]) -> list[str]:
        """What is said of columns of positives and negatives, and of those that stay texts."""
        said = [
            f"column {column!r}: {self.lists[column]} cells are lists written as text, read as lists"
            for column in read
            if self.lists[column]
        ]
        return said + [
            f"column {column!r}: all cells look like lists written as text; each is kept as one text"
            for column in kept
            if self.lists[column] and not self.texts[column]
        ]


def read_lists(cells: dict[str, Any], columns: ColumnMap, lists: ListCells, number: int) -> None:
    """Put lists in place of the cells that are the text of one, in columns that may hold lists.

    Args:
        cells: value of each column of a row; changed.
        columns: which column is what.
        lists: of the file.
        number: the row's number for messages.

    Raises:
        RowError: a cell begins as a list and cannot be read as one.
    """
    for name in columns.documents:
        if name in cells:
            cells[name] = lists.read(cells[name], number, name)
    if columns.form == "pairs" and (labels := numbers_of(cells.get(columns.label))) is not None:
        cells[columns.label] = labels
        cells[columns.passage] = lists.read(cells[columns.passage], number, columns.passage)
    for name in columns.others:
        lists.see(cells.get(name), name)


def list_of(cell: str) -> list[Any] | None:
    """The list that a cell is the text of; None where it is another text. Objects in it are left to those who read."""
    text = cell.strip()
    if text[:1] not in ("[", "(") or text[-1:] not in ("]", ")"):
        return None
    if LIST.fullmatch(text) or TUPLE.fullmatch(text):
        return [_item(item) for item in ITEMS.findall(text)]
    return _nested(text) if text.startswith("[") and BEGINS.match(text) else None


def numbers_of(cell: Any) -> list[str] | None:
    """The labels of a list, where a cell is the text of one (``[1, 0]``, or numpy's ``[1 0]``); else None."""
    if not isinstance(cell, str) or not NUMBERS.fullmatch(cell.strip()):
        return None
    return re.split(r"[\s,]+", cell.strip()[1:-1].strip())


def _item(text: str) -> str | None:
    if text[0] not in "\"'":
        return None
    if text[0] == '"':
        try:
            return str(json.loads(text, strict=False))
        except json.JSONDecodeError:
            pass  # Python's escapes, such as \x41
    try:
        # What Python writes of a text has no line ends; numpy's form of one has them bare.
        return str(ast.literal_eval(text.replace("\n", "\\n").replace("\r", "\\r")))
    except (SyntaxError, ValueError):
        return text[1:-1]


def _nested(text: str) -> list[Any] | None:
    """A list of objects, as JSON or as Python writes them."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    return found if isinstance(found, list) and all(isinstance(item, dict) for item in found) else None
