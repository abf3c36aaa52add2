"""Whole runs of tiny models that are killed, stopped and evaluated while monitors look after them."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bistill import artifacts
from tests.faults.commands import Run
from tests.monitor.conftest import Folder, Monitors, wait_until

pytestmark = pytest.mark.slow

MakeRun = Callable[[str, Path], Run]
FORM = "teacher-lora"
KILLS = sorted(random.Random(7).sample(range(12, 50), 3))


def test_three_kills_do_not_show_in_the_weights(
    folder: Folder, monitors: Monitors, make_run: MakeRun, undisturbed: Callable[[str], Run]
) -> None:
    run = make_run(FORM, folder.path)
    child = run.start()
    run.reach(child, 3)
    child.send(signal.SIGSTOP)  # so that it does not get far before the monitor has seen it
    monitors.start()
    wait_until(lambda: bool(folder.care("watching")), folder)
    child.send(signal.SIGCONT)
    killed = []
    for number, step in enumerate(KILLS, start=1):
        killed.append(folder.reach(step, processes=number))
        os.kill(killed[-1], signal.SIGKILL)
        child.ended()  # a process that is not waited for would keep its place in the system's table
    wait_until(lambda: folder.ended("finished"), folder)
    assert folder.processes()[:3] == killed and len(folder.processes()) == 4
    assert [record["reason"] for record in folder.care("restart")] == ["it crashed"] * 3
    assert len(run.events("resume")) == 3
    assert run.sha256() == undisturbed(FORM).sha256()


def test_a_killed_attempt_to_replace_a_finished_model_is_gone_on_with(
    folder: Folder, monitors: Monitors, make_run: MakeRun, undisturbed: Callable[[str], Run]
) -> None:
    run, attempt = make_run(FORM, folder.path), Folder(folder.path / artifacts.REPLACEMENT_FOLDER)
    run.finish(epochs=1)
    before = run.sha256()
    child = run.start(overwrite=True)
    attempt.reach(12)
    child.send(signal.SIGSTOP)  # so that it does not end before the monitor has seen it
    monitors.start()
    wait_until(lambda: bool(attempt.care("watching")), attempt)
    assert run.sha256() == before and folder.ended("finished")
    child.send(signal.SIGKILL)
    child.wait()
    wait_until(lambda: len(folder.processes()) == 3 and folder.ended("finished"), folder)
    assert [record["reason"] for record in folder.care("restart")] == ["it crashed"]
    assert len(run.events("resume")) == 1 and run.sha256() == undisturbed(FORM).sha256()
    wait_until(lambda: not attempt.path.exists(), folder)
    wait_until(lambda: [record["state"] for record in folder.care("outcome")] == ["finished"], folder)


def test_a_run_that_stands_still_is_started_again_once(
    folder: Folder, monitors: Monitors, make_run: MakeRun, undisturbed: Callable[[str], Run]
) -> None:
    run = make_run(FORM, folder.path)
    child = run.start()
    run.reach(child, 20)
    child.send(signal.SIGSTOP)
    monitors.start(hang_seconds=2, hang_steps=1)
    wait_until(lambda: folder.ended("finished"), folder)
    assert child.wait() == 143  # it was let go on to save its state
    [ending], [restart] = folder.care("ending"), folder.care("restart")
    assert ending["pid"] == child.pid and restart["reason"] == "it hung and was ended"
    stacks = (folder.path / artifacts.STACKS_FILE).read_text()
    assert "most recent call first" in stacks and "engine.py" in stacks
    assert run.steps() == list(range(1, 73))  # none was lost
    assert run.sha256() == undisturbed(FORM).sha256()


def test_a_kill_for_memory_is_answered_with_half_the_budget(
    folder: Folder, monitors: Monitors, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run(FORM, folder.path)
    counter = tmp_path / "vmstat"
    counter.write_text("pgfault 12\noom_kill 3\n")
    before = (
        f"from pathlib import Path; from bistill.monitor import machine; machine.COUNTERS = (Path({str(counter)!r}),)"
    )
    child = run.start()
    run.reach(child, 12)
    monitors.start(before=before)
    child.send(signal.SIGSTOP)  # so that it does not end before the monitor has seen it
    wait_until(lambda: bool(folder.care("watching")), folder)
    counter.write_text("pgfault 12\noom_kill 4\n")
    child.send(signal.SIGKILL)
    wait_until(lambda: len(run.events("memory")) == 2, folder)
    first, second = (record["micro_batch_tokens"] for record in run.events("memory"))
    [restart] = folder.care("restart")
    tokens = max(record["tokens"] for record in run.events("step"))
    assert restart["reason"] == "memory ran out" and second == restart["flags"]["micro_batch_tokens"]
    assert second <= tokens // 2 < first


def test_a_finished_student_is_evaluated_and_the_evaluation_may_crash(
    folder: Folder, monitors: Monitors, make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run("student", folder.path)
    monitor = monitors.start(sys.executable, run.script, *run.arguments(epochs=2), place=tmp_path)
    wait_until(lambda: bool(folder.care("evaluation")), folder)
    os.kill(folder.care("evaluation")[0]["pid"], signal.SIGKILL)
    assert monitor.wait(timeout=300) == 0  # it waits for the evaluation
    first, second = folder.care("evaluation")
    assert second["reason"] == "the evaluation broke off" and first["trained"] == second["trained"]
    assert [record["event"] for record in folder.care()][-1] == "evaluated"
    results = artifacts.read_json(tmp_path / "evaluation_results" / "run" / artifacts.EVALUATION_JSON)
    assert Path(results["models"]["student"]["path"]) == folder.path
    assert "distillation, evaluating" in monitors.said()
    again = monitors.start()
    wait_until(lambda: "finished" in monitors.said(1), folder)
    again.terminate()
    assert again.wait(timeout=60) == 143 and len(folder.care("evaluation")) == 2
