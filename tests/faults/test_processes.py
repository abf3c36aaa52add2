"""Whole commands that are killed, stopped, started twice and started otherwise, beside the same command undisturbed.

The numbers are those of the scoreboard of faults.
"""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from bistill import artifacts
from tests.faults.commands import Run, wait_until
from tests.faults.conftest import STEPS

pytestmark = pytest.mark.slow

KILLED_IN_SAVE = Path(__file__).with_name("killed_in_save.py")
FORM = "teacher-lora"  # where it does not matter which
# From the first step at which a checkpoint besides that of step 0 is surely there, since there is one writer at a time,
# to one early enough that a slow test still meets the run alive.
KILLS = range(12, 50)

Undisturbed = Callable[[str], Run]


def same_course(run: Run, undisturbed: Run) -> None:
    """Every update and validation, the repeated ones too, had the figures it has when nothing disturbs."""
    expected, found = undisturbed.figures(), run.figures()
    assert found.keys() == expected.keys()
    for place, figures in found.items():
        assert all(value == expected[place][0] for value in figures), place
    assert run.sha256() == undisturbed.sha256()


@pytest.mark.parametrize("form", ["teacher-lora", "student", "student-lora"])
def test_killed_at_random_steps(form: str, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """1: three times SIGKILL in one run; nothing in the result shows it."""
    run = undisturbed(form).into(tmp_path / "killed")
    newest = []
    for number, step in enumerate(sorted(random.Random(form).sample(KILLS, 3)), start=1):
        child = run.signalled(signal.SIGKILL, step, fresh=number == 2)
        assert child.ended() == -signal.SIGKILL
        newest.append(run.checkpoints()[-1])
    child = run.finish(fresh=True)
    assert [line["step"] for line in run.events("resume")] == newest
    assert newest[0] > 0 and f"going on from the checkpoint of step {newest[-1]}" in child.said()
    assert len(run.steps()) > STEPS  # a kill fell between two checkpoints, so some updates were done twice
    same_course(run, undisturbed(form))


@pytest.mark.parametrize("moment", ["writing", "before", "after", "removing"])
def test_killed_inside_a_save(moment: str, undisturbed: Undisturbed, tmp_path: Path) -> None:
    """2: three times killed while a checkpoint is written, gets its name, or makes an older one go."""
    run = undisturbed(FORM).into(tmp_path / "killed")
    resumed = []
    for number in (1, 3, 2):
        child = run.start(driver=KILLED_IN_SAVE, before=(moment, str(number), "teacher"))
        assert child.wait() == -signal.SIGKILL, child.said()
        left = [path.name for path in run.unfinished()]
        assert len(left) == (0 if moment == "after" else 1)
        assert all(name.endswith("-removed") == (moment == "removing") for name in left)
        resumed += run.checkpoints()[-1:]  # none where the very first save was killed
    assert len(resumed) == (2 if moment in ("writing", "before") else 3)
    run.finish()
    assert [line["step"] for line in run.events("resume")] == resumed
    assert run.unfinished() == []
    assert not (run.output / artifacts.CHECKPOINTS_FOLDER).exists()
    same_course(run, undisturbed(FORM))


def test_stopped_by_signals(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """3: SIGTERM and SIGINT stop after the update at hand and lose none."""
    run = undisturbed(FORM).into(tmp_path / "stopped")
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGTERM)
    for number, step in zip(signals, (7, 23, 41), strict=True):
        child = run.signalled(number, step)
        assert child.ended() == 128 + number, child.said()
        *_, end = run.lines()
        assert (end["event"], end["status"]) == ("end", "stopped")
        assert run.checkpoints()[-1] == run.steps()[-1] >= step
        assert run.unfinished() == []
        assert f"{number.name} received: the run stops after this update and saves" in child.said()
        assert child.said().endswith(f"stopped: stopped by {number.name}; the same command goes on")
    run.finish()
    assert run.steps() == list(range(1, STEPS + 1))  # none twice
    same_course(run, undisturbed(FORM))


def test_two_runs_in_one_folder(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """13: the second is refused and told who the first is; the first does not notice."""
    run = undisturbed(FORM).into(tmp_path / "shared")
    first = run.start()
    run.reach(first, 10)
    first.send(signal.SIGSTOP)  # so that it does not end before the second has begun
    before = (run.lines(), run.files(), [path.name for path in run.unfinished()])
    for other in (run.start(), run.start(lr=2e-3, restart=True)):
        assert other.wait() == 2, other.said()
        assert "another run is at work in this folder" in other.said()
        assert f"pid {first.pid} on host" in other.said()
    assert before == (run.lines(), run.files(), [path.name for path in run.unfinished()])
    first.send(signal.SIGCONT)
    assert first.wait() == 0, first.said()
    assert [line["pid"] for line in run.events("start")] == [first.pid]
    same_course(run, undisturbed(FORM))


def test_two_runs_begun_at_once(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """13: one of them gets the folder, and the next run gets it when that one is killed."""
    run = undisturbed(FORM).into(tmp_path / "shared")
    pair = [run.start(), run.start()]
    wait_until(lambda: any(child.ended() is not None for child in pair), *pair)
    refused, owner = sorted(pair, key=lambda child: child.ended() is None)
    assert refused.ended() == 2, refused.said()
    run.reach(owner, 20)
    owner.send(signal.SIGKILL)
    assert owner.wait() == -signal.SIGKILL
    assert json.loads((run.output / artifacts.RUN_OWNER).read_text())["pid"] == owner.pid
    run.finish()
    assert not (run.output / artifacts.RUN_OWNER).exists()
    assert len(run.events("resume")) == 1
    same_course(run, undisturbed(FORM))


def test_other_options_at_resume(undisturbed: Undisturbed, own_data: Path, tmp_path: Path) -> None:
    """14: what alters the result is refused by name and costs nothing; what does not alter it is taken over."""
    run = undisturbed(FORM).into(tmp_path / "changed", data_root=own_data)
    run.signalled(signal.SIGKILL, 22)
    kept, lines, train = run.files(), run.lines(), own_data / "tiny" / "train.csv"

    refused = run.start(lr=2e-3)
    assert refused.wait() == 2, refused.said()
    assert "--lr was 0.001, is 0.002" in refused.said()
    assert run.files() == kept and run.lines() == lines

    content = train.read_bytes()
    train.write_bytes(content.replace(b"error in", b"errors in", 1))
    refused = run.start()
    assert refused.wait() == 2, refused.said()
    assert "was started otherwise: data (train was " in refused.said()
    assert run.files() == kept
    train.write_bytes(content)

    run.signalled(signal.SIGKILL, 40, save_steps=4, keep=1)
    assert len(run.checkpoints()) <= 2  # one is removed once the next is whole
    run.finish(save_steps=0, save_minutes=0, keep=3, micro_batch_tokens=10_000_000)
    assert [line["step"] > 0 for line in run.events("resume")] == [True, True]
    same_course(run, undisturbed(FORM))


def test_restart(undisturbed: Undisturbed, tmp_path: Path) -> None:
    """14: --restart says what it deletes and begins at step 1."""
    run = undisturbed(FORM).into(tmp_path / "restarted")
    run.signalled(signal.SIGKILL, 22, lr=2e-3)
    newest = run.checkpoints()[-1]
    child = run.finish(restart=True)
    assert f"--restart: the checkpoints up to step {newest} in {run.output / 'checkpoints'} are deleted" in child.said()
    assert run.events("resume") == []
    assert [line["step"] for line in run.lines_of(child) if line["event"] == "step"] == list(range(1, STEPS + 1))
    assert run.sha256() == undisturbed(FORM).sha256()
