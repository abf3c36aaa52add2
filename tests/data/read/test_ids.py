"""Ids in place of texts are refused where it is sure, said where it may be, and numbers that are texts get through."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bistill.data.prepare.preparing import prepare
from bistill.data.read.ids import FIRST_ROWS, watched
from bistill.data.records import Judgement, Row
from bistill.data.store.opening import load_documents, load_queries, load_split
from bistill.data.store.version import Version
from bistill.errors import DataError, RowError

Write = Callable[[str, str | bytes], Path]
SENTENCES = (
    "a kettle is cleaned",
    "the ladder hangs there",
    "lanterns burn oil",
    "사다리는 창고에 있다",
    "tents sleep four",
)
MSMARCO = ("7187158", "8390023", "12", "403613", "1000052")


def run(rows: Sequence[tuple[str, ...]], *, allowed: bool = False) -> list[str]:
    """Notes on rows of a query and documents."""
    made = [
        Row(number, query, tuple(Judgement(text, None, True, "positive") for text in texts))
        for number, (query, *texts) in enumerate(rows, start=2)
    ]
    notes: list[str] = []
    assert list(watched(iter(made), "f.csv", notes, allowed=allowed)) == made
    return notes


def test_numbers_on_both_sides_are_refused_with_what_to_join() -> None:
    rows = [(query, *MSMARCO) for query in ("121352", "634306")]
    with pytest.raises(DataError) as caught:
        run(rows)
    assert caught.value.what == "the queries and documents of all 2 rows are whole numbers: ids, not texts"
    assert caught.value.found == "'121352', '1000052'"
    for part in ("put the text of each id in its place", "corpus.jsonl", "qrels/train.tsv", "`numbers_are_texts`"):
        assert part in caught.value.todo
    (note,) = run(rows, allowed=True)
    assert note.startswith(
        "the queries and documents of all 2 rows look like ids ('121352', '1000052'); if they are, put"
    )


@pytest.mark.parametrize(
    ("queries", "documents", "named"),
    [
        (SENTENCES, MSMARCO, "documents"),
        (MSMARCO, SENTENCES, "queries"),
        (("q1", "q2", "q3"), ("D301595", "D1", "D22"), "queries and documents"),
        (("PLAIN-2", "PLAIN-12", "PLAIN-1"), ("MED-10", "MED-14", "MED-118"), "queries and documents"),
        (MSMARCO, ("msmarco_passage_02_1", "msmarco_passage_02_33", "msmarco_passage_11_0"), "queries and documents"),
    ],
)
def test_what_may_be_ids_is_said(queries: Sequence[str], documents: Sequence[str], named: str) -> None:
    (note,) = run(list(zip(queries, documents, strict=False)))
    assert note.startswith(f"the {named} of all {min(len(queries), len(documents))} rows look like ids (")


@pytest.mark.parametrize(
    ("queries", "documents"),
    [
        (SENTENCES, SENTENCES[::-1]),
        (SENTENCES, ("1987", "42 km", "about 7", "3", "in 2001")),
        (MSMARCO[:2], MSMARCO[:2]),  # too few to tell
        (("1", "2", "3", "4", "five"), ("I", "II", "III", "IV", "V")),
        (("kettle", "ladder", "tent"), ("clean", "hang", "sleep")),
        (("COVID-19", "5G", "H1N1"), ("a virus", "a network", "a flu")),
    ],
)
def test_texts_are_not_said_to_be_ids(queries: Sequence[str], documents: Sequence[str]) -> None:
    assert run(list(zip(queries, documents, strict=True))) == []


def test_one_text_among_the_first_rows_is_enough_and_later_rows_do_not_count() -> None:
    rows = [(str(number), str(number + 1)) for number in range(FIRST_ROWS)]
    with pytest.raises(DataError, match=f"the first {FIRST_ROWS} rows"):
        run([*rows, ("a text", "a text")])
    (note,) = run([*rows[1:], ("what is it", "99")])
    assert note.startswith("the documents of the first 100 rows")


@pytest.mark.parametrize("header", ["query,positive,negative\n", "query,passage,label\n"])
def test_prepare_refuses_triples_of_ids_and_reads_them_when_told(header: str, write: Write, tmp_path: Path) -> None:
    last = ["1", "0", "1"] if "label" in header else ["77", "88", "99"]
    rows = [f"{query},{passage},{end}\n" for query, passage, end in zip(MSMARCO, MSMARCO[::-1], last * 2, strict=False)]
    version = Version(tmp_path / "out", "v")
    source = write("triples.csv", header + "".join(rows))
    with pytest.raises(DataError, match=r"triples.csv: the queries and documents of all 5 rows are whole numbers"):
        prepare(source, version)
    assert not (tmp_path / "out").exists()
    made = prepare(source, version, numbers_are_texts=True)
    assert sum(made.queries.values()) == 5


def test_files_that_are_read_without_prepare_say_it(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{query},{passage}\n" for query, passage in zip(MSMARCO, MSMARCO[::-1], strict=True))
    file = write("rows.csv", "query,positive\n" + rows)
    assert len(load_split(file)) == 5
    assert "rows.csv: the queries and documents of all 5 rows look like ids" in capsys.readouterr().err
    load_documents(file)
    load_queries(file)
    said = capsys.readouterr().err
    assert said.count("look like ids ('1000052'") == 2


def test_numbers_of_json_are_refused_by_row_with_what_to_join(write: Write) -> None:
    file = write("rows.jsonl", json.dumps({"query": "a question", "positive": 7187158}))
    with pytest.raises(RowError) as caught:
        load_split(file)
    assert (caught.value.what, caught.value.found) == ("the cell is not text, but a number", 7187158)
    assert "in quotes" in caught.value.todo and "put the text of each id in its place" in caught.value.todo


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("triples.tsv", "121352\t2912791\t7281839\n634306\t1\t2\n", "the first row holds numbers"),
        ("triples.tsv", "qid\tpos_pid\tneg_pid\n1\t2\t3\n", "missing columns"),
        ("rows.jsonl", '{"query_id": 1, "query": "a", "positive_document_ids": ["5"]}\n', "missing columns"),
        ("rows.jsonl", '{"qid": 1, "positive": "a"}\n', "missing column: query"),
    ],
)
def test_columns_of_ids_alone_say_what_to_join(name: str, content: str, what: str, write: Write) -> None:
    with pytest.raises(DataError, match=what) as caught:
        load_split(write(name, content))
    assert "put the text of each id in its place" in caught.value.todo


def test_an_id_column_beside_texts_brings_no_advice(write: Write) -> None:
    with pytest.raises(DataError, match="missing column: label") as caught:
        load_split(write("rows.csv", "id,query,passage\n1,a,b\n"))
    assert "place" not in caught.value.todo
