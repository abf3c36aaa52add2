"""Cells that are objects: documents as ``{"title": ..., "text": ...}``, alone, in lists, or as lists in one object.

Tevatron writes ``positive_passages`` and ``negative_passages`` (objects with docid, title, text), DPR
``positive_ctxs``, ``negative_ctxs`` and ``hard_negative_ctxs``, MS MARCO on the hub ``passages`` (one object of the
lists is_selected, passage_text, url). A title joins its text as in a BEIR corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from bistill.data.read.column_names import RECOGNISED, TITLES, normalised_name, role_of
from bistill.data.read.validation import EDIT, is_nothing, titled_text
from bistill.data.settings import Columns
from bistill.errors import RowError

# An object with several of them has its text in the first.
TEXTS: Final = ("text", "passage_text", "contents", "content", "body", "paragraph", *RECOGNISED["passage"])
LABELS: Final = ("is_selected", "is_relevant", "is_positive", "relevance", "label")


def plain(value: object, *, file: str | Path, row: int, column: str) -> Any:
    """A cell with each object in it as its text; all other cells as they are.

    Raises:
        RowError: an object has no text that can be recognised.
    """
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return [plain(item, file=file, row=row, column=column) for item in value]
    if not isinstance(value, Mapping):
        return value
    named = _named(value)
    text = next((named[name] for name in TEXTS if name in named), None)
    if isinstance(text, list):
        return [plain(item, file=file, row=row, column=column) for item in _items(value, file, row, column)]
    title = next((named[name] for name in TITLES if name in named), None)
    if not any(name in named for name in TEXTS):
        raise RowError(
            "the cell holds an object without a text",
            file=file,
            row=row,
            column=column,
            found=dict(value),
            todo="name the fields of the object title and text, or write title and text as one text in place of the "
            "object; where it holds the id of a document alone, put its text there",
        )
    if is_nothing(title) and is_nothing(text):
        return ""
    return titled_text(title, text, file=file, row=row, names=(f"{column}.title", f"{column}.text"))


def label_field(example: object) -> str | None:
    """The field of a cell's objects that says how relevant each is, by the names it has; None where there is none."""
    if isinstance(example, list):
        return next((field for item in example if (field := label_field(item)) is not None), None)
    if not isinstance(example, Mapping):
        return None
    named = {normalised_name(name): name for name in example}
    return next((named[name] for name in LABELS if name in named), None)


def label_inside(example: Sequence[tuple[str, object]], asked: Columns) -> tuple[str, str] | None:
    """The column of documents and the field of its objects that hold the labels, where no column does; else None.

    Args:
        example: names of the columns with a value of each.
        asked: columns named by the user.
    """
    roles = {role_of(name) for name, _ in example}
    if asked.label is not None or asked.positive is not None or asked.negatives:
        return None
    if roles & {"label", "positive", "negative"}:
        return None
    for name, value in example:
        documents = name == asked.passage if asked.passage is not None else role_of(name) == "passage"
        if documents and (field := label_field(value)) is not None:
            return name, field
    return None


def labels_inside(value: object, field: str, *, file: str | Path, row: int, column: str) -> list[Any]:
    """The labels of a cell's objects, in their order.

    Raises:
        RowError: an item of the cell is no object.
    """
    if value is None:
        return []
    items = value if isinstance(value, list) else _items(value, file, row, column)
    for item in items:
        if not isinstance(item, Mapping):
            raise RowError("not an object", file=file, row=row, column=column, found=item, todo=EDIT)
    return [item.get(field) for item in items]


def example_of(kind: pa.DataType) -> object:
    """A value of a column's type, for what can be told from the names of fields alone."""
    if pa.types.is_struct(kind):
        return {field.name: example_of(field.type) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [example_of(kind.value_type)]
    return None


def _items(value: object, file: str | Path, row: int, column: str) -> list[dict[str, Any]]:
    """The objects of a cell: of an object of lists, one for each place in them."""
    if not isinstance(value, Mapping):
        raise RowError("not an object", file=file, row=row, column=column, found=value, todo=EDIT)
    lists = {name: item for name, item in value.items() if isinstance(item, list)}
    if not lists:
        return [dict(value)]
    lengths = {name: len(item) for name, item in lists.items()}
    if len(set(lengths.values())) > 1:
        what = "the lists of the object are not of one length"
        raise RowError(what, file=file, row=row, column=column, found=lengths, todo=EDIT)
    return [dict(zip(lists, items, strict=True)) for items in zip(*lists.values(), strict=True)]


def _named(value: Mapping[str, Any]) -> dict[str, Any]:
    return {normalised_name(name): item for name, item in value.items()}


def without_nothing(values: Iterable[Any]) -> list[Any]:
    """A list without the items that hold nothing."""
    return [item for item in values if not is_nothing(item)]
