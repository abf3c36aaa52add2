from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from bistill.monitor.status import MOST_EVALUATIONS, MOST_STEPS, RunStatus
from tests.monitor.records import evaluation, start, step


def fed(*records: dict) -> RunStatus:
    status = RunStatus(Path("run"))
    for record in records:
        status.feed(record)
    return status


def test_a_run_under_way() -> None:
    command, facts = ["python", "x.py"], {"cwd": "/home/user", "host": "here", "options": {"lr": 1e-4}}
    status = fed(
        start(command=command, environment={"OMP_NUM_THREADS": "1", "HF_HOME": None}, **facts),
        {"time": 100.0, "event": "memory", "micro_batch_tokens": 4096},
        {"time": 100.0, "event": "candidates", "queries": 4, "pairs": 40, "scored": 10},
        step(1, seconds=2.0),
        step(2, seconds=4.0, lr=5e-5, memory_mib=300, tokens=60, micro_batches=2),
        {"time": 103.0, "event": "checkpoint", "step": 2, "bytes": 10, "seconds": 0.1},
    )
    assert (status.command, status.working_folder, status.host) == (command, "/home/user", "here")
    assert status.environment == {"OMP_NUM_THREADS": "1", "HF_HOME": None} and status.options == {"lr": 1e-4}
    assert (status.step, status.total_steps, status.lr, status.checkpoint_step) == (2, 100, 5e-5, 2)
    assert status.terms == {"loss": 0.5, "listwise_kl": 0.25}
    assert (status.micro_batch_tokens, status.memory_mib, status.tokens, status.micro_batches) == (4096, 300, 60, 2)
    assert status.progress == pytest.approx(0.02)
    assert status.seconds_per_step == 3 and status.seconds_left == 98 * 3
    assert status.cache_hit_rate == pytest.approx(0.75)
    assert [point.step for point in status.history.steps] == [1, 2] and status.history.steps[1].memory_mib == 300
    assert [record["event"] for record in status.events] == ["start", "memory", "candidates", "checkpoint"]
    assert status.updated == 103.0 and status.ended == ""


def test_the_best_validation_is_the_one_that_training_keeps() -> None:
    status = fed(start(), evaluation(0, 0.9), step(1), evaluation(1, 0.6), step(2), evaluation(2, 0.6, figures={
        "ndcg_at_10": 0.6, "auc": 0.7}), step(3), evaluation(3, 0.5))  # fmt: skip
    assert status.best == {"step": 2, "figures": {"ndcg_at_10": 0.6, "auc": 0.7}}
    assert status.figures == {"ndcg_at_10": 0.5, "auc": 0.5}
    status.feed({"time": 110.0, "event": "resume", "step": 1})
    status.feed(evaluation(2, 0.55))  # as it may be with another learning rate
    assert status.best == {"step": 1, "figures": {"ndcg_at_10": 0.6, "auc": 0.5}}
    assert [item["step"] for item in status.history.evaluations] == [0, 1, 2]


def test_every_teacher_has_a_gate_of_its_own_and_the_newest_counts() -> None:
    def gate(value: float, **teacher: str) -> dict:
        return {"time": 101.0, "event": "gate", **teacher, "figures": {"teacher": {"rerank_ndcg_at_10": value}}}

    status = fed(start(), gate(0.5), gate(0.6, embedding_teacher="a"), gate(0.7, embedding_teacher="b"))
    assert status.gate == gate(0.5)
    assert status.embedding_gates == {"a": gate(0.6, embedding_teacher="a"), "b": gate(0.7, embedding_teacher="b")}
    before = status.embedding_gates
    for record in (start(time=200.0), gate(0.8, embedding_teacher="a")):  # it goes on
        status.feed(record)
    assert status.gate == gate(0.5) and before["a"] == gate(0.6, embedding_teacher="a")
    assert status.embedding_gates == before | {"a": gate(0.8, embedding_teacher="a")}
    for record in ({"time": 300.0, "event": "end", "status": "finished"}, start(time=301.0)):
        status.feed(record)
    assert (status.gate, status.embedding_gates) == ({}, {})


