"""What the files of a run's folder tell."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bistill.config import MonitorOptions
from bistill.monitor import model_folder
from bistill.monitor.runs import Runs
from bistill.monitor.status import RunStatus
from bistill.monitor.supervisor import Supervisor
from tests.monitor.records import start, step, write


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    made = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield made
    made.kill()
    made.communicate()


def test_a_journal_elsewhere_than_its_run_writes_is_a_copy(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    def is_copy(folder: str, **fields: object) -> bool:
        status = RunStatus(tmp_path / folder)
        status.feed(start(cwd=str(tmp_path), **fields))
        return model_folder.is_copy(status)

    assert not is_copy("run", options={"output_dir": "run"})
    assert not is_copy("run", options={"output_dir": str(tmp_path / "link" / "run")})
    assert is_copy("copy", options={"output_dir": "run"})
    assert not is_copy("run") and not is_copy("run", options={"output_dir": None})


def test_the_process_of_a_copied_journal_is_left_alone(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    began = {"pid": process.pid, "process_started": psutil.Process(process.pid).create_time()}
    said = [start(**began, cwd=str(tmp_path), options={"output_dir": "run"}), step(1)]
    for name in ("run", "copy"):
        write(tmp_path / name / "journal.jsonl", *said)
    supervisor = Supervisor(MonitorOptions(), lambda _: None)
    supervisor.act(Runs(tmp_path).look(10))
    supervisor.close()
    assert (tmp_path / "run" / "monitor.jsonl").exists()
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["journal.jsonl"]
    assert process.poll() is None
