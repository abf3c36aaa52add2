from __future__ import annotations

import errno
import os
from pathlib import Path

import psutil
import pytest

from bistill.errors import ArtifactError
from bistill.journal import LAST_BYTES, Journal, last, read


def test_records_come_back_in_order_and_nan_is_null(tmp_path: Path) -> None:
    path = tmp_path / "run" / "journal.jsonl"
    journal = Journal(path)
    journal.write("start", stage="teacher")
    journal.write("step", terms={"loss": float("nan"), "kl": 0.5}, text="한국어")
    journal.close()
    first, second = read(path)
    assert (first["event"], first["stage"]) == ("start", "teacher")
    assert second["terms"] == {"loss": None, "kl": 0.5}
    assert second["text"] == "한국어"
    assert second["time"] >= first["time"]


def test_a_torn_line_is_passed_over_and_the_file_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"time": 1, "event": "start"}\n{"time": 2, "ev\n[1]\n')
    journal = Journal(path)
    journal.write("end")
    journal.close()
    assert [record["event"] for record in read(path)] == ["start", "end"]


def test_a_line_that_a_killed_run_tore_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"time": 1, "event": "start"}\n{"time": 2, "ev')
    for _ in range(2):
        journal = Journal(path)
        journal.write("start")
        journal.close()
    assert [record["event"] for record in read(path)] == ["start", "start", "start"]
    assert path.read_bytes().count(b"\n") == 4


@pytest.mark.parametrize("taken", [0, 1, 20])
def test_a_full_disk_is_said_once_and_tears_no_later_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], taken: int
) -> None:
    """The disk takes some bytes of a line, then none; room comes back."""
    path, write, room = tmp_path / "journal.jsonl", os.write, [10_000]

    def limited(handle: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(handle, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", limited)
    journal = Journal(path)
    journal.write("start")
    room[0] = taken
    journal.write("step", step=1)
    journal.write("step", step=2)
    room[0] = 10_000
    journal.write("step", step=3)
    journal.write("end")
    journal.close()
    assert [(record["event"], record.get("step")) for record in read(path)] == [
        ("start", None),
        ("step", 3),
        ("end", None),
    ]
    said = capsys.readouterr().err
    assert said == f"{path}: the journal cannot be written (No space left on device); the run goes on\n"


def test_a_flush_that_fails_is_said_and_the_file_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    before = psutil.Process().num_fds()
    journal = Journal(tmp_path / "journal.jsonl")
    assert psutil.Process().num_fds() == before + 1
    monkeypatch.setattr(os, "fsync", fail)
    journal.close()
    assert "cannot be written (Input/output error)" in capsys.readouterr().err
    assert psutil.Process().num_fds() == before


def test_a_journal_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(ArtifactError, match=r"journal.jsonl: the journal cannot be written \(Is a directory\)\n  do: "):
        Journal(tmp_path / "journal.jsonl")


def test_a_journal_goes_on_in_another(tmp_path: Path) -> None:
    writer = Journal(tmp_path / "inside" / "journal.jsonl")
    writer.write("start")
    (tmp_path / "journal.jsonl").write_bytes(b'{"event": "sta')  # torn
    assert writer.folder == tmp_path / "inside"
    writer.go_on_in(tmp_path / "journal.jsonl")
    writer.write("end")
    writer.close()
    assert writer.folder == tmp_path
    assert [record["event"] for record in read(tmp_path / "journal.jsonl")] == ["end"]
    assert [record["event"] for record in read(tmp_path / "inside" / "journal.jsonl")] == ["start"]


def test_the_last_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"")
    assert last(path) == {}
    writer = Journal(path)
    for number in range(3):
        writer.write("step", step=number, text="x" * (LAST_BYTES // 2))
    writer.close()
    with path.open("ab") as file:
        file.write(b'[1]\n{"time": 1}\n{"event": "en')
    assert last(path)["step"] == 2
