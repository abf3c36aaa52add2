"""Whole commands on two processes that are killed, stopped, short of memory or silent, beside the same undisturbed."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from bistill import artifacts
from tests.distributed import launching
from tests.faults.commands import ROOT, Run
from tests.faults.conftest import STEPS

pytestmark = pytest.mark.slow

LAUNCHED = str(Path(__file__).with_name("launched.py"))
STUDENT, TEACHER = "student", "teacher-lora"
COMMANDS = {STUDENT: "distill", TEACHER: "teacher"}
# Norm of the difference of weights to those of one process, as a share of the norm of their change. 5e-6 was found.
SHARE = 1e-3

Started = Callable[..., subprocess.Popen[str]]
Undisturbed = Callable[[str], Run]


@pytest.fixture
def start() -> Iterator[Started]:
    """Start a run on some processes; what still runs at the end of a test is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(run: Run, form: str, *, processes: int = 2, fault: str = "none", restarts: int = 0, **environment: str):  # type: ignore[no-untyped-def]
        words = launching.command(processes, LAUNCHED, fault, COMMANDS[form], *run.arguments(), restarts=restarts)
        started.append(launching.start(words, cwd=ROOT, env={**run.environment, **environment}))
        return started[-1]

    yield begin
    for process in started:
        for child in children_of(process):
            child.kill()
        process.kill()
        process.communicate()


def children_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes of a run by rank, once all are there."""
    try:
        found = psutil.Process(process.pid).children()
    except psutil.NoSuchProcess:
        return []
    return sorted((child for child in found if "launched.py" in " ".join(child.cmdline())), key=lambda child: child.pid)


def reach(run: Run, process: subprocess.Popen[str], step: int) -> None:
    """Wait until the journal has a step."""
    until = time.monotonic() + 180
    while max(run.steps(), default=0) < step:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.01)


def said_by(process: subprocess.Popen[str]) -> str:
    """What a run said until its end."""
    said, _ = process.communicate(timeout=240)
    return said


@pytest.fixture(scope="module")
def on_two(undisturbed: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A form's run on two processes that nothing interrupted."""
    done: dict[str, Run] = {}

    def of(form: str) -> Run:
        if form not in done:
            run = undisturbed(form).into(tmp_path_factory.mktemp("on-two") / form)
            words = launching.command(2, LAUNCHED, "none", COMMANDS[form], *run.arguments())
            code, said = launching.run(words, cwd=ROOT, env=run.environment)
            assert code == 0, said
            done[form] = run
        return done[form]

    return of


def weights(run: Run) -> dict[str, torch.Tensor]:
    """Of a finished model; the gradient of a key's bias is rounding alone, which Adam makes steps of."""
    found = load_file(run.output / artifacts.WEIGHTS_FILE)
    return {name: value.double() for name, value in found.items() if not name.endswith("key.bias")}


def share(run: Run, other: Run) -> float:
    """Norm of the difference of two models, as a share of that of what the training of the second one changed."""
    [name] = {"model_name", "student_name"} & other.options.keys()
    start = load_file(Path(other.options[name]) / artifacts.WEIGHTS_FILE)
    found, expected = weights(run), weights(other)
    names = [name for name in expected if name.removeprefix("bert.") in start]
    assert len(names) > 30 and found.keys() == expected.keys()
    difference = torch.stack([(found[name] - expected[name]).norm() for name in names]).norm()
    change = torch.stack([(expected[name] - start[name.removeprefix("bert.")]).norm() for name in names]).norm()
    assert change > 0.01
    return float(difference / change)


@pytest.mark.parametrize("form", [STUDENT, TEACHER])
def test_two_processes_make_the_model_of_one(form: str, undisturbed: Undisturbed, on_two: Undisturbed) -> None:
    alone, two = undisturbed(form), on_two(form)
    assert two.steps() == list(range(1, STEPS + 1))
    assert [line["event"] for line in two.lines()].count("start") == 1  # one process writes
    for place, figures in two.figures().items():
        for name, value in figures[0].items():
            assert value == pytest.approx(alone.figures()[place][0][name], rel=1e-4, abs=1e-4), place
    assert share(two, alone) < SHARE


def test_a_killed_worker_three_times(on_two: Undisturbed, start: Started, tmp_path: Path) -> None:
    """torchrun starts all again, and they go on; nothing in the result shows it."""
    run = on_two(STUDENT).into(tmp_path / "killed")
    process = start(run, STUDENT, restarts=3)
    for number, step in enumerate(sorted(random.Random(3).sample(range(8, 60), 3)), start=1):
        reach(run, process, step)
        children_of(process)[1].kill()
        until = time.monotonic() + 120
        while len(run.events("start")) <= number:
            assert process.poll() is None and time.monotonic() < until, said_by(process)
            time.sleep(0.01)
    said = said_by(process)
    assert process.returncode == 0, said
    assert len(run.events("resume")) == 3 and run.sha256() == on_two(STUDENT).sha256()
    ends = run.events("end")
    assert ends[-1]["status"] == "finished" and len(ends) <= 4
    for end in ends[:-1]:  # the leader stopped, or was told by the lost worker first; both after a save
        assert end["status"] == "stopped" or (end["error_kind"] == "fault" and "rank 1 (pid" in end["error"])


