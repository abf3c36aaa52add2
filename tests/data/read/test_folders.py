"""Several files given for one: their order, what is not read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bistill.data.store import texts
from bistill.data.store.opening import load_documents, load_queries
from bistill.errors import DataError, RowError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four files of rows, read as part-0, part-1, part-2, part-3, and what is beside them."""
    folder = tmp_path / "corpus"
    (folder / "more").mkdir(parents=True)
    (folder / "part-1.jsonl").write_text('{"document": "c"}\n{"document": "a"}\n', encoding="utf-8")
    (folder / "part-0.csv").write_text("document\nb\na\nb\n", encoding="utf-8")
    parquet.write_table(pa.table({"text": ["d", "c"]}), folder / "part-2.parquet")
    (folder / "part-3.txt").write_text("e\na\n", encoding="utf-8")
    for name in ("_SUCCESS", ".part-0.csv.crc", "_part.csv", "notes.md"):
        (folder / name).touch()
    return folder


def test_each_text_is_kept_where_it_is_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = load_documents(folder)
    assert list(found) == ["b", "a", "c", "d", "e"] and list(found.rows) == [2, 3, 2, 1, 1]
    assert list(found.keys) == list(texts.keys_of(list(found)))
    assert f"{folder}: 4 files of rows; 5 other entries not read" in capsys.readouterr().err
    assert load_documents(folder).file == found.file  # from the cache
    files = [folder / "part-2.parquet", str(folder / "part-0.csv")]
    assert list(load_documents(files)) == ["d", "c", "b", "a"]
    assert list(load_documents([*files, folder / "part-1.jsonl"])) == ["d", "c", "b", "a"]
    assert list(load_documents(files[:1])) == list(load_documents(files[0]))


def test_queries_too(tmp_path: Path) -> None:
    for name, text in (("a", "x"), ("b", "y")):
        (tmp_path / f"{name}.csv").write_text(f"query,document\n{text},d\nx,d\n", encoding="utf-8")
    assert list(load_queries(tmp_path)) == ["x", "y"]


def test_a_changed_file_is_read_anew(folder: Path) -> None:
    before = load_documents(folder)
    (folder / "part-3.txt").write_text("f\n", encoding="utf-8")
    assert list(load_documents(folder)) == ["b", "a", "c", "d", "f"] != list(before)


def test_what_cannot_be_used_is_named(folder: Path, tmp_path: Path) -> None:
    file = folder / "part-1.jsonl"
    with pytest.raises(DataError, match=r"part-1\.jsonl: the file is given twice"):
        load_documents([folder, file])
    with pytest.raises(DataError, match=r"gone\.csv: the file does not exist"):
        load_documents([file, tmp_path / "gone.csv"])
    with pytest.raises(DataError, match="more: no file of rows is in the folder"):
        load_documents(folder / "more")
    with pytest.raises(DataError, match="`documents`: a file is missing"):
        load_documents([])
    file.write_text('{"document": "c"}\n{"document": 7}\n', encoding="utf-8")
    with pytest.raises(RowError, match=r"part-1\.jsonl, row 2"):
        load_documents(folder)
