from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bistill.monitor.processes import ProcessFacts
from bistill.monitor.settings import Patience
from bistill.monitor.states import RunState, Signs, state_of
from bistill.monitor.status import RunStatus
from tests.monitor.records import evaluation, start, step

ALIVE, IDLE, DEAD = ProcessFacts(True), ProcessFacts(True, idle_seconds=1e6), ProcessFacts(False)
HELD = ProcessFacts(True, stopped=True, idle_seconds=10)
OUT_OF_MEMORY = {"time": 102.5, "event": "trouble", "kind": "out_of_memory", "micro_batch_tokens": 64}
PATIENCE = Patience(steps=20, seconds=50)  # updates take one second


def after(*records: dict[str, Any]) -> RunStatus:
    status = RunStatus(Path("run"))
    for record in (start(), *records):
        status.feed(record)
    return status


def end(status: str, kind: str = "") -> dict[str, Any]:
    return {"time": 103.0, "event": "end", "status": status, "error_kind": kind}


@pytest.mark.parametrize(
    ("records", "process", "silent", "signs", "expected"),
    [
        ([], ALIVE, 1, Signs(), RunState.STARTING),
        ([], DEAD, 1, Signs(), RunState.CRASHED),
        ([step(1)], ALIVE, 1, Signs(), RunState.RUNNING),
        ([step(1)], ALIVE, 1, Signs(saving=True), RunState.SAVING),
        ([step(1)], DEAD, 1, Signs(), RunState.CRASHED),
        ([step(1)], DEAD, 1, Signs(recovering=True), RunState.RECOVERING),
        ([step(1)], ALIVE, 1, Signs(recovering=True), RunState.RUNNING),
        ([step(1), OUT_OF_MEMORY], ALIVE, 1, Signs(), RunState.RECOVERING),
        ([step(1), OUT_OF_MEMORY, step(3)], ALIVE, 1, Signs(), RunState.RUNNING),
        ([step(1)], HELD, 1, Signs(), RunState.PAUSED),
        ([step(1)], HELD, 1e6, Signs(paused=True), RunState.PAUSED),
        ([step(1), end("finished")], ALIVE, 1e6, Signs(), RunState.FINISHED),
        ([step(1), end("finished")], DEAD, 1, Signs(evaluating=True), RunState.EVALUATING),
        ([step(1), end("stopped")], DEAD, 1, Signs(), RunState.STOPPED),
        ([step(1), end("failed", "user")], DEAD, 1, Signs(), RunState.FAILED),
        ([step(1), end("failed", "diverged")], DEAD, 1, Signs(), RunState.DIVERGED),
        ([step(1), end("failed", "diverged")], DEAD, 1, Signs(recovering=True), RunState.RECOVERING),
        # Silence: 50 seconds at least, 20 updates, three times the longest validation.
        ([step(1), evaluation(1, 0.5)], ALIVE, 49, Signs(), RunState.RUNNING),
        ([step(1), evaluation(1, 0.5)], ALIVE, 51, Signs(), RunState.STALLED),
        ([step(1), evaluation(1, 0.5)], HELD, 51, Signs(), RunState.STALLED),
        ([step(1, seconds=5), evaluation(1, 0.5)], ALIVE, 99, Signs(), RunState.RUNNING),
        ([step(1, seconds=5), evaluation(1, 0.5)], ALIVE, 101, Signs(), RunState.STALLED),
        ([step(1), evaluation(1, 0.5, time=141.0)], ALIVE, 119, Signs(), RunState.RUNNING),
        ([step(1), evaluation(1, 0.5, time=141.0)], ALIVE, 121, Signs(), RunState.STALLED),
        # Before the first update, in the first validation and after the last update: only what computes nothing.
        ([], ALIVE, 1e6, Signs(), RunState.STARTING),
        ([], IDLE, 49, Signs(), RunState.STARTING),
        ([], IDLE, 51, Signs(), RunState.STALLED),
        ([step(1)], ALIVE, 1000, Signs(), RunState.RUNNING),
        ([step(1)], IDLE, 1000, Signs(), RunState.STALLED),
        ([step(1)], ALIVE, 3601, Signs(), RunState.STALLED),
        ([step(100), evaluation(100, 0.5)], ALIVE, 1000, Signs(), RunState.RUNNING),
        ([step(100), evaluation(100, 0.5)], IDLE, 1000, Signs(), RunState.STALLED),
    ],
)
def test_states(records: list[Any], process: ProcessFacts, silent: float, signs: Signs, expected: RunState) -> None:
    status = after(*records)
    assert state_of(status, process, status.updated + silent, signs=signs, patience=PATIENCE) is expected


def test_words() -> None:
    assert str(RunState.RECOVERING) == "recovering" and RunState.STALLED.live and not RunState.CRASHED.live
