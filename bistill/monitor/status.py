"""From the records of a journal to the state of its newest run; pure: no clock, no file, no process."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard

# The student's figure and the teacher's, of which one chooses the best weights; ties are decided by the third.
CRITERIA: Final = ("ndcg_at_10", "rerank_ndcg_at_10", "auc")
MOST_STEPS: Final = 2000
MOST_EVALUATIONS: Final = 200
MOST_EVENTS: Final = 200
PACE_STEPS: Final = 32


class StepPoint(NamedTuple):
    """One update that is kept for the curves."""

    step: int
    time: float
    lr: float
    terms: dict[str, float]
    grad_norm: float
    tokens_per_second: float
    memory_mib: float


@dataclass
class History:
    """What a run's curves are drawn from; its size does not grow with the run.

    Attributes:
        steps: at most ``MOST_STEPS`` updates, evenly thinned over the whole run.
        evaluations: at most ``MOST_EVALUATIONS`` records of validations, thinned likewise.
        every: of so many updates one is kept; doubles whenever the list is full.
    """

    steps: list[StepPoint] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    every: int = 1

    def add_step(self, point: StepPoint) -> None:
        """Append an update; points that are not before it, of a course that was gone back on, are cut off."""
        if self.steps and point.step <= self.steps[-1].step:
            self._cut_steps(point.step)
        self.steps.append(point)
        if len(self.steps) > MOST_STEPS:
            self.steps = self.steps[::2]
            self.every *= 2

    def add_evaluation(self, record: dict[str, Any]) -> None:
        """Append a validation; those that are not before it are cut off. When full, every second one goes."""
        self.evaluations = [item for item in self.evaluations if item["step"] < record["step"]] + [record]
        if len(self.evaluations) > MOST_EVALUATIONS:
            self.evaluations = [*self.evaluations[:-1:2], record]

    def cut(self, step: int) -> None:
        """Forget what came after a step: the run goes on from there."""
        self._cut_steps(step + 1)
        self.evaluations = [item for item in self.evaluations if item["step"] <= step]

    def _cut_steps(self, first: int) -> None:
        while self.steps and self.steps[-1].step >= first:
            self.steps.pop()


@dataclass
class RunStatus:
    """State of one run, fed record by record.

    Attributes:
        folder: output folder of the run.
        stage: teacher or distillation; "" before a ``start`` record.
        pid: of the run's process.
        process_started: creation time of this process in seconds since the epoch; 0 in journals of earlier versions.
        host: machine of the process; "" in journals of earlier versions.
        command: with which the process was started, the interpreter first.
        arguments: of its program, without the program.
        takes_flags: whether the command knows the flags of bistill; a program of a user's own does not.
        working_folder: in which it was started.
        environment: variables that decide what the command does; None for one that was not set.
        options: of the run, by name.
        started: seconds since the epoch.
        updated: time of the last journal line.
        step: updates done.
        total_steps: updates of the whole run; 0 before the first.
        stepped: whether this process has done an update.
        epoch: 0-based.
        lr: last learning rate.
        terms: last loss terms by name; one that is NaN or infinite is left out.
        grad_norm: last norm of the gradient before clipping.
        tokens: of the texts of the last update, padding not counted.
        micro_batches: pieces in which the last update was run.
        tokens_per_second: of the last update.
        memory_mib: memory that the run says it holds.
        micro_batch_tokens: tokens that may be held at once; 0 while unknown.
        figures: last validation figures by name; one that is NaN or infinite is left out.
        best: ``step`` and ``figures`` of the best validation of trained weights, {} before the first.
        gate: the journal's ``gate`` record of the teacher, {} where there is none; the newest of a run that went on.
        embedding_gates: likewise of Bi-Encoders that teach beside it, by their names.
        candidates: the journal's ``candidates`` record, {} where there is none.
        checkpoint_step: of the newest checkpoint; -1 before the first.
        checkpoint_bytes: its size.
        ended: "" while the run goes on, else finished, stopped or failed.
        error: what ended a failed run.
        error_kind: user, out_of_memory, diverged or fault; "" while there is no error.
        traceback: of a fault.
        longest_silence: seconds of the longest work between two lines that was no update (validation, saving).
        history: for curves.
        events: the last records that are no updates.
    """

    folder: Path
    stage: str = ""
    pid: int = 0
    process_started: float = 0.0
    host: str = ""
    command: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    takes_flags: bool = True
    working_folder: str = ""
    environment: dict[str, str | None] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0
    updated: float = 0.0
    step: int = 0
    total_steps: int = 0
    stepped: bool = False
    epoch: int = 0
    lr: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    grad_norm: float = 0.0
    tokens: int = 0
    micro_batches: int = 0
    tokens_per_second: float = 0.0
    memory_mib: float = 0.0
    micro_batch_tokens: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    gate: dict[str, Any] = field(default_factory=dict)
    embedding_gates: dict[str, dict[str, Any]] = field(default_factory=dict)
    candidates: dict[str, Any] = field(default_factory=dict)
    checkpoint_step: int = -1
    checkpoint_bytes: int = 0
    ended: str = ""
    error: str = ""
    error_kind: str = ""
    traceback: str = ""
    longest_silence: float = 0.0
    history: History = field(default_factory=History)
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MOST_EVENTS))
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=PACE_STEPS))

    @property
    def progress(self) -> float:
        """Share of the updates that are done, 0 to 1."""
        return min(self.step / self.total_steps, 1.0) if self.total_steps else 0.0

    @property
    def seconds_per_step(self) -> float:
        """Mean over the last updates that were read; 0 before the first."""
        return statistics.fmean(self._seconds) if self._seconds else 0.0

    @property
    def usual_seconds(self) -> float:
        """Median over the last updates that were read: a pause or a slow one in between does not show."""
        return statistics.median(self._seconds) if self._seconds else 0.0

    @property
    def seconds_left(self) -> float:
        """Time that the remaining updates need at the current pace; validation not counted."""
        return max(self.total_steps - self.step, 0) * self.seconds_per_step

    @property
    def cache_hit_rate(self) -> float | None:
        """Share of the candidate pairs whose teacher score was in the cache; None if unknown."""
        pairs, scored = self.candidates.get("pairs"), self.candidates.get("scored")
        if not _is_number(pairs) or not _is_number(scored) or pairs <= 0:
            return None
        return max(1 - scored / pairs, 0.0)

    def feed(self, record: Mapping[str, Any], *, kept: bool = True) -> None:
        """Take over one record. Fields that are missing or of another type leave the state as it is.

        Args:
            record: of the journal, in its order.
            kept: whether an update is kept for the curves.
        """
        event, time = record.get("event"), _number(record, "time", self.updated)
        if event == "step":
            self._step(record, time, kept)
        else:
            if event == "start":
                self._start(record, time)
            elif self.stepped:
                self.longest_silence = max(self.longest_silence, time - self.updated)
            if event in _FEED:
                _FEED[event](self, record)
            self.events.append(dict(record))
        self.updated = time

    def _start(self, record: Mapping[str, Any], time: float) -> None:
        """Begin anew; curves stay where a run that was not finished is started again."""
        goes_on = self.ended != "finished" and self.stage == record.get("stage")
        history, events, best, gates = self.history, self.events, self.best, (self.gate, self.embedding_gates)
        total, silence, checkpoint = self.total_steps, self.longest_silence, self.checkpoint_step
        vars(self).update(vars(RunStatus(self.folder)))  # every field back to its default, the object the same
        self.events = events
        if goes_on:
            self.history, self.best, self.total_steps = history, best, total
            self.gate, self.embedding_gates = gates
            self.longest_silence, self.checkpoint_step = silence, checkpoint
        self.stage, self.host = _text(record, "stage"), _text(record, "host")
        self.working_folder, self.started = _text(record, "cwd"), time
        self.pid = int(_number(record, "pid", 0))
        self.process_started = _number(record, "process_started", 0.0)
        self.command, self.arguments = _texts(record, "command"), _texts(record, "argv")[1:]
        self.takes_flags = record.get("takes_flags") is not False
        self.environment, self.options = _mapping(record, "environment"), _mapping(record, "options")

    def _step(self, record: Mapping[str, Any], time: float, kept: bool) -> None:
        self.step = int(_number(record, "step", self.step))
        self.total_steps = int(_number(record, "total_steps", self.total_steps))
        self.epoch = int(_number(record, "epoch", self.epoch))
        self.lr, self.terms = _number(record, "lr", self.lr), _numbers(record, "terms")
        self.grad_norm = _number(record, "grad_norm", 0.0)
        self.tokens, self.micro_batches = int(_number(record, "tokens", 0)), int(_number(record, "micro_batches", 0))
        self.tokens_per_second = _number(record, "tokens_per_second", 0.0)
        self.memory_mib = _number(record, "memory_mib", 0.0)
        self._seconds.append(_number(record, "seconds", 0.0))
        self.stepped = True
        if kept:
            speed, memory = self.tokens_per_second, self.memory_mib
            self.history.add_step(StepPoint(self.step, time, self.lr, self.terms, self.grad_norm, speed, memory))

    def _evaluation(self, record: Mapping[str, Any]) -> None:
        step, self.figures = int(_number(record, "step", self.step)), _numbers(record, "figures")
        self.history.add_evaluation({**record, "step": step, "figures": self.figures})
        if self.best and self.best["step"] >= step:  # of a course that was gone back on
            measured = [item for item in self.history.evaluations if item["step"] > 0]
            self.best = {}
        else:
            measured = self.history.evaluations[-1:] if step else []
        for item in measured:
            if not self.best or _rank(item["figures"]) > _rank(self.best["figures"]):
                self.best = {"step": item["step"], "figures": item["figures"]}

    def _resume(self, record: Mapping[str, Any]) -> None:
        self.step = self.checkpoint_step = int(_number(record, "step", 0))
        self._memory(record)
        self.history.cut(self.step)

    def _checkpoint(self, record: Mapping[str, Any]) -> None:
        self.checkpoint_step = int(_number(record, "step", self.checkpoint_step))
        self.checkpoint_bytes = int(_number(record, "bytes", self.checkpoint_bytes))

    def _candidates(self, record: Mapping[str, Any]) -> None:
        self.candidates = dict(record)

    def _gate(self, record: Mapping[str, Any]) -> None:
        if name := _text(record, "embedding_teacher"):
            self.embedding_gates = self.embedding_gates | {name: dict(record)}
        else:
            self.gate = dict(record)

    def _memory(self, record: Mapping[str, Any]) -> None:
        self.micro_batch_tokens = int(_number(record, "micro_batch_tokens", self.micro_batch_tokens))

    def _trouble(self, record: Mapping[str, Any]) -> None:
        self._memory(record)
        if record.get("kind") == "rollback":
            self.step = int(_number(record, "to_step", self.step))
            self.history.cut(self.step)

    def _end(self, record: Mapping[str, Any]) -> None:
        self.ended = _text(record, "status") or "failed"
        self.error, self.error_kind = _text(record, "error"), _text(record, "error_kind")
        self.traceback = _text(record, "traceback")


_FEED: Final = {
    "evaluation": RunStatus._evaluation,
    "resume": RunStatus._resume,
    "checkpoint": RunStatus._checkpoint,
    "gate": RunStatus._gate,
    "candidates": RunStatus._candidates,
    "memory": RunStatus._memory,
    "trouble": RunStatus._trouble,
    "end": RunStatus._end,
}


def _rank(figures: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(figures.get(name, float("-inf")) for name in CRITERIA)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(record: Mapping[str, Any], name: str, default: float) -> float:
    value = record.get(name)
    return value if _is_number(value) else default


def _numbers(record: Mapping[str, Any], name: str) -> dict[str, float]:
    return {key: value for key, value in _mapping(record, name).items() if _is_number(value)}


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else ""


def _texts(record: Mapping[str, Any], name: str) -> list[str]:
    value = record.get(name)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _mapping(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    return value if isinstance(value, dict) else {}
