"""Rows that a program holds become the rows that a file of the same content gives."""

from __future__ import annotations

import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bistill.data.prepare.preparing import prepare
from bistill.data.read.files import open_file
from bistill.data.read.in_memory import fingerprint_of_rows, open_rows, plain_value
from bistill.data.records import Judgement, Row
from bistill.data.settings import Columns, RowReading
from bistill.data.store.opening import load_rows, load_split
from bistill.data.store.version import Version
from bistill.errors import DataError, EmptyFileError, OptionError, RowError

Write = Callable[[str, str | bytes], Path]
READING = RowReading()
KOREAN = RowReading(Columns(query="질문", passage="문서", label="라벨"))
PAIRS = {
    "메모": ["x", None, "y", "z"],
    "질문": ["환불 규정", "환불 규정", "배송 기간", "Größe"],
    "문서": ["7일 이내", "무료 배송", "이틀", "size chart"],
    "라벨": [1, 0, 1, 1],
}
EXPECTED = [
    Row(number, query, (Judgement(document, label, None, "라벨"),))
    for number, query, document, label in zip(
        range(1, 5), PAIRS["질문"], PAIRS["문서"], (1.0, 0.0, 1.0, 1.0), strict=True
    )
]
Pair = namedtuple("Pair", ["질문", "문서", "라벨"])


def as_dicts() -> list[dict[str, Any]]:
    return [dict(zip(PAIRS, row, strict=True)) for row in zip(*PAIRS.values(), strict=True)]


def filtered() -> pd.DataFrame:
    """Rows kept by a condition, in another order of the index."""
    more = pd.DataFrame(PAIRS | {"keep": True})
    other = pd.DataFrame(
        {name: ["no"] * 2 for name in ("메모", "질문", "문서")} | {"라벨": [5, 5], "keep": [False] * 2}
    )
    frame = pd.concat([other, more, other])
    frame = frame.set_index(pd.Index([9, 3, 3, 7, 1, 0, -2, 9]))
    return frame[frame["keep"]].drop(columns="keep")


FORMS: dict[str, Callable[[], Any]] = {
    "DataFrame": lambda: pd.DataFrame(PAIRS),
    "filtered": filtered,
    "arrow strings": lambda: pd.DataFrame(PAIRS).astype({"질문": "string[pyarrow]", "문서": "string[pyarrow]"}),
    "categories": lambda: pd.DataFrame(PAIRS).astype({"질문": "category", "라벨": "category"}),
    "nullable": lambda: pd.DataFrame(PAIRS).convert_dtypes(),
    "booleans": lambda: pd.DataFrame(PAIRS).astype({"라벨": bool}),
    "polars": lambda: pl.DataFrame(PAIRS),
    "polars categories": lambda: pl.DataFrame(PAIRS).with_columns(pl.col("질문").cast(pl.Categorical)),
    "Arrow": lambda: pa.table(PAIRS),
    "datasets": lambda: datasets.Dataset.from_dict(PAIRS),
    "datasets as arrays": lambda: datasets.Dataset.from_dict(PAIRS).with_format("numpy"),
    "streamed": lambda: datasets.Dataset.from_dict(PAIRS).to_iterable_dataset(),
    "dicts": as_dicts,
    "generator": lambda: (row for row in as_dicts()),
    "named tuples": lambda: [Pair(row["질문"], row["문서"], row["라벨"]) for row in as_dicts()],
    "itertuples": lambda: pd.DataFrame(PAIRS).itertuples(),
    "numpy values": lambda: [
        {"질문": np.str_(row["질문"]), "문서": row["문서"], "라벨": np.float32(row["라벨"])} for row in as_dicts()
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(form: str) -> None:
    reader = open_rows(FORMS[form](), KOREAN)
    assert list(reader.rows()) == EXPECTED
    assert list(reader.rows()) == EXPECTED  # a second time, too
    assert reader.notes in (
        [],
        ["columns not read: '메모'"],
        ["columns not read: 'Index'"],
        ["columns not read: 'Index', '메모'"],
    )


def test_the_same_rows_have_one_fingerprint_and_others_another() -> None:
    found = {fingerprint_of_rows(open_rows(make(), KOREAN)) for make in FORMS.values()}
    assert len(found) == 1
    changed = as_dicts()
    changed[2]["라벨"] = 0
    assert fingerprint_of_rows(open_rows(changed, KOREAN)) not in found


FILE = (
    "query,positive,negative,negative_2\n"
    "\"a, b\",p1,\"['n1', 'n2']\",\n"
    "c,\"['p2', 'p3']\",n3,n4\n"
    "d,,n5,\n"
    "  e ,p4,n6,n7\n"
)


@pytest.mark.parametrize("read", [pd.read_csv, pl.read_csv])
def test_a_frame_read_from_a_csv_file_is_as_the_file(read: Callable[[Path], Any], write: Write) -> None:
    file = write("rows.csv", FILE)
    of_file = list(open_file(file, READING).rows())
    reader = open_rows(read(file), READING)
    rows = list(reader.rows())
    assert [row.number for row in rows if isinstance(row, Row)] == [1, 2, 4]  # of a file the header is row 1
    assert [tuple(row)[1:] for row in rows if isinstance(row, Row)] == [
        tuple(row)[1:] for row in of_file if isinstance(row, Row)
    ]
    (error,) = (row for row in rows if isinstance(row, RowError))
    assert (error.file, error.row, error.column, error.what) == ("DataFrame", 3, "positive", "the cell is empty")
    assert "column 'positive': 1 cells are lists written as text, read as lists" in reader.notes


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT, np.float64("nan"), Decimal("nan")])
def test_a_missing_value_is_an_empty_cell(missing: object) -> None:
    for row, column, what in (
        ({"query": missing, "document": "d", "label": 1}, "query", "the cell is empty"),
        ({"query": "q", "document": missing, "label": 1}, "document", "the cell is empty"),
        ({"query": "q", "document": "d", "label": missing}, "label", "the label is empty"),
    ):
        good = {"query": "q", "document": "e", "label": 0}
        outcomes = list(open_rows([good, row], READING).rows())
        assert isinstance(outcomes[0], Row)
        error = outcomes[1]
        assert isinstance(error, RowError) and (error.row, error.column, error.what) == (2, column, what)
        frame = pd.DataFrame({name: pd.Series([good[name], row[name]], dtype=object) for name in good})
        (_, of_frame) = open_rows(frame, READING).rows()
        assert isinstance(of_frame, RowError) and (of_frame.row, of_frame.column) == (2, column)


