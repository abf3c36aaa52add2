from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.data.store.opening import load_documents, load_split

Write = Callable[[str, str | bytes], Path]
KOREAN = "질의,정답문서,부정\n서울은 어디,대한민국의 수도,일본의 수도\n"


def test_encodings_give_the_same_records_and_cp949_is_said(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    datasets = [load_split(write(f"{name}.csv", KOREAN.encode(name))) for name in ("utf-8", "utf-8-sig", "cp949")]
    for dataset in datasets:
        assert dataset[0].query == "서울은 어디"
        assert list(dataset.documents) == ["대한민국의 수도", "일본의 수도"]
    assert [dataset.notes for dataset in datasets] == [(), (), ("read as cp949 (Korean Windows), not UTF-8",)]
    assert "cp949.csv: read as cp949" in capsys.readouterr().err


def test_quotes_newlines_and_windows_line_ends(write: Write) -> None:
    content = 'query,positive\r\n"a, ""b""","first\r\nsecond"\r\nc,d\r\n\r\n\r\n'
    dataset = load_split(write("rows.csv", content))
    assert list(dataset.queries) == ['a, "b"', "c"]
    assert list(dataset.documents) == ["first\r\nsecond", "d"]


def test_tabs(write: Write) -> None:
    assert list(load_split(write("rows.tsv", "query\tpositive\na, b\tc\n")).queries) == ["a, b"]


def test_empty_cells_of_further_negatives_are_allowed_and_counted(write: Write) -> None:
    content = "query,positive,negative_1,negative_2,negative_3\na,b,c,,d\ne,f,g, ,\n"
    dataset = load_split(write("rows.csv", content))
    assert [record.negatives for record in dataset] == [(1, 2), (4,)]
    assert dataset.notes == ("3 empty cells of further negative columns: read as no negative",)


def test_unread_columns_are_noted(write: Write) -> None:
    assert load_split(write("rows.csv", "id,query,positive\n1,a,b\n")).notes == ("columns not read: 'id'",)


def test_documents_of_labelled_rows_and_of_a_corpus(write: Write) -> None:
    assert list(load_documents(write("rows.csv", "query,passage,label\na,b,0\na,c,1\nd,b,1\n"))) == ["b", "c"]
    assert list(load_documents(write("corpus.csv", "passage\nb\nx\nb\n"))) == ["b", "x"]
