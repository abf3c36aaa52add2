"""Monitors as processes of their own, and runs for them to look after."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from bistill import artifacts, journal
from tests.faults.commands import ROOT
from tests.faults.conftest import children, data_version, environment, make_run, undisturbed

__all__ = ["children", "data_version", "environment", "make_run", "undisturbed"]
PRETENDER = Path(__file__).with_name("pretender.py")
PATIENCE_SECONDS = 120.0
# Looks ten times a second, restarts almost at once.
QUICK = {"interval": 0.1, "restart_pause": 0.05, "min_free_mib": 0}


@dataclass
class Folder:
    """Folder of a run that monitors look after."""

    path: Path

    def journal(self) -> list[dict[str, Any]]:
        path = self.path / artifacts.JOURNAL
        return list(journal.read(path)) if path.exists() else []

    def care(self, event: str = "") -> list[dict[str, Any]]:
        """Records of the monitors, those of one event or all."""
        path = self.path / artifacts.MONITOR_JOURNAL
        records = journal.read(path) if path.exists() else []
        return [record for record in records if not event or record["event"] == event]

    def processes(self) -> list[int]:
        """Numbers of the processes that were at work in it, in order."""
        return [record["pid"] for record in self.journal() if record["event"] == "start"]

    def reach(self, step: int, *, processes: int = 1) -> int:
        """Wait until a process, counted from 1, has journalled a step that is not before this one; its number."""

        def there() -> bool:
            records = self.journal()
            starts = [place for place, record in enumerate(records) if record["event"] == "start"]
            if len(starts) < processes:
                return False
            own = records[starts[processes - 1] :]
            return any(record["event"] == "step" and record["step"] >= step for record in own)

        wait_until(there, self)
        return self.processes()[processes - 1]

    def ended(self, status: str) -> bool:
        records = self.journal()
        return bool(records) and records[-1]["event"] == "end" and records[-1]["status"] == status

    def told(self) -> str:
        """All that is known, for a test that waits in vain."""
        names = (artifacts.MONITOR_JOURNAL, artifacts.RUN_OUTPUT, artifacts.EVALUATION_OUTPUT)
        texts = [(self.path / name).read_text() for name in names if (self.path / name).exists()]
        lines = [json.dumps(record)[:300] for record in self.journal()[-5:]]
        return "\n".join([*lines, *texts])


@dataclass
class Monitors:
    """Starts monitors of a folder of runs, and ends them all."""

    root: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *command: Any, before: str = "", place: Path = ROOT, **options: Any) -> subprocess.Popen[str]:
        """A monitor.

        Args:
            command: that it starts itself.
            before: code that its process runs first.
            place: folder in which it is started.
            options: beside those of ``QUICK``; False: ``--no_``.
        """
        flags = [part for name, value in (QUICK | options).items() for part in flag(name, value)]
        code = f"{before}\nfrom bistill.app.cli import run_command; run_command('monitor')"
        arguments = ["--runs", str(self.root), *flags, *(["--", *map(str, command)] if command else [])]
        log = (self.root.parent / f"monitor.{len(self.started)}.txt").open("w")
        monitor = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},
            cwd=place,
            stdout=log,
            stderr=log,
            text=True,
        )
        log.close()
        self.started.append(monitor)
        return monitor

    def said(self, number: int = 0) -> str:
        return (self.root.parent / f"monitor.{number}.txt").read_text()


def flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no_{name}"]
    return [f"--{name}", str(value)]


def wait_until(condition: Callable[[], bool], folder: Folder | None = None) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, folder.told() if folder else "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Folder of a run below ``tmp_path / "models"``; its processes are killed at the end."""
    found = Folder(tmp_path / "models" / "run")
    found.path.parent.mkdir()
    yield found
    for record in [*found.journal(), *found.care()]:
        kill(record)


@pytest.fixture
def monitors(folder: Folder, environment: dict[str, str]) -> Iterator[Monitors]:
    made = Monitors(folder.path.parent, environment)
    yield made
    for monitor in made.started:
        monitor.kill()
        monitor.wait()


@pytest.fixture
def pretend(folder: Folder, environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a process that writes a journal as a run does (see ``pretender.py``)."""
    started: list[subprocess.Popen[bytes]] = []

    def start(kind: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(PRETENDER), str(folder.path), kind]
        started.append(subprocess.Popen(command, env={**os.environ, **environment}, cwd=ROOT))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def kill(record: dict[str, Any]) -> None:
    """End the process of a record, if it is the one that the record means."""
    try:
        process = psutil.Process(record["pid"])
        if abs(process.create_time() - record["process_started"]) < 1:
            os.kill(process.pid, signal.SIGKILL)
    except (psutil.Error, KeyError, ProcessLookupError):
        pass
