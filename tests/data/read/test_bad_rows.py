"""Every bad input through the front door: ``load_split`` of a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.data.read import csv_records, dialect
from bistill.data.records import Record
from bistill.data.settings import RowReading
from bistill.data.store.opening import load_split
from bistill.errors import DataError, RowError

Write = Callable[[str, str | bytes], Path]
TRIPLETS = "query,positive,negative\n"
PAIRS = "query,passage,label\n"

ROW_ERRORS: dict[str, tuple[str | bytes, int, str, str, object]] = {
    "extra field": (TRIPLETS + "a,b,c\na,d,c,e\n", 3, "after negative", "an extra field: 4 fields", "e"),
    "short field": (
        TRIPLETS + "a,b,c\na,d\n",
        3,
        "negative",
        "a short row: 2 fields where the header has 3",
        ["a", "d"],
    ),
    "open quote at the end": (TRIPLETS + 'a,b,c\na,"d,c\nx,y,z\n', 3, "positive", "an open quote", '"d,c'),
    "open quote closed by a later one": (TRIPLETS + 'a,"d,c\nx,"y",z\n', 2, "positive", "an open quote", '"d,c'),
    "text after a quote": (TRIPLETS + 'a,b,"c"d\n', 2, "negative", "text follows the closing double quote", '"c"d'),
    "blank row": (TRIPLETS + "a,b,c\n\nx,y,z\n", 3, "", "the row is empty", ""),
    "empty query": (TRIPLETS + "a,b,c\n,d,c\n", 3, "query", "the cell is empty", ""),
    "blank query": (TRIPLETS + "a,b,c\n \t,d,c\n", 3, "query", "the cell is empty", " \t"),
    "invisible query": (TRIPLETS + "a,b,c\n\u200b\ufeff,d,c\n", 3, "query", "the cell is empty", "\u200b\ufeff"),
    "empty positive": (TRIPLETS + "a,,c\n", 2, "positive", "the cell is empty", ""),
    "empty negative": (TRIPLETS + "a,b,\n", 2, "negative", "the cell is empty", ""),
    "empty passage": (PAIRS + "a,\u3000,1\n", 2, "passage", "the cell is empty", "\u3000"),
    "undecodable": (TRIPLETS.encode() + b"a,b,c\na,caf\xe9 x,c\n", 3, "positive", "not UTF-8, at character 4", b"\xe9"),
    "undecodable, unread column": (
        b"id,query,positive\n\xff,b,c\n",
        2,
        "id",
        "bytes that are not UTF-8, at character 1",
        b"\xff",
    ),
    "NUL": (TRIPLETS + "a,b,c\na,d,c\0\n", 3, "negative", "NUL at character 2", "c\0"),
    "label empty": (PAIRS + "a,b,1\na,c,\n", 3, "label", "the label is empty", ""),
    "label text": (PAIRS + "a,b,yes\n", 2, "label", "the label is not a number", "yes"),
    "label of 401 digits": (PAIRS + f"a,b,{'1' * 401}\n", 2, "label", "out of range", "1" * 401),
    "label with a comma": (PAIRS + 'a,b,"0,9"\n', 2, "label", "the label is not a number", "0,9"),
    "value without a name": ("query,positive,,\na,b,,\nc,d,,e\n", 3, "after positive", "a column without a name", "e"),
    "list that was cut": (TRIPLETS + "a,b,['c']\nd,e,\"['f', 'g\"\n", 3, "negative", "looks like a list", "['f', 'g"),
    "list with a quote too many": (TRIPLETS + "a,b,['it's']\n", 2, "negative", "looks like a list", "['it's']"),
    "label NaN": (PAIRS + "a,b,nan\n", 2, "label", "the label is not a number", "nan"),
    "label negative": (PAIRS + "a,b,-1\n", 2, "label", "out of range", "-1"),
    "label infinite": (PAIRS + "a,b,1e999\n", 2, "label", "out of range", "1e999"),
    "positive and negative": (
        TRIPLETS + "a,b,c\na,d,b\n",
        3,
        "negative",
        "a document is positive (row 2) and negative (row 3) of one query",
        "a",
    ),
    "positive and negative by label": (
        PAIRS + "a,b,0\na,c,1\na,b,1\n",
        2,
        "label",
        "a document is positive (row 4) and negative (row 2) of one query",
        "a",
    ),
}


@pytest.mark.parametrize("case", ROW_ERRORS)
def test_bad_row_names_file_row_column_and_what_was_found(case: str, write: Write) -> None:
    content, row, column, what, found = ROW_ERRORS[case]
    file = write("rows.csv", content)
    with pytest.raises(RowError) as caught:
        load_split(file)
    error = caught.value
    assert (error.file, error.row, error.column) == (str(file), row, column)
    assert what in error.what
    assert error.found == found
    assert error.todo
    message = str(error)
    assert f"{file}, row {row}" in message and (not column or repr(column) in message)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["an empty file"]),
        (TRIPLETS, ["an empty file: there is no row"]),
        ("\nquery,positive\na,b\n", ["first row, which must name the columns, is empty"]),
        ("query,negative\na,b\n", ["missing column: positive"]),
        ("query/positive\na/b\n", ["missing columns", "separated by commas"]),
        (
            PAIRS + "a,b,0.5\na,c,2\n",
            ["row 2", "fractions with labels above 1: 0.5 here, 2 in row 3", "`label_maximum`"],
        ),
        (TRIPLETS.encode("utf-16-le"), ["looks like UTF-16", "byte order mark", "save it as UTF-8"]),
    ],
)
def test_files_that_cannot_be_used(content: str | bytes, parts: list[str], write: Write) -> None:
    file = write("rows.csv", content)
    with pytest.raises(DataError) as caught:
        load_split(file)
    for part in [str(file), *parts]:
        assert part in str(caught.value)


def test_missing_file_folder_and_unknown_format(tmp_path: Path, write: Write) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_split(tmp_path / "none.csv")
    with pytest.raises(DataError, match="bistill prepare"):
        load_split(tmp_path)
    with pytest.raises(DataError, match="format is not recognised"):
        load_split(write("rows.doc", "x"))


def test_advice_for_labels_says_what_to_write(write: Write) -> None:
    for cell, advice in (('"0,9"', "write the number with a point (0.9)"), ("relevant", "write 1 for relevant and 0")):
        with pytest.raises(RowError) as caught:
            load_split(write("rows.csv", PAIRS + f"a,b,{cell}\n"))
        assert caught.value.todo.startswith(advice)


def test_label_above_the_given_maximum(write: Write) -> None:
    file = write("rows.csv", PAIRS + "a,b,2.5\na,c,4\n")
    with pytest.raises(RowError, match=r"row 3, column 'label': .* labels go from 0 to 3"):
        load_split(file, reading=RowReading(label_maximum=3))


def test_a_field_longer_than_the_limit_is_reported(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect, "LONGEST_TEXT", 100)
    monkeypatch.setattr(csv_records, "LONGEST_TEXT", 100)
    with pytest.raises(RowError, match=r"row 2, column 'positive': a field longer than 100 characters"):
        load_split(write("rows.csv", TRIPLETS + "a," + "b" * 101 + ",c\n"))


def test_skip_sets_rows_aside_and_says_how_many(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = TRIPLETS + 'a,b,c\n,x,y\nq,"open,r\nq,s,t\nz,z\na,d,b\n'
    file = write("rows.csv", content)
    rejected = tmp_path / "out" / "rejected.csv"
    dataset = load_split(file, on_bad_rows="skip", rejected_to=rejected)
    assert [(record.query, record.positives, record.negatives) for record in dataset] == [
        ("a", (0, 4), (1,)),
        ("q", (2,), (3,)),
    ]
    assert list(dataset.documents) == ["b", "c", "s", "t", "d"]
    assert dataset.rejected == 4
    with rejected.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    assert [(row["file"], row["row"], row["column"], row["found"]) for row in rows] == [
        (str(file), "3", "query", "''"),
        (str(file), "4", "positive", "'\"open,r'"),
        (str(file), "6", "negative", "['z', 'z']"),
        (str(file), "7", "negative", "'a'"),
    ]
    assert rows[0]["reason"] == "the cell is empty"
    assert rows[3]["reason"] == "a document is positive (row 2) and negative (row 7) of one query"
    first = f"{file}, row 3, column 'query': the cell is empty ('')"
    assert f"4 bad rows were set aside; the first: {first}; see {rejected}\n" in capsys.readouterr().err


def test_a_query_whose_positive_row_is_set_aside_keeps_its_other_rows(write: Write, tmp_path: Path) -> None:
    file = write("rows.csv", PAIRS + "q,b,0\nq,d,one\na,b,1\nq,c,0\n")
    rejected = tmp_path / "rejected.csv"
    dataset = load_split(file, on_bad_rows="skip", rejected_to=rejected)
    assert dataset[0] == Record(0, "q", (), (), (0, 1), (0.0, 0.0))
    assert [record.query for record in dataset] == ["q", "a"] == list(dataset.queries)
    lines = rejected.read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[1:3] for line in lines[1:]] == [["3", "label"]]


def test_skip_of_several_files_keeps_the_others_rows(write: Write, tmp_path: Path) -> None:
    rejected = tmp_path / "rejected.csv"
    first, second = write("a.csv", TRIPLETS + "a,b,c\nx\n"), write("b.csv", TRIPLETS + "a,b,c\ny\nz\n")
    for file in (first, second, first):
        load_split(file, on_bad_rows="skip", rejected_to=rejected)
    files = [line.split(",")[0] for line in rejected.read_text(encoding="utf-8").splitlines()[1:]]
    assert files == [str(second), str(second), str(first)]


def test_rows_that_were_mended_are_no_longer_listed(write: Write, tmp_path: Path) -> None:
    rejected = tmp_path / "rejected.csv"
    for name in ("one.csv", "two.csv"):
        load_split(write(name, TRIPLETS + "a,b,c\nd,e,\n"), on_bad_rows="skip", rejected_to=rejected)
    mended = write("one.csv", TRIPLETS + "a,b,c\nd,e,f\n")
    assert load_split(mended, on_bad_rows="skip", rejected_to=rejected).rejected == 0
    with rejected.open(encoding="utf-8", newline="") as text:
        assert [row[0] for row in csv.reader(text)][1:] == [str(tmp_path / "two.csv")]


def test_nothing_left_after_skipping_is_an_error(write: Write) -> None:
    file = write("rows.csv", TRIPLETS + "a,b\n")
    with pytest.raises(DataError) as caught:
        load_split(file, on_bad_rows="skip")
    first = f"{file}, row 2, column 'negative': a short row: 2 fields where the header has 3 (['a', 'b'])"
    assert caught.value.what == f"no row is left: 1 bad row was set aside; the first: {first}"


def test_undecodable_found_value_is_readable_in_rejected(write: Write, tmp_path: Path) -> None:
    rejected = tmp_path / "rejected.csv"
    file = write("rows.csv", TRIPLETS.encode() + b"a,b,c\nq,\xe9\xe9,c\n")
    load_split(file, on_bad_rows="skip", rejected_to=rejected)
    assert rejected.read_text(encoding="utf-8").splitlines()[1].endswith("b'\\xe9'")