def test_a_run_that_went_on_keeps_its_curves_up_to_the_checkpoint() -> None:
    status = fed(start(), *map(step, range(1, 8)), start(time=200.0, pid=1))
    assert (status.pid, status.step, status.stepped, status.total_steps) == (1, 0, False, 100)
    status.feed({"time": 201.0, "event": "resume", "step": 5, "micro_batch_tokens": 64})
    assert (status.step, status.checkpoint_step, status.micro_batch_tokens) == (5, 5, 64)
    assert [point.step for point in status.history.steps] == [1, 2, 3, 4, 5]
    status.feed(step(6, time=202.0))
    assert [(point.step, point.time) for point in status.history.steps[-2:]] == [(5, 105.0), (6, 202.0)]


def test_a_run_that_begins_anew_cuts_the_curves_of_the_one_before() -> None:
    broken_off = fed(start(), *map(step, range(1, 8)), start(), step(1))
    assert [point.step for point in broken_off.history.steps] == [1]
    finished = {"time": 120.0, "event": "end", "status": "finished", "seconds": 1}
    assert fed(start(), step(1), finished, start(time=200.0)).history.steps == []
    assert fed(start(stage="teacher"), step(1), start()).history.steps == []


def test_going_back_on_a_leap_cuts_the_curves() -> None:
    trouble = {"time": 109.0, "event": "trouble", "kind": "rollback", "step": 8, "to_step": 5}
    status = fed(start(), *map(step, range(1, 9)), trouble)
    assert status.step == 5 and status.history.steps[-1].step == 5


def test_how_a_run_ended() -> None:
    end = {"time": 103.0, "event": "end", "status": "failed", "error": "x: y\n  do: z", "error_kind": "user"}
    status = fed(start(), step(1), end)
    assert (status.ended, status.error, status.error_kind) == ("failed", "x: y\n  do: z", "user")
    fault = fed(start(), {**end, "error_kind": "fault", "traceback": "Traceback ..."})
    assert (fault.error_kind, fault.traceback) == ("fault", "Traceback ...")
    again = fed(start(), end, start(stage="teacher", time=200.0))
    assert (again.stage, again.ended, again.error, again.started) == ("teacher", "", "", 200.0)


def test_the_longest_work_between_updates_is_known() -> None:
    status = fed(start(), {"time": 900.0, "event": "candidates"}, step(1, time=901.0), evaluation(1, 0.5, time=931.0))
    assert status.longest_silence == 30.0  # what was before the first update does not count
    status.feed(step(2, time=5000.0, seconds=4069.0))  # as after a pause
    status.feed(step(3, time=5001.0))
    assert status.longest_silence == 30.0 and status.usual_seconds == 1.0


def test_figures_that_are_no_numbers_are_left_out() -> None:
    status = fed(start(), step(1, terms={"loss": None, "listwise_kl": 0.5}), evaluation(1, 0.5, figures={"auc": None}))
    assert status.terms == {"listwise_kl": 0.5} and status.figures == {} and status.best["step"] == 1


def test_the_curves_are_thinned_evenly_and_never_grow() -> None:
    status = fed(start())
    for number in range(1, 20_001):
        status.feed(step(number), kept=number % status.history.every == 0)
        assert len(status.history.steps) <= MOST_STEPS
    steps = [point.step for point in status.history.steps]
    assert status.history.every == 16 and len(steps) > MOST_STEPS // 2
    gaps = {later - earlier for earlier, later in itertools.pairwise(steps)}
    assert gaps <= {16, 15, 14, 12, 8} and steps[0] < 17 and steps[-1] > 20_000 - 17
    for number in range(1000):
        status.feed(evaluation(number, random.Random(number).random()))
    assert MOST_EVALUATIONS // 2 <= len(status.history.evaluations) <= MOST_EVALUATIONS
    assert status.history.evaluations[-1]["step"] == 999


def test_records_of_other_forms_change_nothing() -> None:
    status = fed(start(), step(1), evaluation(1, 0.5))
    before = (status.step, status.terms, status.best)
    for event in ("evaluation", "resume", "checkpoint", "candidates", "memory", "trouble", "unknown"):
        status.feed({"event": event, "time": "late", "step": "one", "figures": 3, "kind": [1]})
    assert (status.step, status.terms) == (0, before[1])  # a resume without a step is one of step 0
    assert status.cache_hit_rate is None
    fed({"event": "start", "pid": "x", "command": 5, "options": [], "environment": "a"})
    fed({"event": "step", "terms": [], "step": None, "time": None})
