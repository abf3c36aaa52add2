"""The state of a run in words, from its record and its process; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bistill.monitor.processes import ProcessFacts
from bistill.monitor.settings import Patience
from bistill.monitor.status import RunStatus

# A validation or the writing of a model may take longer than any before by this factor.
SILENCE_FACTOR: Final = 3.0
# Work that was not seen before in a run (the first validation, the last one and the model) may take so long while the
# process computes.
FIRST_TIME_SECONDS: Final = 3600.0


class RunState(StrEnum):
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
        RunState.STARTING,
        RunState.RUNNING,
        RunState.SAVING,
        RunState.EVALUATING,
        RunState.STALLED,
        RunState.PAUSED,
        RunState.RECOVERING,
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


def allowed_silence(status: RunStatus, patience: Patience) -> float:
    """Seconds without a journal line that a run may take; validations and checkpoints before it count, too."""
    usual = patience.steps * status.usual_seconds
    return max(patience.seconds, usual, SILENCE_FACTOR * status.longest_silence)


def state_of(
    status: RunStatus,
    process: ProcessFacts,
    now: float,
    *,
    signs: Signs = Signs(),
    patience: Patience = Patience(),
) -> RunState:
    """State of a run.

    Args:
        status: its record.
        process: its process at the moment.
        now: seconds since the epoch.
        signs: what is known beside.
        patience: when silence counts as a hang.
    """
    if signs.recovering and not process.alive:
        return RunState.RECOVERING
    if status.ended:
        return _ended(status, signs)
    if not process.alive:
        return RunState.CRASHED
    if process.stopped and signs.paused:
        return RunState.PAUSED
    if is_stalled(status, process, now, patience):
        return RunState.STALLED
    if process.stopped:
        return RunState.PAUSED
    if status.events and _is_out_of_memory(status):
        return RunState.RECOVERING
    if not status.stepped:
        return RunState.STARTING
    return RunState.SAVING if signs.saving else RunState.RUNNING


def is_stalled(status: RunStatus, process: ProcessFacts, now: float, patience: Patience) -> bool:
    """Whether a live process has been silent for too long.

    Before its first update a run mines, scores and validates for as long as that takes: then only one that computes
    nothing is stalled. The same holds, though not for ever, for work that it has not done before.
    """
    silent, allowed = now - status.updated, allowed_silence(status, patience)
    if silent < allowed:
        return False
    idle = process.idle_seconds >= min(allowed, patience.seconds)
    if not status.stepped:
        return idle
    unknown_work = not status.figures or status.step >= status.total_steps
    return idle or not unknown_work or silent >= max(FIRST_TIME_SECONDS, allowed)


def _ended(status: RunStatus, signs: Signs) -> RunState:
    if status.ended == "finished":
        return RunState.EVALUATING if signs.evaluating else RunState.FINISHED
    if status.ended == "stopped":
        return RunState.STOPPED
    return RunState.DIVERGED if status.error_kind == "diverged" else RunState.FAILED


def _is_out_of_memory(status: RunStatus) -> bool:
    """Whether memory ran out in the update at work: no update was written since."""
    last = status.events[-1]
    return last.get("kind") == "out_of_memory" and last.get("time") == status.updated
