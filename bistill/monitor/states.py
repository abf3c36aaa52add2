"""The state of a run in words, from its record and its process; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bistill.monitor.processes import ProcessFacts
from bistill.monitor.status import RunStatus

# A validation or the writing of a model may take longer than any before by this factor.
SILENCE_FACTOR: Final = 3.0
# Work that was not seen before in a run (the first validation, the last one and the model) may take so long while the
# process computes.
FIRST_TIME_SECONDS: Final = 3600.0


class State(StrEnum):
    """What a run is at, in one word."""

    STARTING = "starting"
    RUNNING = "running"
    SAVING = "saving"
    EVALUATING = "evaluating"
    STALLED = "stalled"
    PAUSED = "paused"
    RECOVERING = "recovering"
    DIVERGED = "diverged"
    CRASHED = "crashed"
    FAILED = "failed"
    STOPPED = "stopped"
    FINISHED = "finished"

    @property
    def live(self) -> bool:
        """Whether something is under way or about to be."""
        return self in LIVE


LIVE: Final = frozenset(
    {
        State.STARTING,
        State.RUNNING,
        State.SAVING,
        State.EVALUATING,
        State.STALLED,
        State.PAUSED,
        State.RECOVERING,
    }
)


@dataclass(frozen=True)
class Signs:
    """What is known about a run beside its journal and its process.

    Attributes:
        saving: a checkpoint or the model is being written.
        evaluating: an evaluation that a monitor started is at work.
        paused: a monitor has stopped the process until there is room on the disk.
        recovering: a monitor is about to start the run again.
    """

    saving: bool = False
    evaluating: bool = False
    paused: bool = False
    recovering: bool = False


@dataclass(frozen=True)
class Patience:
    """When silence counts as a hang.

    Attributes:
        steps: so many times the usual time of an update.
        seconds: and at least so long.
    """

    steps: float = 20.0
    seconds: float = 300.0

    def of(self, status: RunStatus) -> float:
        """Seconds without a journal line that a run may take; validations and checkpoints before it count, too."""
        return max(self.seconds, self.steps * status.usual_seconds, SILENCE_FACTOR * status.longest_silence)


def state_of(
    status: RunStatus,
    process: ProcessFacts,
    now: float,
    *,
    signs: Signs = Signs(),
    patience: Patience = Patience(),
) -> State:
    """State of a run.

    Args:
        status: its record.
        process: its process at the moment.
        now: seconds since the epoch.
        signs: what is known beside.
        patience: when silence counts as a hang.
    """
    if signs.recovering and not process.alive:
        return State.RECOVERING
    if status.ended:
        return _ended(status, signs)
    if not process.alive:
        return State.CRASHED
    if process.stopped and signs.paused:
        return State.PAUSED
    if is_stalled(status, process, now, patience):
        return State.STALLED
    if process.stopped:
        return State.PAUSED
    if status.events and _is_out_of_memory(status):
        return State.RECOVERING
    if not status.stepped:
        return State.STARTING
    return State.SAVING if signs.saving else State.RUNNING


def is_stalled(status: RunStatus, process: ProcessFacts, now: float, patience: Patience) -> bool:
    """Whether a live process has been silent for too long.

    Before its first update a run mines, scores and validates for as long as that takes: then only one that computes
    nothing is stalled. The same holds, though not for ever, for work that it has not done before.
    """
    silent, allowed = now - status.updated, patience.of(status)
    if silent < allowed:
        return False
    idle = process.idle_seconds >= min(allowed, patience.seconds)
    if not status.stepped:
        return idle
    unknown_work = not status.figures or status.step >= status.total_steps
    return idle or not unknown_work or silent >= max(FIRST_TIME_SECONDS, allowed)


def _ended(status: RunStatus, signs: Signs) -> State:
    if status.ended == "finished":
        return State.EVALUATING if signs.evaluating else State.FINISHED
    if status.ended == "stopped":
        return State.STOPPED
    return State.DIVERGED if status.error_kind == "diverged" else State.FAILED


def _is_out_of_memory(status: RunStatus) -> bool:
    """Whether memory ran out in the update at work: no update was written since."""
    last = status.events[-1]
    return last.get("kind") == "out_of_memory" and last.get("time") == status.updated