def test_lists_of_documents_and_objects_in_cells() -> None:
    expected = (
        Judgement("p", None, True, "positive"),
        Judgement("title text", None, False, "negatives"),
        Judgement("n2", None, False, "negatives"),
    )
    row = {"query": "q", "positive": "p", "negatives": [{"title": "title", "text": "text"}, "n2", None]}
    as_array = row | {"negatives": np.array(row["negatives"], dtype=object)}
    for given in ([row], [as_array], pd.DataFrame([row]), pd.DataFrame([as_array])):
        assert list(open_rows(given, READING).rows()) == [Row(1, "q", expected)]
    inside = {"query": "q", "passages": {"passage_text": ["a", "b"], "is_selected": [0, 1]}}
    for given in ([inside], pd.DataFrame([inside]), pl.DataFrame([inside]), pa.Table.from_pylist([inside])):
        (found,) = open_rows(given, READING).rows()
        assert isinstance(found, Row) and [item.label for item in found.judgements] == [0.0, 1.0]


def test_numbers_and_dates_are_no_texts() -> None:
    frame = pd.DataFrame({"query": ["q", "q"], "document": [3, pd.Timestamp("2024-05-01")], "label": [1, 1]})
    number, date = open_rows(frame, READING).rows()
    assert isinstance(number, RowError) and number.what == "the cell is not text, but a number"
    assert isinstance(date, RowError) and date.what == "the cell is not text"


def test_a_name_that_stands_there_twice_and_one_that_is_missing_are_refused() -> None:
    twice = pd.DataFrame([["q", "d", "e", 1]], columns=["query", "document", "document", "label"])
    with pytest.raises(DataError, match="'document' more than once"):
        list(open_rows(twice, READING).rows())
    for frame in (pd.DataFrame({"a": ["x"], 0: ["y"]}), pl.DataFrame({"a": ["x"], "0": ["y"]})):
        with pytest.raises(DataError, match=r"missing column '질문', which `Columns.query` names") as refused:
            list(open_rows(frame, KOREAN).rows())
        assert refused.value.found == ["a", "0"] and refused.value.where == "DataFrame"
    numbered = RowReading(Columns(query="0", passage="1", label="2"))
    (row,) = open_rows(pd.DataFrame([["q", "d", 1]]), numbered).rows()
    assert isinstance(row, Row) and row.query == "q"


def test_a_row_that_is_no_dict_is_a_bad_row() -> None:
    good = {"query": "q", "document": "d", "label": 1}
    outcomes = list(open_rows([good, ("q", "d", 1), good | {"positive": "p"}, {"query": "q"}], READING).rows())
    found = [(outcome.row, outcome.what) for outcome in outcomes if isinstance(outcome, RowError)]
    assert found == [
        (2, "not a dict with names"),
        (3, "an extra field, which the first row does not have"),
        (4, "missing column"),
    ]


