from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bistill.config import MonitorOptions
from bistill.errors import DataError
from bistill.journal import Journal
from bistill.monitor import status, watch


def journal(folder: Path, pid: int, *, ended: str = "") -> Journal:
    made = Journal(folder / "journal.jsonl")
    made.write("start", stage="teacher", pid=pid)
    for step in (1, 2):
        made.write(
            "step", step=step, total_steps=10, epoch=0, lr=1e-4, terms={"loss": 0.5 / step}, grad_norm=1.0, seconds=2.0
        )
    made.write("evaluation", step=2, epoch=0, figures={"ndcg_at_10": 0.75})
    if ended:
        made.write("end", status=ended, error="data.csv, row 3: empty\n  found: ''", seconds=4.0)
    return made


def test_a_live_run(tmp_path: Path) -> None:
    journal(tmp_path / "run", os.getpid())
    [run] = status.find(tmp_path)
    assert (run.state, run.stage, run.step, run.total_steps) == ("running", "teacher", 2, 10)
    assert run.terms == {"loss": 0.25}
    assert run.figures == {"ndcg_at_10": 0.75}
    assert run.seconds_left == pytest.approx(16)
    assert watch.line(run).endswith(
        "teacher, running, step 2/10, 2.00 s/step, 16 s left, loss 0.2500, ndcg_at_10 0.7500"
    )


def test_a_killed_process_is_a_crash_and_a_reused_number_is_no_life(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    journal(tmp_path / "run", process.pid)
    assert status.find(tmp_path)[0].state == "running"
    assert not status.is_alive(process.pid, time.time() - 3600)  # as if the number had belonged to an older process
    process.kill()
    process.communicate()
    assert status.find(tmp_path)[0].state == "crashed"


def test_ended_runs_and_their_order(tmp_path: Path) -> None:
    journal(tmp_path / "old", 1, ended="finished")
    journal(tmp_path / "new", 1, ended="failed")
    journal(tmp_path / "live", os.getpid())
    assert [(run.folder.name, run.state) for run in status.find(tmp_path)] == [
        ("live", "running"),
        ("new", "failed"),
        ("old", "finished"),
    ]


def test_a_second_start_begins_anew(tmp_path: Path) -> None:
    journal(tmp_path / "run", 1, ended="failed")
    Journal(tmp_path / "run" / "journal.jsonl").write("start", stage="distillation", pid=os.getpid())
    [run] = status.find(tmp_path)
    assert (run.stage, run.state, run.step, run.error) == ("distillation", "running", 0, "")


def test_plain_output_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch.watch(MonitorOptions(runs=str(tmp_path), once=True))
    assert "no run below" in capsys.readouterr().out
    journal(tmp_path / "run", 1, ended="failed")
    watch.watch(MonitorOptions(runs=str(tmp_path), once=True))
    assert "teacher, failed, step 2/10, loss 0.2500, ndcg_at_10 0.7500, data.csv, row 3: empty" in (
        capsys.readouterr().out
    )


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        watch.watch(MonitorOptions(runs=str(tmp_path / "nowhere")))
