"""Truncated, flipped and missing files of checkpoints (4 to 6 on the scoreboard of faults) are passed over and kept."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from bistill import artifacts
from bistill.app.commands import teacher
from bistill.app.config import TeacherOptions
from bistill.errors import ArtifactError
from bistill.journal import read
from bistill.training.run.checkpoint import FILES, Checkpoints, State
from tests.faults.files.runs import STEPS, break_off, checkpoint, flip, hashes, journal, names, steps, whole

pytestmark = pytest.mark.slow


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names in the folder of checkpoints at the end of a run, before they are deleted."""
    found: list[str] = []
    remove_all = Checkpoints.remove_all

    def note(self: Checkpoints) -> None:
        found.extend(names(self.folder))
        remove_all(self)

    monkeypatch.setattr(Checkpoints, "remove_all", note)
    return found


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def check_damage(made: TeacherOptions, left: list[str], said: str, reason: str) -> None:
    """The one before was used, the damaged one kept under another name, and both are told."""
    [found] = journal(made, "trouble")
    folder = checkpoint(made, 6).with_name("damaged-step-00000006")
    message = f"the checkpoint damaged-step-00000006 is damaged and is not used: {reason}"
    assert (found["kind"], found["path"]) == ("damaged_checkpoint", str(folder))
    assert found["message"].startswith(message) and message in said
    assert "going on from the checkpoint of step 4 " in said
    assert [record["step"] for record in journal(made, "resume")] == [4]
    assert steps(made) == list(range(5, STEPS + 1))
    assert left == ["damaged-step-00000006", "step-00000010", "step-00000012"]
    assert not (Path(made.output_dir) / "checkpoints").exists()


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_truncated_checkpoint_is_passed_over(
    run: TeacherOptions,
    uninterrupted: dict[str, str],
    left: list[str],
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """4."""
    size = (checkpoint(run, 6) / name).stat().st_size
    cut(checkpoint(run, 6) / name)
    teacher.train(run)
    reason = f"{name} has {size // 2} bytes where the manifest says {size}"
    check_damage(run, left, capsys.readouterr().err, f"{name} is no manifest (" if name == "manifest.json" else reason)
    assert hashes(run) == uninterrupted


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_one_flipped_bit_is_noticed(
    run: TeacherOptions,
    uninterrupted: dict[str, str],
    left: list[str],
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """5."""
    flip(checkpoint(run, 6) / name)
    teacher.train(run)
    reason = f"{name}: sha256 differs from the manifest's (one bit or more has changed)"
    check_damage(run, left, capsys.readouterr().err, name if name == "manifest.json" else reason)
    assert hashes(run) == uninterrupted


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(
    run: TeacherOptions,
    uninterrupted: dict[str, str],
    left: list[str],
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """6."""
    (checkpoint(run, 6) / name).unlink()
    teacher.train(run)
    check_damage(run, left, capsys.readouterr().err, f"{name} is missing")
    assert hashes(run) == uninterrupted


def test_three_damaged_checkpoints_in_one_run(
    run: TeacherOptions, uninterrupted: dict[str, str], left: list[str]
) -> None:
    """4, 5 and 6, one after the other."""
    cut(checkpoint(run, 6) / "optimizer.safetensors")
    break_off(run, at=9)
    assert steps(run) == [5, 6, 7, 8] and whole(run) == [6, 8]
    flip(checkpoint(run, 8) / "weights.safetensors")
    break_off(run, at=11)
    assert steps(run) == [7, 8, 9, 10] and whole(run) == [8, 10]
    (checkpoint(run, 10) / "schedule.json").unlink()
    teacher.train(run)
    assert steps(run) == [9, 10, 11, 12]
    kinds = [record["kind"] for record in read(Path(run.output_dir) / "journal.jsonl") if record["event"] == "trouble"]
    assert kinds == ["damaged_checkpoint"] * 3
    assert left == [
        "damaged-step-00000006",
        "damaged-step-00000008",
        "damaged-step-00000010",
        "step-00000010",
        "step-00000012",
    ]
    assert hashes(run) == uninterrupted


def test_a_checkpoint_damaged_twice_is_kept_twice(
    run: TeacherOptions, uninterrupted: dict[str, str], left: list[str]
) -> None:
    """5: the same update's checkpoint, written anew and damaged again."""
    for _ in range(3):
        flip(checkpoint(run, 6) / "best.safetensors")
        break_off(run, at=7)
        assert steps(run) == [5, 6]
    teacher.train(run)
    assert left[:3] == ["damaged-step-00000006", "damaged-step-00000006-2", "damaged-step-00000006-3"]
    assert hashes(run) == uninterrupted


@pytest.mark.parametrize("name", ["weights.safetensors", "manifest.json"])
def test_where_no_checkpoint_is_whole_the_run_begins_anew_and_says_so(
    run: TeacherOptions,
    uninterrupted: dict[str, str],
    left: list[str],
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    """4 to 6: all checkpoints at once."""
    for step in (4, 6):
        flip(checkpoint(run, step) / name)
    teacher.train(run)
    said = capsys.readouterr().err
    assert "the checkpoint damaged-step-00000006 is damaged" in said
    assert "the checkpoint damaged-step-00000004 is damaged" in said
    assert "no checkpoint is whole: the run begins anew, from its first update" in said
    assert [record["kind"] for record in journal(run, "trouble")] == ["damaged_checkpoint"] * 2 + ["begun_anew"]
    assert steps(run) == list(range(1, STEPS + 1))
    assert left[:2] == ["damaged-step-00000004", "damaged-step-00000006"]
    assert hashes(run) == uninterrupted


def test_a_checkpoint_of_another_version_stops_the_run_until_it_is_begun_anew(
    run: TeacherOptions, uninterrupted: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """4 to 6: what cannot be read is not taken for damaged."""
    for step in (4, 6):
        manifest = {"schema": "bistill.checkpoint/3", "parts": []}
        path = checkpoint(run, step) / "manifest.json"
        path.write_text(json.dumps(manifest | {"fingerprint": artifacts.fingerprint(manifest)}))
    with pytest.raises(ArtifactError, match="the checkpoint is of another version of bistill") as caught:
        teacher.train(run)
    assert caught.value.todo == "go on with that version, or give `restart` to begin anew"
    assert names(checkpoint(run, 6).parent) == ["step-00000004", "step-00000006"]
    capsys.readouterr()
    teacher.train(dataclasses.replace(run, restart=True))
    assert "`restart`: the checkpoints up to step 6 in " in capsys.readouterr().err
    assert steps(run) == list(range(1, STEPS + 1))
    assert hashes(run) == uninterrupted


def test_the_state_that_is_saved_is_the_state_that_is_read(run: TeacherOptions) -> None:
    """4 to 6: the fixture of this folder holds what its tests damage: best weights, moments, schedule."""
    found = Checkpoints(checkpoint(run, 6).parent, keep=2).read_newest()
    assert isinstance(found, State) and found.step == 6
    for field in FILES.values():
        assert getattr(found, field), field
    assert found.best_step in (3, 6) and found.best.keys() <= found.weights.keys()
