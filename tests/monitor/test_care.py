from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil

from bistill.monitor.care import Care, CareFollower
from bistill.monitor.processes import Identity
from tests.monitor.records import write

OWN = {"pid": os.getpid(), "process_started": psutil.Process().create_time()}
FIRST, SECOND = Identity(10, 50.0), Identity(11, 60.0)


def of(process: Identity) -> dict[str, Any]:
    return {"pid": process.pid, "process_started": process.created}


def record(event: str, time: float = 100.0, **fields: Any) -> dict[str, Any]:
    return {"time": time, "event": event, "message": event, **fields}


def restart(process: Identity, checkpoint: int, **fields: Any) -> dict[str, Any]:
    return record("restart", **of(process), checkpoint_step=checkpoint, **fields)


def fed(*records: dict[str, Any]) -> Care:
    care = Care()
    for item in records:
        care.feed(item)
    return care


def test_restarts_count_until_there_is_a_newer_checkpoint() -> None:
    care = fed(record("watching", **of(FIRST)), restart(SECOND, 5), restart(SECOND, 5), restart(SECOND, 10))
    assert [len(care.restarts_without_progress(step)) for step in (-1, 5, 10, 11)] == [3, 3, 1, 0]
    # A process that somebody else started begins the count anew; one that a monitor started does not.
    care.feed(record("watching", **of(FIRST)))
    assert care.restarts == [] and care.looks_after(FIRST)


def test_the_next_process_clears_what_was_done_about_the_one_before() -> None:
    care = fed(
        record("watching", **of(FIRST)),
        record("pause"),
        record("ending", time=101.0),
        record("planned", time=103.0, pause=5.0),
        record("give_up", reason="r"),
        record("outcome", state="failed"),
    )
    assert (care.paused, care.ending_since, care.due, care.given_up, care.outcome) == (True, 101, 108, "r", "failed")
    care.feed(restart(SECOND, 5))
    assert (care.paused, care.ending_since, care.due, care.given_up, care.outcome) == (False, None, None, "", "")
    assert care.looks_after(Identity(11, 60.4)) and not care.looks_after(Identity(11, 90.0))
    assert [item["event"] for item in care.records][-1] == "restart"
    care.feed(record("continue"))
    assert not care.paused


def test_evaluations_by_the_weights_that_they_measure() -> None:
    care = fed(record("evaluation", trained=7.0, **of(FIRST)), record("evaluated"))
    assert care.evaluated and not care.is_evaluating(7.0)
    care.feed(record("evaluation", trained=8.0, **OWN))
    assert not care.evaluated and care.is_evaluating(8.0) and not care.is_evaluating(7.0)


def test_a_run_recovers_while_a_restart_is_planned_or_under_way() -> None:
    planned = fed(record("watching", **of(FIRST)), record("planned", time=100.0, pause=5.0))
    assert planned.is_recovering(FIRST, 104) and planned.is_recovering(FIRST, 164)
    assert not planned.is_recovering(FIRST, 166)  # whoever planned it has died
    started = fed(restart(Identity(**_named(OWN)), 5))
    assert started.is_recovering(FIRST, 100) and not started.is_recovering(Identity(**_named(OWN)), 100)
    assert not fed(restart(SECOND, 5)).is_recovering(FIRST, 100)  # it has ended before its first line
    assert not Care().is_recovering(FIRST, 100)


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    return {"pid": fields["pid"], "created": fields["process_started"]}


def test_records_of_other_forms_change_nothing() -> None:
    care = fed(
        record("watching", pid="x"), record("planned"), {"event": "pause"}, record("restart", pid=5), {"event": "?"}
    )
    assert care.process is None and care.due is None and not care.paused and care.restarts == []
    assert len(care.records) == 5


def test_the_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "monitor.jsonl"
    follower = CareFollower(path)
    assert follower.look().process is None
    write(path, record("watching", **of(FIRST)))
    care = follower.look()
    assert care.looks_after(FIRST) and follower.look() is care
    write(path, restart(SECOND, 5))
    assert follower.look().looks_after(SECOND)
    path.unlink()
    assert follower.look().process is None
