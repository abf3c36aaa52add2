"""Lists that were written as the text of a cell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bistill.data.read.list_cells import list_of
from bistill.data.store.opening import load_documents, load_split
from bistill.errors import RowError

Write = Callable[[str, str | bytes], Path]
TEXTS = [
    "plain",
    "it's",
    'say "hi"',
    "both ' and \"",
    "two\nlines",
    "a, b",
    "back\\slash",
    "tab\t",
    "서울",
    "é\u2028",
    "]",
    "",
]


@pytest.mark.parametrize(
    "write_list",
    [repr, json.dumps, lambda texts: json.dumps(texts, ensure_ascii=False, indent=1), lambda t: str(tuple(t))],
)
def test_lists_of_python_and_json_give_their_texts(write_list: Callable[[list[str]], str]) -> None:
    assert list_of(write_list(TEXTS)) == TEXTS
    assert list_of(f" {write_list(TEXTS[:2])}\n") == TEXTS[:2]
    assert list_of(write_list(TEXTS[:1])) == TEXTS[:1]


def test_arrays_of_numpy_give_their_texts_over_several_lines() -> None:
    texts = [*TEXTS[:-1], "a long text that makes the array go on in another line of its printed form"] * 3
    for array in (np.array(texts, dtype=object), np.array(texts)):
        assert "\n" in str(array) and list_of(str(array)) == texts


def test_empty_lists_and_missing_items() -> None:
    assert list_of("[]") == []
    assert list_of("['a', None]") == ["a", None] == list_of('["a", null]') == list_of("['a' nan]")


def test_lists_of_objects() -> None:
    objects = [{"title": "t", "text": "it's"}, {"title": None, "text": "b"}]
    assert list_of(repr(objects)) == objects == list_of(json.dumps(objects))


@pytest.mark.parametrize(
    "text",
    [
        "[sic] as printed",
        "[1]",
        "[1, 2]",
        "[a, b]",
        "(see 'a', 'b')",
        "('a')",
        "['a'",
        "['a' ... 'b']",
        "['it's']",
        "['a']b",
        "[['a'], ['b']]",
        "[[link]]",
        "[x]('a')",
        "",
        "[",
        "['a',, 'b']",
        "['a'] ['b']",
        "[{'a': f()}]",
        "[" * 100_000,
    ],
)
def test_other_texts_are_no_lists(text: str) -> None:
    assert list_of(text) is None


def test_columns_of_documents_are_read_as_lists_and_it_is_said(write: Write) -> None:
    content = "query,positives,negative_1,negative_2\na,\"['b', 'c']\",['d' 'e'],\nf,g,\"[\"\"h\"\"]\",['i']\n"
    dataset = load_split(write("rows.csv", content))
    assert list(dataset.documents) == ["b", "c", "d", "e", "g", "h", "i"]
    assert [(len(record.positives), len(record.negatives)) for record in dataset] == [(2, 2), (1, 2)]
    assert dataset.notes[1:] == (
        "column 'positives': 1 cells are lists written as text, read as lists",
        "column 'negative_1': 2 cells are lists written as text, read as lists",
        "column 'negative_2': 1 cells are lists written as text, read as lists",
    )


def test_one_document_that_begins_with_a_bracket_is_a_text(write: Write) -> None:
    dataset = load_split(write("rows.csv", "query,positive\na,[sic] as printed\nb,[1]\nc,\"['x'] is a list\"\n"))
    assert list(dataset.documents) == ["[sic] as printed", "[1]", "['x'] is a list"]
    assert dataset.notes == ()


def test_passages_stay_texts_and_it_is_said_where_all_are_lists(write: Write) -> None:
    said = "column 'passage': all cells look like lists written as text; each is kept as one text"
    for last, notes in (("['d']", (said,)), ("plain", ())):
        dataset = load_split(write("rows.csv", f"query,passage,label\na,\"['b', 'c']\",1\na,{last},0\n"))
        assert list(dataset.documents) == ["['b', 'c']", last]
        assert dataset.notes == notes


def test_lists_of_passages_with_lists_of_labels(write: Write) -> None:
    for passages, labels in (
        ("\"['b', 'c']\"", '"[1, 0]"'),
        ("['b' 'c']", "[1 0]"),
        ('"[""b"", ""c""]"', '"[True, False]"'),
    ):
        dataset = load_split(write("rows.csv", f"query,passages,labels\na,{passages},{labels}\n"))
        assert list(dataset.documents) == ["b", "c"]
        assert [(record.positives, record.negatives) for record in dataset] == [((0,), (1,))]
    with pytest.raises(RowError, match="row 2, column 'labels': 2 documents with 1 label"):
        load_split(write("rows.csv", "query,passages,labels\na,\"['b', 'c']\",[1]\n"))


def test_objects_in_lists_and_missing_negatives(write: Write) -> None:
    cell = str([{"title": "t", "text": "it's"}]).replace('"', '""')
    dataset = load_split(write("rows.csv", f'query,positive,negatives\na,"{cell}",[None]\nb,c,[]\n'))
    assert list(dataset.documents) == ["t it's", "c"]


def test_a_corpus_of_json_lines_stays_letter_by_letter(write: Write) -> None:
    assert list(load_documents(write("corpus.csv", 'passage\n"[""a"", ""b""]"\n'))) == ['["a", "b"]']
