"""Texts that a program holds: lists, columns of DataFrames, arrays and generators as a plain list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from bistill.data.read.in_memory import is_table, plain_value
from bistill.errors import OptionError


def text_list(texts: Any, name: str) -> list[str]:
    """The texts in their order, whatever index a column has.

    Args:
        texts: texts in a list, a column of a DataFrame, an array, a generator or any other iterable.
        name: of the caller's parameter, for messages.

    Raises:
        OptionError: one text, a dict, a set or a whole table is given, or an item is missing or no text.
    """
    what, todo = "", ""
    if isinstance(texts, str | bytes | Path):
        what, todo = "a single text, where a list of texts is expected", "give [text]"
    elif isinstance(texts, Mapping):
        what, todo = "a dict, where a list of texts is expected", "give its texts: list(texts.values())"
    elif is_table(texts):
        what, todo = "a table, where a list of texts is expected", 'give one of its columns, such as table["text"]'
    elif isinstance(texts, set | frozenset):
        what, todo = "a set, whose texts have no order", "give sorted(texts)"
    elif not isinstance(texts, Iterable):
        what, todo = "no list of texts", 'give ["first text", "second text"]'
    if what:
        raise OptionError(what, where=f"`{name}`", found=texts, todo=todo)
    if isinstance(texts, pa.Array | pa.ChunkedArray):
        texts = texts.to_pylist()
    found = [text if type(text) is str else plain_value(text) for text in texts]
    for place, text in enumerate(found):
        if not isinstance(text, str):
            what = "a text is missing" if text is None else f"a text is expected, not {type(text).__name__}"
            todo = "give texts only; of a column those that are not missing"
            raise OptionError(f"{what}, at place {place}", where=f"`{name}`", found=text, todo=todo)
    return found
