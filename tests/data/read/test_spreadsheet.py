"""Spreadsheets by name and by content."""

from __future__ import annotations

import datetime
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from bistill.data.read.sources import open_source
from bistill.data.settings import RowReading
from bistill.data.store.opening import load_documents, load_split
from bistill.errors import DataError, RowError

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
PART = '<Relationship Id="r{0}" Type="' + OFFICE + '/{1}" Target="{2}"/>'
Value = str | float | bool | datetime.date | None
HEADER = ["query", "positive"]


def cell(place: str, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, datetime.date):
        return f'<c r="{place}" t="d"><v>{value.isoformat()}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'


def workbook(file: Path, **sheets: Sequence[Sequence[Value]]) -> Path:
    names = list(enumerate(sheets, start=1))
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        + PART.format(1, "officeDocument", "xl/workbook.xml")
        + "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>' for number, name in names)
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        + "".join(PART.format(number, "worksheet", f"worksheets/{number}.xml") for number, _ in names)
        + "</Relationships>",
    }
    for number, rows in enumerate(sheets.values(), start=1):
        lines = (
            f'<row r="{row}">' + "".join(cell(f"{chr(65 + place)}{row}", value) for place, value in enumerate(values))
            for row, values in enumerate(rows, start=1)
        )
        parts[f"xl/worksheets/{number}.xml"] = (
            f'<worksheet xmlns="{MAIN}"><sheetData>{"".join(f"{line}</row>" for line in lines)}</sheetData></worksheet>'
        )
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return file


@pytest.mark.parametrize("name", ["rows.xlsx", "rows.csv", "ROWS.TSV"])
def test_a_sheet_is_read_whole_whatever_its_name(name: str, tmp_path: Path) -> None:
    rows = [["query", "passage", "label"], ["서울은 어디", "수도\n둘째 줄", 1], ["007", "c", False], ["007", 404, True]]
    dataset = load_split(workbook(tmp_path / name, Sheet1=rows))
    assert list(dataset.queries) == ["서울은 어디", "007"]
    assert list(dataset.documents) == ["수도\n둘째 줄", "c", "404"]
    assert dataset.notes == ("read as a spreadsheet, sheet 'Sheet1'",)


def test_rows_have_the_numbers_that_the_spreadsheet_shows(tmp_path: Path) -> None:
    rows: list[list[Value]] = [[], [None, *HEADER, None], [None, "a", "b"], [None, "c", None], [None, None], []]
    with pytest.raises(RowError, match=r"row 4, column 'positive': the cell is empty"):
        load_split(workbook(tmp_path / "rows.xlsx", One=rows))
    assert len(load_split(workbook(tmp_path / "more.xlsx", One=[*rows[:3], [], [None, " "]]))) == 1


def test_the_first_sheet_with_rows_is_read_and_named(tmp_path: Path) -> None:
    file = workbook(tmp_path / "rows.xlsx", Empty=[], Data=[HEADER, ["a", "b"]], Notes=[["x"]])
    assert load_split(file).notes == ("read as a spreadsheet, sheet 'Data' of 3: 'Empty', 'Data', 'Notes'",)
    with pytest.raises(DataError, match="an empty file"):
        load_split(workbook(tmp_path / "empty.xlsx", Empty=[]))


def test_a_date_is_no_text(tmp_path: Path) -> None:
    """A program turned a text such as 1/2 into it; what stood there is lost."""
    file = workbook(tmp_path / "rows.xlsx", One=[HEADER, ["a", datetime.date(2024, 1, 2)]])
    with pytest.raises(RowError, match=r"row 2, column 'positive': the cell is not text"):
        load_split(file)


def test_documents_and_splits_of_spreadsheets(tmp_path: Path) -> None:
    workbook(tmp_path / "train.xlsx", One=[HEADER, ["a", "b"]])
    assert list(load_documents(workbook(tmp_path / "other.xlsx", One=[["passage"], ["x"], ["y"]]))) == ["x", "y"]
    assert list(open_source(tmp_path, RowReading()).readers) == ["train"]


def test_without_the_library_it_is_called_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = workbook(tmp_path / "rows.csv", One=[HEADER, ["a", "b"]])
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(DataError, match=r"(?s)rows.csv: a spreadsheet \(Excel\), .* pip install 'bistill\[excel\]'"):
        load_split(file)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("rows.csv", b"PK\x03\x04 and no more", "begins as a spreadsheet"),
        ("rows.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "begins as a spreadsheet"),
        ("rows.xlsx", b"query,positive\na,b\n", "the file is no spreadsheet"),
        ("rows.csv", b"PAR1 \x15\x04", "not text, but Parquet"),
        ("rows.csv", b"\x1f\x8b\x08\0", "not text, but gzip"),
    ],
)
def test_files_that_are_not_what_their_names_say(name: str, content: bytes, what: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DataError, match=what):
        load_split(file)
