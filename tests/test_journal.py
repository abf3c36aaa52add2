from __future__ import annotations

from pathlib import Path

from bistill.journal import Journal, read


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
