from __future__ import annotations

from pathlib import Path

import pytest

from bistill.config import MonitorOptions
from bistill.errors import DataError, OptionError
from bistill.monitor import watch
from tests.monitor.records import start, step, write


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


def test_one_look_takes_no_command(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--once: one look cannot look after a command"):
        watch.watch(MonitorOptions(runs=str(tmp_path), once=True), ["touch", str(tmp_path / "touched")])
    assert not (tmp_path / "touched").exists()
