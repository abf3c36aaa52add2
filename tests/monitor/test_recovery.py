"""Each row of the table: a situation just inside it, and what is done then."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bistill.monitor.recovery import RULES, Action, Do, Situation, decide
from bistill.monitor.settings import Recovery
from bistill.monitor.states import RunState

OPTIONS = Recovery(max_restarts=3, restart_pause=5.0, lower_lr=True)
# Nothing is alive, has an error or wants an evaluation, unless a test says so.
NAN = "its loss is NaN or infinite"
GONE = Situation(RunState.CRASHED, stage="teacher", alive=False, ours=False, begun=False, recovery=OPTIONS)
ALIVE = dataclasses.replace(GONE, state=RunState.RUNNING, alive=True, ours=True, begun=True)
FINISHED = dataclasses.replace(GONE, state=RunState.FINISHED, stage="distillation")
NO_LOWER = dataclasses.replace(OPTIONS, lower_lr=False)


def done(situation: Situation, **changes: Any) -> Action:
    return decide(dataclasses.replace(situation, **changes))


@pytest.mark.parametrize(
    ("situation", "changes", "do", "reason"),
    [
        (FINISHED, {}, Do.EVALUATE, "the distillation has finished"),
        (FINISHED, {"evaluations": 1}, Do.EVALUATE, "the evaluation broke off"),
        (FINISHED, {"evaluations": 2}, Do.GIVE_UP, "the evaluation broke off again"),
        (FINISHED, {"evaluations": 2, "given_up": True}, Do.NOTHING, "its work is done"),
        (FINISHED, {"given_up": True}, Do.EVALUATE, "the distillation has finished"),  # of a hang that healed
        (FINISHED, {"evaluated": True}, Do.NOTHING, "its work is done"),
        (FINISHED, {"evaluates_itself": True}, Do.NOTHING, "its work is done"),
        (FINISHED, {"can_be_evaluated": False}, Do.NOTHING, "its work is done"),
        (FINISHED, {"stage": "teacher"}, Do.NOTHING, "its work is done"),
        (FINISHED, {"recovery": Recovery(evaluate=False)}, Do.NOTHING, "its work is done"),
        (FINISHED, {"state": RunState.EVALUATING, "evaluating": True}, Do.NOTHING, "its work is done"),
        (GONE, {"given_up": True}, Do.NOTHING, "it was given up"),
        (ALIVE, {"begun": False, "ours": False, "state": RunState.CRASHED}, Do.NOTHING, "it is being started"),
        (ALIVE, {"ours": False, "state": RunState.STALLED}, Do.NOTHING, "it is not known well enough to be signalled"),
        (ALIVE, {"ending": True, "state": RunState.STALLED}, Do.NOTHING, "it is being ended"),
        (ALIVE, {"free_bytes": 100, "needed_bytes": 101}, Do.PAUSE, "the disk is nearly full"),
        (ALIVE, {"free_bytes": 100, "needed_bytes": 100}, Do.NOTHING, "it is at work"),
        (ALIVE, {"paused": True, "free_bytes": 109, "needed_bytes": 100}, Do.NOTHING, "it waits for room on the disk"),
        (ALIVE, {"paused": True, "free_bytes": 111, "needed_bytes": 100}, Do.CONTINUE, "the disk has room again"),
        (ALIVE, {"state": RunState.STALLED}, Do.END, "it hangs"),
        (ALIVE, {"state": RunState.STALLED, "hangs": 1, "restarts": 1}, Do.GIVE_UP, "it hangs again"),
        (ALIVE, {"state": RunState.STALLED, "restarts": 3}, Do.GIVE_UP, "it hangs again"),
        (ALIVE, {"state": RunState.SAVING}, Do.NOTHING, "it is at work"),
        (ALIVE, {"state": RunState.RECOVERING, "error_kind": ""}, Do.NOTHING, "it is at work"),
        (GONE, {"ended_hanging": True, "state": RunState.STOPPED}, Do.RESTART, "it hung and was ended"),
        (GONE, {"ended_hanging": True, "return_code": -9}, Do.RESTART, "it hung and was ended"),
        (GONE, {"state": RunState.STOPPED}, Do.NOTHING, "it was stopped"),
        (GONE, {"return_code": -15}, Do.NOTHING, "it was stopped"),
        (GONE, {"return_code": 130}, Do.NOTHING, "it was stopped"),
        (GONE, {"state": RunState.FAILED, "error_kind": "user"}, Do.NOTHING, "options, data or models must be changed"),
        (GONE, {"return_code": 2}, Do.GIVE_UP, "its command is refused"),
        (GONE, {"state": RunState.DIVERGED, "error_kind": "x", "return_code": 2}, Do.RESTART, NAN),
        (GONE, {"state": RunState.DIVERGED, "lowered": 1}, Do.GIVE_UP, NAN),
        (GONE, {"state": RunState.DIVERGED, "recovery": NO_LOWER}, Do.GIVE_UP, NAN),
        (GONE, {"state": RunState.FAILED, "error_kind": "out_of_memory"}, Do.RESTART, "memory ran out"),
        (GONE, {"killed_for_memory": True, "restarts": 2}, Do.RESTART, "memory ran out"),
        (GONE, {"killed_for_memory": True, "restarts": 3}, Do.GIVE_UP, "it does not get beyond its last checkpoint"),
        (GONE, {"return_code": -9}, Do.RESTART, "it crashed"),
        (GONE, {"state": RunState.FAILED, "error_kind": "fault", "return_code": 1}, Do.RESTART, "it crashed"),
        (GONE, {"restarts": 2}, Do.RESTART, "it crashed"),
        (GONE, {"restarts": 3}, Do.GIVE_UP, "it does not get beyond its last checkpoint"),
    ],
)  # fmt: skip
def test_rows(situation: Situation, changes: dict[str, Any], do: Do, reason: str) -> None:
    action = done(situation, **changes)
    assert (action.do, action.reason) == (do, reason)


def test_every_row_is_reached_by_the_test_above() -> None:
    [mark] = test_rows.pytestmark  # type: ignore[attr-defined]
    reached = {(do, reason) for _, _, do, reason in mark.args[1]}
    assert reached == {(row.do, row.reason) for row in RULES}


def test_pauses_grow() -> None:
    assert [done(GONE, restarts=number).pause for number in range(3)] == [5, 20, 80]
    assert done(GONE, ended_hanging=True, restarts=2).pause == 0


def test_half_the_budget_of_what_was_held() -> None:
    killed = {"killed_for_memory": True}
    assert done(GONE, **killed, micro_batch_tokens=4096).flags == {"micro_batch_tokens": 2048}
    assert done(GONE, **killed, micro_batch_tokens=2**31, whole_update_tokens=900).flags == {"micro_batch_tokens": 450}
    assert done(GONE, **killed, micro_batch_tokens=100, whole_update_tokens=900).flags == {"micro_batch_tokens": 50}
    assert done(GONE, **killed, micro_batch_tokens=1).flags == {"micro_batch_tokens": 1}
    assert done(GONE, **killed).flags == {}  # it was killed before it said how much it may hold
    assert done(GONE, micro_batch_tokens=4096).flags == {}
    assert done(GONE, ended_hanging=True, **killed, micro_batch_tokens=4096).flags == {}


def test_half_the_learning_rate_of_what_it_was() -> None:
    assert done(GONE, state=RunState.DIVERGED).flags == {"resume_lr_factor": 0.5}
    assert done(GONE, state=RunState.DIVERGED, lr_factor=0.25).flags == {"resume_lr_factor": 0.125}
