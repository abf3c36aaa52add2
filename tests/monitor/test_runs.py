from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from bistill import artifacts
from bistill.monitor.processes import ProcessFacts, ProcessWatch, identity_of
from bistill.monitor.runs import Runs, is_saving, journals_below
from bistill.monitor.states import RunState
from bistill.monitor.status import RunStatus
from tests.monitor.records import start, step, write

LONG = 10.0


def test_live_runs_first_then_the_newest(tmp_path: Path) -> None:
    end = {"event": "end", "status": "finished"}
    write(tmp_path / "old" / "journal.jsonl", start(pid=1, time=50.0), {**end, "time": 60.0})
    write(tmp_path / "new" / "journal.jsonl", start(pid=1, time=70.0), {**end, "time": 80.0, "status": "failed"})
    write(tmp_path / "deep" / "live" / "journal.jsonl", start(time=10.0), step(1, time=time.time()))
    write(tmp_path / "empty" / "journal.jsonl")
    views = Runs(tmp_path).look(LONG)
    assert [(view.status.folder.name, view.state) for view in views] == [
        ("live", RunState.RUNNING),
        ("new", RunState.FAILED),
        ("old", RunState.FINISHED),
    ]
    assert views[0].process.alive and views[0].reading == 1.0


def test_a_killed_process_is_a_crash(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    found = identity_of(process.pid)
    assert found is not None
    write(tmp_path / "run" / "journal.jsonl", start(pid=found.pid, process_started=found.created))
    runs = Runs(tmp_path)
    assert runs.look(LONG)[0].state is RunState.STARTING
    process.kill()
    process.communicate()
    assert runs.look(LONG)[0].state is RunState.CRASHED


def test_runs_that_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bistill.monitor.runs.FIND_INTERVAL_SECONDS", 0)
    runs = Runs(tmp_path / "models")
    assert runs.look() == []
    journal = write(tmp_path / "models" / "one" / "journal.jsonl", start())
    other = write(tmp_path / "elsewhere" / "journal.jsonl", start())
    [view] = runs.look(LONG)
    status = view.status
    runs.add(other)
    assert {view.status.folder for view in runs.look(LONG)} == {journal.parent, other.parent}
    assert any(view.status is status for view in runs.look(LONG))
    journal.unlink()
    assert [view.status.folder for view in runs.look(LONG)] == [other.parent]


def test_a_run_whose_model_has_taken_the_place_of_another_is_shown_there_at_once(tmp_path: Path) -> None:
    end = {"time": 20.0, "event": "end", "status": "finished"}
    before = write(tmp_path / "student" / "journal.jsonl", start(time=10.0, pid=1), end)
    inside = write(tmp_path / "student" / "replacement" / "journal.jsonl", start(time=30.0), step(1, time=time.time()))
    runs = Runs(tmp_path)
    assert [(view.status.folder.name, view.state) for view in runs.look(LONG)] == [
        ("replacement", RunState.RUNNING),
        ("student", RunState.FINISHED),
    ]
    artifacts.append_file(inside, before)
    inside.unlink()
    write(before, {**end, "time": 40.0})
    [view] = runs.look(LONG)  # without a new search of the folder
    assert (view.status.folder.name, view.state, view.status.started) == ("student", RunState.FINISHED, 30.0)


def test_where_journals_are_looked_for(tmp_path: Path) -> None:
    for name in ("a", "b/c", "a/checkpoints/x", ".hidden"):
        write(tmp_path / name / "journal.jsonl", start())
    (tmp_path / "b" / "circle").symlink_to(tmp_path)
    assert {path.parent.relative_to(tmp_path).as_posix() for path in journals_below(tmp_path)} == {"a", "b/c"}


def test_signs_of_saving(tmp_path: Path) -> None:
    assert not is_saving(tmp_path)
    (tmp_path / "checkpoints" / "step-00000005").mkdir(parents=True)
    assert not is_saving(tmp_path)
    (tmp_path / "checkpoints" / "unfinished-step").mkdir()
    assert is_saving(tmp_path)
    (tmp_path / "other" / "unfinished-model").mkdir(parents=True)
    assert is_saving(tmp_path / "other")


def test_what_monitors_did_stands_among_the_events(tmp_path: Path) -> None:
    done = {"event": "watching", "pid": 1, "process_started": 1.0, "message": "m"}
    write(tmp_path / "journal.jsonl", start(time=10.0), {"time": 30.0, "event": "checkpoint", "step": 1})
    write(tmp_path / "monitor.jsonl", {"time": 20.0, **done}, {**done, "time": "late"})
    [view] = Runs(tmp_path).look(LONG)
    assert [record["event"] for record in view.events] == ["watching", "start", "watching", "checkpoint"]


def test_a_journal_outside_is_not_followed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    journal = write(tmp_path / "models" / "run" / "journal.jsonl", start())
    runs = Runs(Path("models"))
    runs.add(journal)
    assert [view.status.folder for view in runs.look(LONG)] == [Path("models/run")]


def test_the_last_line_of_a_process_that_ends_meanwhile_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends between the look at it and the look at its journal: it has finished, not crashed."""
    journal = write(tmp_path / "journal.jsonl", start(), step(1, time=time.time()))
    runs = Runs(tmp_path)
    assert runs.look(LONG)[0].state is RunState.RUNNING
    plain = ProcessWatch.look

    def look(self: ProcessWatch, status: RunStatus) -> ProcessFacts:
        plain(self, status)
        write(journal, {"time": time.time(), "event": "end", "status": "finished"})
        return ProcessFacts(alive=False)

    monkeypatch.setattr(ProcessWatch, "look", look)
    assert runs.look(LONG)[0].state is RunState.FINISHED
