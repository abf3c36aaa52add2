"""The registry of formats, and that the one of ``docs/extending.md`` is read like every other."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.data.read import files
from bistill.data.read.sources import open_source
from bistill.data.settings import RowReading
from bistill.data.store.opening import load_documents, load_queries, load_split
from bistill.errors import DataError, RowError
from tests.documented import documented, entry

Write = Callable[[str, str | bytes], Path]
MARKED = "? q1\n+ d1\n- d2\n\n? 질의\r\n+  문서 하나 \r\n? q1\n+ d3"
AS_CSV = "query,document,label\nq1,d1,1\nq1,d2,0\n질의,문서 하나,1\nq1,d3,1\n"


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documented("bistill/data/read/marked.py", tmp_path, monkeypatch)
    monkeypatch.setattr(files, "FORMATS", {**files.FORMATS, **entry("FORMATS")})


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp949"])
def test_the_format_of_the_document_gives_the_data_of_a_csv_file(write: Write, encoding: str) -> None:
    file, table = write("rows.marked", MARKED.encode(encoding)), write("rows.csv", AS_CSV)
    found, expected = load_split(file), load_split(table)
    assert list(found) == list(expected) and len(found) == 2
    assert list(found.documents) == list(expected.documents) == ["d1", "d2", "문서 하나", "d3"]
    assert list(load_documents(file)) == list(load_documents(table))
    assert list(load_queries(file)) == ["q1", "질의"]


@pytest.mark.usefixtures("marked")
def test_a_folder_with_splits_in_the_format_of_the_document_is_a_source(write: Write) -> None:
    folder = write("splits/train.marked", MARKED).parent
    write("splits/test.marked", "? q2\n+ d4\n")
    readers = open_source(folder, RowReading()).readers
    rows = {
        split: [row.query for row in reader.rows() if not isinstance(row, RowError)]
        for split, reader in readers.items()
    }
    assert rows == {"train": ["q1", "q1", "질의", "q1"], "test": ["q2"]}


@pytest.mark.usefixtures("marked")
def test_bad_lines_in_the_format_of_the_document_are_errors_with_their_number(write: Write) -> None:
    reader = files.open_file(write("bad.marked", b"+ d0\n? q1\nd1\n+\n+ d2\n- \xff\xfe\n"), RowReading())
    outcomes = list(reader.rows())
    assert [str(outcome).splitlines()[0].removeprefix(f"{reader.file}, ") for outcome in outcomes[:3]] == [
        "row 1, column 'query': the cell is empty",
        "row 3: a line without a mark",
        "row 4, column 'document': the cell is empty",
    ]
    assert not isinstance(outcomes[3], RowError) and (outcomes[3].number, outcomes[3].query) == (5, "q1")
    assert isinstance(outcomes[4], RowError) and "row 6" in str(outcomes[4])
    with pytest.raises(DataError, match=r"nothing.marked: no document in the file"):
        load_split(write("nothing.marked", "? q1\n"))


def test_every_format_names_a_reader(write: Write) -> None:
    names = {ending: pkgutil.resolve_name(name).__name__ for ending, name in files.FORMATS.items()}
    assert names[".ndjson.gz"] == "JsonlReader" and names[".tsv"] == "CsvReader"
    assert names[".ods"] == "SpreadsheetReader" and names[".parquet"] == "ParquetReader"
    with pytest.raises(DataError, match=r"not recognised by the end of the file's name\n.*\n.*\.csv, \.tsv, .*\.ods"):
        files.open_file(write("rows.marked", MARKED), RowReading())
