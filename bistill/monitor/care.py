"""What monitors have done about a run, from their own record beside its journal.

All that a monitor must remember stands there, so that it may die at any moment and another goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bistill import journal
from bistill.monitor.processes import CREATION_TOLERANCE_SECONDS, Identity

MOST_RECORDS: Final = 100
# A restart that was planned and is overdue by so much will not come: the monitor that planned it has died.
OVERDUE_SECONDS: Final = 60.0


@dataclass
class Care:
    """What was done, fed record by record; pure. What belongs to one process begins anew with the next.

    Attributes:
        process: the process that a monitor looks after; None before the first.
        restarts: records of the starts by monitors since somebody else started the run.
        due: time at which a planned restart is to be done; None while none is planned.
        ending_since: time at which a monitor began to end the process; None while none does.
        paused: whether a monitor stopped the process.
        given_up: why no monitor acts any more; "" while one does.
        outcome: state of the process's end that was told; "" before.
        evaluated: whether it was told that the results are there.
        evaluations: start time of the training whose weights each evaluation measures, and the evaluation's process.
        records: the last ones.
    """

    process: Identity | None = None
    restarts: list[dict[str, Any]] = field(default_factory=list)
    due: float | None = None
    ending_since: float | None = None
    paused: bool = False
    given_up: str = ""
    outcome: str = ""
    evaluated: bool = False
    evaluations: list[tuple[float, Identity]] = field(default_factory=list)
    records: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MOST_RECORDS))

    def feed(self, record: Mapping[str, Any]) -> None:
        """Take over one record; one of an unknown event, or without its fields, is only kept."""
        self.records.append(dict(record))
        try:
            self._take(record, float(record["time"]))
        except (KeyError, TypeError, ValueError):
            return

    def _take(self, record: Mapping[str, Any], time: float) -> None:
        match record["event"]:
            case "watching":
                self._take_process(identity_in(record))
                self.restarts = []
            case "planned":
                self.due = time + float(record["pause"])
            case "restart":
                self._take_process(identity_in(record))
                self.restarts.append(dict(record))
            case "ending":
                self.ending_since = time
            case "pause" | "continue":
                self.paused = record["event"] == "pause"
            case "evaluation":
                self.evaluations.append((float(record["trained"]), identity_in(record)))
                self.evaluated = False
            case "evaluated":
                self.evaluated = True
            case "outcome":
                self.outcome = str(record["state"])
            case "give_up":
                self.given_up = str(record["reason"])

    def _take_process(self, process: Identity) -> None:
        self.process, self.due, self.ending_since = process, None, None
        self.paused, self.given_up, self.outcome = False, "", ""

    def looks_after(self, process: Identity) -> bool:
        """Whether a process is the one that a monitor looks after."""
        return self.process is not None and is_same(self.process, process)

    def restarts_without_progress(self, checkpoint_step: int) -> list[dict[str, Any]]:
        """The last restarts before which the run had a checkpoint that was not older than its newest one now."""
        found: list[dict[str, Any]] = []
        for record in reversed(self.restarts):
            if record.get("checkpoint_step", -1) < checkpoint_step:
                break
            found.append(record)
        return found

    def is_evaluating(self, trained: float) -> bool:
        """Whether an evaluation of the weights of a training lives."""
        return any(weights == trained and process.is_alive() for weights, process in self.evaluations)

    def is_recovering(self, status_process: Identity, now: float) -> bool:
        """Whether the process that a journal names is about to be followed by another, or already is."""
        if self.due is not None:
            return now < self.due + OVERDUE_SECONDS
        return bool(self.restarts) and not self.looks_after(status_process) and self._lives()

    def _lives(self) -> bool:
        return self.process is not None and self.process.is_alive()


class CareFollower:
    """The record of one run's monitors, read again when it has changed; it is small.

    Args:
        path: the record; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._care = path, Care()
        self._read: tuple[int, int, int] | None = None

    def look(self) -> Care:
        """What stands there at the moment."""
        try:
            found = self._path.stat()
            version = (found.st_ino, found.st_size, found.st_mtime_ns)
            if version != self._read:
                care = Care()
                for record in journal.read(self._path):
                    care.feed(record)
                self._care, self._read = care, version
        except FileNotFoundError:
            self._care, self._read = Care(), None
        except OSError:  # not now; what was read before still holds
            pass
        return self._care


def identity_in(record: Mapping[str, Any]) -> Identity:
    """The process of a record.

    Raises:
        KeyError: it names none.
        TypeError: its fields are no numbers.
    """
    return Identity(int(record["pid"]), float(record["process_started"]))


def is_same(one: Identity, other: Identity) -> bool:
    """Whether two notes mean the same process; their creation times may differ by what the clock was set."""
    return one.pid == other.pid and abs(one.created - other.created) <= CREATION_TOLERANCE_SECONDS
