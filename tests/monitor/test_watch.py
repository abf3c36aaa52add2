from __future__ import annotations

import time
from pathlib import Path

import pytest

from bistill.config import MonitorOptions
from bistill.errors import DataError
from bistill.monitor import watch
from bistill.monitor.runs import Runs
from tests.monitor.records import evaluation, start, step, write


def test_a_line_about_a_live_run(tmp_path: Path) -> None:
    measured = evaluation(2, 0, figures={"ndcg_at_10": 0.75}, time=time.time())
    write(tmp_path / "run" / "journal.jsonl", start(), step(1), step(2), measured)
    [view] = Runs(tmp_path).look(10)
    assert watch.line(view).endswith(
        "distillation, running, step 2/100, 1.00 s/step, 98 s left, loss 0.5000, listwise_kl 0.2500, ndcg_at_10 0.7500"
    )


def test_plain_output_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch.watch(MonitorOptions(runs=str(tmp_path), once=True))
    assert "no run below" in capsys.readouterr().out
    end = {"time": 103.0, "event": "end", "status": "failed", "error": "data.csv, row 3: empty\n  found: ''"}
    write(tmp_path / "run" / "journal.jsonl", start(pid=1), step(1), step(2), end)
    watch.watch(MonitorOptions(runs=str(tmp_path), once=True))
    assert "distillation, failed, step 2/100, loss 0.5000, listwise_kl 0.2500, data.csv, row 3: empty" in (
        capsys.readouterr().out
    )


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        watch.watch(MonitorOptions(runs=str(tmp_path / "nowhere")))
