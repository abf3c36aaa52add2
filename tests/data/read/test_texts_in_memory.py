"""Texts that a program holds become a list in their order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bistill.data.read.texts_in_memory import text_list
from bistill.errors import OptionError

TEXTS = ["환불 규정", "배송", "환불 규정"]
FORMS: dict[str, Callable[[], Any]] = {
    "list": lambda: TEXTS,
    "tuple": lambda: tuple(TEXTS),
    "generator": lambda: (text for text in TEXTS),
    "filtered column": lambda: pd.Series(["no", *TEXTS, "no"], index=[0, 5, 5, -1, 9])[
        [False, True, True, True, False]
    ],
    "arrow strings": lambda: pd.Series(TEXTS, dtype="string[pyarrow]"),
    "categories": lambda: pd.Series(TEXTS, dtype="category"),
    "index": lambda: pd.Index(TEXTS),
    "polars": lambda: pl.Series(TEXTS),
    "polars categories": lambda: pl.Series(TEXTS, dtype=pl.Categorical),
    "Arrow": lambda: pa.array(TEXTS),
    "Arrow in pieces": lambda: pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
    "dictionary": lambda: pa.array(TEXTS).dictionary_encode(),
    "array": lambda: np.array(TEXTS),
    "objects": lambda: np.array(TEXTS, dtype=object),
    "data set": lambda: datasets.Dataset.from_dict({"text": TEXTS})["text"],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_texts_in_order(form: str) -> None:
    found = text_list(FORMS[form](), "documents")
    assert found == TEXTS and {type(text) for text in found} == {str}


def test_no_texts_are_no_texts() -> None:
    assert text_list([], "documents") == text_list(pd.Series([], dtype=object), "documents") == []


@pytest.mark.parametrize(
    ("given", "what", "todo"),
    [
        ("a text", "a single text", "give [text]"),
        (Path("a.txt"), "a single text", "give [text]"),
        ({"a": "text"}, "a dict", "list(texts.values())"),
        (pd.DataFrame({"text": TEXTS}), "a table", 'table["text"]'),
        (pl.DataFrame({"text": TEXTS}), "a table", 'table["text"]'),
        (pa.table({"text": TEXTS}), "a table", 'table["text"]'),
        (datasets.Dataset.from_dict({"text": TEXTS}), "a table", 'table["text"]'),
        ({"a", "b"}, "a set", "sorted(texts)"),
        (7, "no list of texts", "give ["),
        (None, "no list of texts", "give ["),
        (["a", 3], "a text is expected, not int, at place 1", "texts only"),
        ([["a"], ["b"]], "a text is expected, not list, at place 0", "texts only"),
        (np.array([["a"], ["b"]]), "a text is expected, not list, at place 0", "texts only"),
        (pd.Series(["a", None]), "a text is missing, at place 1", "not missing"),
        (pd.Series(["a", pd.NA], dtype="string"), "a text is missing, at place 1", "not missing"),
        (pl.Series(["a", None]), "a text is missing, at place 1", "not missing"),
        (["a", float("nan")], "a text is missing, at place 1", "not missing"),
    ],
)
def test_what_is_no_list_of_texts_is_refused_with_what_to_give(given: object, what: str, todo: str) -> None:
    with pytest.raises(OptionError) as refused:
        text_list(given, "documents")
    assert refused.value.what.startswith(what) and todo in refused.value.todo
    assert refused.value.where == "`documents`"
