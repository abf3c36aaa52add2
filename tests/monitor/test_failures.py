"""Why a run is not going on, and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from bistill.monitor.failures import STATES, failure
from bistill.monitor.states import RunState
from bistill.monitor.words import clock
from tests.monitor.views import records, view

ENDED = {"time": 1500.0, "event": "end", "status": "failed", "seconds": 9.0}
SAVED = {"time": 1499.0, "event": "checkpoint", "step": 10, "bytes": 5, "seconds": 0.1}
GIVEN_UP = {
    "time": 9999.0,
    "monitor": 7,
    "event": "give_up",
    "message": "it crashed: it is given up\nKilled\nbash",
    "reason": "it crashed",
}


def test_an_error_of_bistill_is_shown_with_its_advice_apart() -> None:
    error = "train.csv: no rows\n  found: ''\n  do: bistill prepare SOURCE"
    ended = ENDED | {"error": error, "error_kind": "user"}
    found = failure(view([*records(3), ended], RunState.FAILED))
    assert found is not None
    assert found.kind == "options, data or models must be changed"
    assert found.error == "train.csv: no rows\n  found: ''" and found.todo == "bistill prepare SOURCE"
    assert found.last == f"{clock(1007.0)} step 3" and found.given_up == found.output == ""
    korean = failure(view([*records(3), ended], RunState.FAILED), "ko")
    assert korean is not None and korean.kind == "옵션, 데이터 또는 모델을 고쳐야 함" and korean.last.endswith(" 3스텝")


@pytest.mark.parametrize(
    ("end", "state", "kind", "todo"),
    [
        ({"error_kind": "fault", "traceback": "T"}, RunState.FAILED, "an error inside the program", "goes on from"),
        ({"error_kind": "out_of_memory"}, RunState.FAILED, "memory ran out", "--micro_batch_tokens"),
        ({"error_kind": "diverged"}, RunState.DIVERGED, "the loss became NaN or infinite", "--resume_lr_factor 0.5"),
        ({}, RunState.FAILED, "the run ended with an error", "from the checkpoint of step 10"),
    ],
)
def test_kinds(end: dict[str, Any], state: RunState, kind: str, todo: str) -> None:
    found = failure(view([*records(5), SAVED, ENDED | end], state))
    assert found is not None and found.kind == kind and todo in found.todo
    assert found.last == f"{clock(1499.0)} checkpoint of step 10: 0.0 MiB in 0.1 s"
    assert found.output == end.get("traceback", "")


def test_a_process_that_is_gone() -> None:
    found = failure(view(records(0), RunState.CRASHED, acts=[GIVEN_UP]))
    assert found is not None and found.kind.startswith("the process ended without writing why") and found.error == ""
    assert (found.todo, found.given_up, found.output) == ("start the same command again", "it crashed", "Killed\nbash")
    assert found.last.endswith("candidates of 32 queries: 200 pairs, 50 of them scored anew")
    korean = failure(view(records(0), RunState.CRASHED, acts=[GIVEN_UP]), "ko")
    assert korean is not None and korean.given_up == "비정상 종료"


def test_a_process_that_hangs() -> None:
    found = failure(view(records(5), RunState.STALLED))
    assert found is not None and "kill -USR1 4242" in found.todo


@pytest.mark.parametrize("state", sorted(set(RunState) - STATES.keys()))
def test_other_runs_have_no_failure(state: RunState) -> None:
    assert failure(view(records(5), state)) is None