@pytest.mark.parametrize(
    ("given", "what", "todo"),
    [
        ("rows.csv", "a single text", "list of dicts"),
        ({"query": "q", "document": "d", "label": 1}, "a dict, where rows", "of one row [row]"),
        ({"train": pd.DataFrame(PAIRS)}, "a dict of tables", "the one under 'train'"),
        (datasets.DatasetDict(test=datasets.Dataset.from_dict(PAIRS)), "a dict of tables", "the one under 'test'"),
        (pd.Series(["q"]), "a single column", "the whole DataFrame"),
        (pl.Series(["q"]), "a single column", "the whole DataFrame"),
        (pl.LazyFrame(PAIRS), "a LazyFrame", "rows.collect()"),
        (np.array([["q", "d"]]), "an array", "pandas.DataFrame(array"),
        (None, "no rows", "list of dicts"),
        (7, "no rows", "list of dicts"),
    ],
)
def test_what_is_no_rows_is_refused_with_what_to_give(given: object, what: str, todo: str) -> None:
    with pytest.raises(OptionError) as refused:
        open_rows(given, READING)
    assert refused.value.what.startswith(what) and todo in refused.value.todo and refused.value.where == "`rows`"


@pytest.mark.parametrize("given", [["a text", "another"], [("q", "d", 1)], datasets.Dataset.from_dict(PAIRS)["질문"]])
def test_rows_without_names_are_refused(given: Any) -> None:
    with pytest.raises(DataError, match="the rows have no names for their values"):
        list(open_rows(given, READING).rows())


@pytest.mark.parametrize("given", [[], pd.DataFrame({"query": [], "document": [], "label": []}), iter(())])
def test_no_row_at_all_is_said(given: Any) -> None:
    with pytest.raises(EmptyFileError, match="there is no row"):
        list(open_rows(given, READING).rows())


def test_loaded_rows_are_those_of_the_file_and_parsed_once(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["query,document,label", "a,x,1", "a,,0", "b,y,0", "b,z,1"]
    file = write("rows.csv", "\n".join(lines) + "\n")
    of_file = load_split(file, on_bad_rows="skip")
    capsys.readouterr()
    found = load_rows(pd.read_csv(file), on_bad_rows="skip")
    assert list(found) == list(of_file) and list(found.documents) == list(of_file.documents)
    assert (found.rejected, str(found.path)) == (1, "DataFrame")
    assert "the first: DataFrame, row 2, column 'document': the cell is empty" in capsys.readouterr().err
    monkeypatch.setattr("bistill.data.store.building.build", lambda *_, **__: pytest.fail("built again"))
    again = load_rows(pd.read_csv(file, dtype_backend="pyarrow"), on_bad_rows="skip")
    assert again.fingerprint == found.fingerprint and again.folder == found.folder
    monkeypatch.undo()
    with pytest.raises(RowError, match="DataFrame, row 2, column 'document': the cell is empty"):
        load_rows(pd.read_csv(file))


def test_rows_are_prepared_as_the_file_of_them(write: Write, tmp_path: Path) -> None:
    rows = "".join(f"what is alpha{n} good for,alpha{n} is good,alpha{n} is bad\n" for n in range(40))
    file = write("rows.csv", "query,positive,negative\n" + rows)
    by_file = prepare(file, Version(tmp_path / "out", "file"))
    made = prepare(pd.read_csv(file), Version(tmp_path / "out", "frame"))
    assert made.queries == by_file.queries == {"train": 32, "valid": 4, "test": 4}
    for name in ("train.csv", "valid.csv", "test.csv"):
        assert (made.folder / name).read_bytes() == (by_file.folder / name).read_bytes()
    assert prepare(pd.read_csv(file), Version(tmp_path / "out", "frame")).reused
    with pytest.raises(OptionError, match="DataFrame has changed since"):
        prepare(pd.read_csv(file)[:39], Version(tmp_path / "out", "frame"))


def test_plain_values() -> None:
    given = [np.int64(3), np.bool_(True), np.datetime64("NaT"), pa.scalar("x"), ("a", np.str_("b")), np.array(["c"])]
    assert plain_value(given) == [3, True, None, "x", ["a", "b"], ["c"]]
    assert type(plain_value(np.str_("b"))) is str


def test_pandas_and_polars_are_not_imported() -> None:
    code = (
        "import sys; from bistill.data.read.in_memory import open_rows; from bistill.data.settings import RowReading;"
        "rows = open_rows([{'query': 'q', 'document': 'd', 'label': 1}], RowReading()); print(len(list(rows.rows())),"
        "[name for name in ('pandas', 'polars', 'datasets', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 []"
