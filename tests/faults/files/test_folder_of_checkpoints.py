"""What else lies in the folder of checkpoints, and what never gets there (1 and 11 on the scoreboard of faults)."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from bistill.app.commands import teacher
from bistill.app.config import TeacherOptions
from bistill.errors import OptionError, TrainingError
from bistill.training.loop.engine import Engine
from tests.faults.files.runs import STEPS, before, checkpoint, flip, hashes, journal, names, whole

pytestmark = pytest.mark.slow


def test_leftovers_are_removed_and_foreign_files_are_kept(
    run: TeacherOptions, uninterrupted: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """1: what a killed write left is not read; what is not ours is not touched."""
    folder = checkpoint(run, 6).parent
    for name in ("unfinished-step-00000008", "unfinished-step-00000004-removed"):
        shutil.copytree(checkpoint(run, 6), folder / name)
        flip(folder / name / "weights.safetensors")
    checkpoint(run, 6).rename(folder / "unfinished-step-00000006-replaced")  # killed between two renames
    (folder.parent / "unfinished-model").mkdir()
    (folder.parent / "unfinished-model" / "model.safetensors").write_bytes(b"torn")
    (folder / "notes.txt").write_text("mine")
    (folder / "step-12").mkdir()
    (folder / "step-12" / "weights.safetensors").write_bytes(b"another's")
    (folder / "step-00000010").write_text("a file by the name of a checkpoint")
    teacher.train(run)
    assert "going on from the checkpoint of step 6 " in capsys.readouterr().err
    assert [(record["kind"], record["step"]) for record in journal(run, "trouble")] == [("not_saved", 10)]
    assert hashes(run) == uninterrupted
    assert names(folder) == ["notes.txt", "step-00000010", "step-12"]
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "step-12" / "weights.safetensors").read_bytes() == b"another's"
    assert not (folder.parent / "unfinished-model").exists()


def test_other_options_are_refused_before_any_work_and_touch_nothing(
    run: TeacherOptions, uninterrupted: dict[str, str], unloaded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the numbers: a checkpoint of another run is no checkpoint of this one."""
    with pytest.raises(OptionError, match=r"`lr` was 0\.001, is 0\.002"):
        teacher.train(dataclasses.replace(run, lr=2e-3))
    assert whole(run) == [4, 6]
    monkeypatch.undo()
    teacher.train(run)
    assert hashes(run) == uninterrupted


@pytest.mark.parametrize(("at", "kept"), [(6, [2, 4]), (7, [4, 6]), (STEPS, [8, 10])])
def test_weights_that_are_no_numbers_are_never_saved(
    options: TeacherOptions,
    uninterrupted: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    kept: list[int],
) -> None:
    """11: an update, of which one is the last, leaves NaN among the weights."""
    made = dataclasses.replace(options, output_dir=str(tmp_path / "run"))
    engines: list[Engine] = []
    created = Engine.__init__

    def poison() -> None:
        with torch.no_grad():
            next(value for value in engines[-1].task.model.parameters() if value.requires_grad).view(-1)[3] = torch.nan

    def noted(self: Engine, *given: Any, **named: Any) -> None:
        engines.append(self)
        created(self, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "__init__", noted)
        before(patch, at, poison)
        with pytest.raises(TrainingError, match=r"NaN or infinite values|the loss is NaN or infinite") as caught:
            teacher.train(made)
    assert caught.value.todo
    assert whole(made) == kept == [int(name[5:]) for name in names(checkpoint(made, 2).parent)]
    assert not (tmp_path / "run" / "bistill.json").exists()
    assert journal(made, "end")[0]["status"] == "failed"
    teacher.train(made)
    assert [record["step"] for record in journal(made, "resume")] == [kept[-1]]
    assert hashes(made) == uninterrupted
