from __future__ import annotations

from pathlib import Path

import pytest

from bistill.errors import DataError
from bistill.monitor import watch
from tests.monitor.records import start, step, write


def test_plain_output_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch.once(tmp_path)
    assert "no run below" in capsys.readouterr().out
    end = {"time": 103.0, "event": "end", "status": "failed", "error": "data.csv, row 3: empty\n  found: ''"}
    write(tmp_path / "run" / "journal.jsonl", start(pid=1), step(1), step(2), end)
    watch.once(tmp_path)
    assert "distillation, failed, step 2/100, loss 0.5000, listwise_kl 0.2500, data.csv, row 3: empty" in (
        capsys.readouterr().out
    )


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        watch.watch(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no such folder"):
        watch.once(tmp_path / "nowhere")
