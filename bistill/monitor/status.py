"""From a journal to the state of its last run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bistill import artifacts, journal


@dataclass
class RunStatus:
    """State of one run.

    Attributes:
        folder: output folder of the run.
        stage: teacher or distillation.
        state: running, finished, failed, or crashed (the process is gone without an ``end`` line).
        pid: of the run's process.
        started: seconds since the epoch.
        updated: time of the last journal line.
        step: updates done.
        total_steps: updates of the whole run; 0 before the first.
        lr: last learning rate.
        terms: last loss terms by name.
        seconds_per_step: mean over the last updates.
        figures: last validation figures.
        error: what ended a failed run.
    """

    folder: Path
    stage: str = ""
    state: str = "running"
    pid: int = 0
    started: float = 0.0
    updated: float = 0.0
    step: int = 0
    total_steps: int = 0
    lr: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    seconds_per_step: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def seconds_left(self) -> float:
        """Time that the remaining updates need at the current pace; validation not counted."""
        return (self.total_steps - self.step) * self.seconds_per_step


def find(root: Path) -> list[RunStatus]:
    """States of all runs below a folder: live ones first, then the newest."""
    found = [read_status(path) for path in sorted(root.rglob(artifacts.JOURNAL))]
    return sorted((run for run in found if run.started), key=lambda run: (run.state != "running", -run.updated))


def read_status(path: Path) -> RunStatus:
    """State of the last run of a journal file."""
    status = fold(path.parent, journal.read(path))
    if status.state == "running" and not is_alive(status.pid, status.started):
        status.state = "crashed"
    return status


def fold(folder: Path, records: Iterable[dict[str, Any]]) -> RunStatus:
    """State after the given journal records; a ``start`` record begins anew. Pure."""
    status = RunStatus(folder)
    for record in records:
        event = record["event"]
        if event == "start":
            status = RunStatus(folder, stage=record["stage"], pid=record["pid"], started=record["time"])
        elif event == "step":
            before = status.seconds_per_step or record["seconds"]
            status.seconds_per_step = 0.9 * before + 0.1 * record["seconds"]
            status.step, status.total_steps = record["step"], record["total_steps"]
            status.lr, status.terms = record["lr"], record["terms"]
        elif event == "evaluation":
            status.figures = record["figures"]
        elif event == "end":
            status.state, status.error = record["status"], record.get("error", "")
        status.updated = record["time"]
    return status


def is_alive(pid: int, started: float) -> bool:
    """Whether the process that wrote a start line still runs; a later process of the same number is not it."""
    try:
        process = psutil.Process(pid)
        return process.create_time() <= started + 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
