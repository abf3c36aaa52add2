"""One run in charge, looked at step by step: what is started, recorded and told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from bistill import artifacts
from bistill.errors import ArtifactError
from bistill.monitor.charge import Charge
from bistill.monitor.notifications import Notice
from bistill.monitor.runs import Runs, RunView
from bistill.monitor.settings import Recovery
from tests.monitor.conftest import Folder, wait_until
from tests.monitor.records import start, step, write

DEAD = {"pid": 2**22 + 1, "process_started": 1.0}  # a number that Linux gives to no process


class Bench:
    """A charge of a run whose process is gone, and whose command writes its arguments into a file."""

    def __init__(self, folder: Folder, end: dict[str, Any], **options: Any) -> None:
        self.folder = folder
        self.path = folder.path
        code = f"import json, sys; open({str(self.path / 'given')!r}, 'w').write(json.dumps(sys.argv[1:]))"
        command = [sys.executable, "-c", code, "--lr", "1e-5"]
        now = time.time()
        self.journal = write(
            self.path / "journal.jsonl",
            start(time=now - 9, stage="teacher", command=command, cwd=str(self.path), **DEAD),
            step(1, time=now - 8),
            {"time": now - 7, "event": "end", "status": "failed", **end},
        )
        write(self.path / "monitor.jsonl", {"time": now - 9, "event": "watching", **DEAD})
        self.told: list[Notice] = []
        self.charge = Charge(self.path, Recovery(restart_pause=0.0, **options), self.told.append)

    def look(self) -> RunView:
        [view] = Runs(self.path).look(10)
        return view

    def act(self) -> None:
        self.charge.act(self.look(), 0)

    def given(self) -> list[str]:
        wait_until((self.path / "given").exists, self.folder)
        wait_until(lambda: (self.path / "given").read_text() != "", self.folder)
        found: list[str] = json.loads((self.path / "given").read_text())
        return found


@pytest.fixture
def bench(folder: Folder) -> Callable[..., Bench]:
    return lambda end, **options: Bench(folder, end, **options)


def test_numbers_that_are_none_are_met_with_a_lower_rate_if_that_is_allowed(bench: Callable[..., Bench]) -> None:
    made = bench({"error": "no numbers", "error_kind": "diverged"}, lower_lr=True)
    schedule = made.path / artifacts.CHECKPOINTS_FOLDER / "step-00000005" / artifacts.CHECKPOINT_SCHEDULE
    artifacts.write_json(schedule, {"lr_factor": 0.5})
    made.act()
    assert made.given() == ["--lr", "1e-5", "--resume_lr_factor", "0.25"]
    assert [notice.event for notice in made.told] == ["recovering"]
    assert "--resume_lr_factor 0.25" in made.told[0].message


def test_numbers_that_are_none_end_the_run_otherwise(bench: Callable[..., Bench]) -> None:
    made = bench({"error": "step 3: no numbers", "error_kind": "diverged"})
    for _ in range(3):
        made.act()
    assert [notice.event for notice in made.told] == ["given_up"]
    assert made.told[0].message == "its loss is NaN or infinite: it is given up\nstep 3: no numbers"
    assert made.folder.care("restart") == []


def test_an_error_of_the_user_is_told_once_and_nothing_is_done(bench: Callable[..., Bench]) -> None:
    made = bench({"error": "row 3: empty", "error_kind": "user"})
    for _ in range(3):
        made.act()
    assert [(notice.event, notice.message) for notice in made.told] == [("failed", "the run has failed: row 3: empty")]
    other = Charge(made.path, Recovery(), made.told.append)
    made.charge.close()
    other.act(made.look(), 0)
    assert len(made.told) == 1  # also by the monitor that comes after


def test_nothing_is_started_while_somebody_is_at_work_in_the_folder(bench: Callable[..., Bench]) -> None:
    from filelock import FileLock

    made = bench({"error": "x", "error_kind": "fault"})
    with FileLock(made.path / artifacts.RUN_LOCK):
        for _ in range(3):
            made.act()
        assert made.folder.care("restart") == [] and len(made.folder.care("planned")) == 1
    made.act()
    assert made.given() == ["--lr", "1e-5"] and len(made.folder.care("restart")) == 1


def test_without_a_record_nothing_more_is_done(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """Restarts that were not counted would have no end."""
    made = bench({"error": "x", "error_kind": "fault"})
    monkeypatch.setattr("bistill.journal.Journal.write", lambda *_, **__: None)  # as on a full disk
    with pytest.raises(ArtifactError, match="record cannot be written"):
        made.act()
    made.act()
    assert not (made.path / "given").exists() and made.told == []