def test_a_leader_killed_inside_a_save(on_two: Undisturbed, start: Started, tmp_path: Path) -> None:
    run = on_two(TEACHER).into(tmp_path / "killed")
    process = start(run, TEACHER, fault="save", restarts=1, FLAG=str(tmp_path / "flag"))
    said = said_by(process)
    assert process.returncode == 0, said
    assert len(run.events("resume")) == 1 and run.sha256() == on_two(TEACHER).sha256()


def test_stopped_then_a_damaged_checkpoint(on_two: Undisturbed, start: Started, tmp_path: Path) -> None:
    """SIGTERM to the launcher saves the update at hand; without that checkpoint the one before it serves."""
    run = on_two(STUDENT).into(tmp_path / "stopped")
    process = start(run, STUDENT)
    reach(run, process, 23)
    process.send_signal(signal.SIGTERM)
    said = said_by(process)
    assert "SIGTERM received: the run stops after this update and saves" in said
    assert "stopped: stopped by SIGTERM; the same command goes on" in said
    assert run.checkpoints()[-1] == run.steps()[-1] >= 23 and run.events("end")[-1]["status"] == "stopped"
    newest = run.output / artifacts.CHECKPOINTS_FOLDER / f"{artifacts.CHECKPOINT_PREFIX}{run.checkpoints()[-1]:08d}"
    (newest / artifacts.CHECKPOINT_OPTIMIZER).write_bytes(b"torn")
    again = start(run, STUDENT)
    assert "damaged" in said_by(again) and again.returncode == 0
    assert run.sha256() == on_two(STUDENT).sha256()


def test_two_one_two(undisturbed: Undisturbed, start: Started, tmp_path: Path) -> None:
    """A run goes on on another number of processes."""
    run = undisturbed(STUDENT).into(tmp_path / "two-one-two")
    for processes, step in ((2, 20), (1, 40), (2, None)):
        process = start(run, STUDENT, processes=processes)
        if step is not None:
            reach(run, process, step)
            process.send_signal(signal.SIGTERM)
        said = said_by(process)
        assert (process.returncode == 0) is (step is None), said
    assert run.steps() == list(range(1, STEPS + 1)) and len(run.events("resume")) == 2
    assert share(run, undisturbed(STUDENT)) < SHARE


@pytest.mark.parametrize("where", ["forward", "backward", "adding"])
def test_memory_that_runs_out_in_one_process(
    where: str, undisturbed: Undisturbed, start: Started, tmp_path: Path
) -> None:
    """All undo the update and do it again with less at once."""
    run = undisturbed(STUDENT).into(tmp_path / "short")
    process = start(run, STUDENT, fault=where)
    said = said_by(process)
    assert process.returncode == 0, said
    [trouble] = run.events("trouble")
    assert (
        trouble["kind"] == "out_of_memory"
        and "can't allocate memory" in trouble["message"]
        and "done again with at most" in trouble["message"]
    )
    assert run.steps() == list(range(1, STEPS + 1)) and share(run, undisturbed(STUDENT)) < SHARE


def test_a_full_disk_of_the_leader(on_two: Undisturbed, start: Started, tmp_path: Path) -> None:
    """What cannot be saved is said, the run goes on, and the result is the same."""
    run = on_two(STUDENT).into(tmp_path / "full")
    process = start(run, STUDENT, fault="disk")
    said = said_by(process)
    assert process.returncode == 0, said
    assert "File too large" in said
    assert {trouble["kind"] for trouble in run.events("trouble")} == {"not_saved"}
    assert run.sha256() == on_two(STUDENT).sha256()


def test_rows_that_are_no_numbers_in_one_process(on_two: Undisturbed, start: Started, tmp_path: Path) -> None:
    run = on_two(STUDENT).into(tmp_path / "nan")
    process = start(run, STUDENT, fault="nan")
    said = said_by(process)
    assert process.returncode == 0, said
    [trouble] = run.events("trouble")
    assert trouble["kind"] == "non_finite"
    assert "the loss is NaN or infinite; the update is undone and done once more" in trouble["message"]
    assert run.sha256() == on_two(STUDENT).sha256()


def test_a_second_launcher_in_the_same_folder(undisturbed: Undisturbed, start: Started, tmp_path: Path) -> None:
    run = undisturbed(STUDENT).into(tmp_path / "shared")
    first = start(run, STUDENT)
    reach(run, first, 5)
    leader = children_of(first)[0]
    leader.suspend()  # so that it does not end before the second has begun
    second = start(run, STUDENT)
    said = said_by(second)
    leader.resume()
    assert second.returncode == 1 and "another run is at work in this folder" in said
    assert re.findall(r"exitcode +: (-?\d+)", said) == ["2", "2"]
    assert "going on" not in said_by(first) and first.returncode == 0
    assert run.steps() == list(range(1, STEPS + 1))


def test_a_worker_that_stands_still_is_named(undisturbed: Undisturbed, start: Started, tmp_path: Path) -> None:
    run = undisturbed(STUDENT).into(tmp_path / "silent")
    process = start(run, STUDENT, fault="silence")
    reach(run, process, 10)
    worker = children_of(process)[1]
    worker.suspend()
    until = time.monotonic() + 60
    while not run.events("end") and time.monotonic() < until:
        if process.poll() is not None or (run.checkpoints() and time.monotonic() > until - 45):
            break
        time.sleep(0.05)
    worker.kill()
    said = said_by(process)
    assert re.search(rf"rank 1 \(pid {worker.pid} on .*has not answered for 3 seconds", said)
    again = start(run, STUDENT)
    assert said_by(again) and again.returncode == 0 and len(run.events("resume")) == 1
