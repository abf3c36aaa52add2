"""Titles beside documents: in a file of documents alone they are the beginning of the texts, as in a BEIR folder."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bistill.data.read import files
from bistill.data.records import Row
from bistill.data.settings import RowReading
from bistill.data.store.opening import load_documents
from bistill.errors import DataError, RowError

Write = Callable[[str, str | bytes], Path]
TITLED = [("제목 하나", "첫 글"), (None, "둘째 글"), ("셋째", None), ("", "넷째 글")]


@pytest.mark.parametrize("names", [("title", "text"), ("제목", "본문")])
def test_a_title_beside_a_document_is_its_beginning_in_every_form(tmp_path: Path, names: tuple[str, str]) -> None:
    title, text = names
    rows = [{"_id": str(number), title: own, text: rest} for number, (own, rest) in enumerate(TITLED)]
    lines, table, parquet = (tmp_path / name for name in ("rows.jsonl", "rows.csv", "rows.parquet"))
    lines.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    with table.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), parquet)
    for file in (lines, table, parquet):
        assert list(load_documents(file)) == ["제목 하나 첫 글", "둘째 글", "셋째", "넷째 글"], file
        read = [row for row in files.open_file(file, RowReading(), only="document").rows() if isinstance(row, Row)]
        assert [row.judgements[0].title for row in read] == ["제목 하나", "", "셋째", ""], file


def test_a_title_is_read_beside_a_list_as_none_and_in_labelled_rows_not_at_all(write: Write) -> None:
    lists = write("lists.jsonl", '{"title": "t", "texts": 1, "documents": ["a", "b"]}\n')
    assert list(load_documents(lists)) == ["a", "b"]
    labelled = write(
        "labelled.jsonl", '{"query": "q", "positive": "a"}\n{"query": "q", "positive": "b", "title": "t"}\n'
    )
    assert list(load_documents(labelled)) == ["a", "b"]


def test_titles_that_cannot_be_read_are_errors_with_their_place(write: Write) -> None:
    two = write("two.csv", "title,제목,text\na,b,c\n")
    with pytest.raises(DataError, match="more than one column can be the title: 'title', '제목'"):
        load_documents(two)
    late = write("late.jsonl", '{"text": "a"}\n{"title": "t", "text": "b"}\n')
    with pytest.raises(RowError, match="row 2, column 'title': an extra field"):
        load_documents(late)
    number = write("number.jsonl", '{"title": 7, "text": "a"}\n')
    with pytest.raises(RowError, match="row 1, column 'title': the cell is not text, but a number"):
        load_documents(number)
    neither = write("neither.csv", "제목,본문\n , \nt,b\n")
    with pytest.raises(RowError, match="row 2: the row is empty"):
        load_documents(neither)
    blank = write("blank.jsonl", '{"제목": "", "본문": ""}\n')
    with pytest.raises(RowError, match="row 1, column '본문': the cell is empty"):
        load_documents(blank)
