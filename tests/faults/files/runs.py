"""Runs that are disturbed or broken off at an update, and what they leave on disk."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bistill import artifacts
from bistill.app.commands import teacher
from bistill.app.config import DistillationOptions, TeacherOptions
from bistill.journal import read
from bistill.training.loop.engine import Progress
from bistill.training.run import hooks, stage
from bistill.training.run.checkpoint import Checkpoints

MODEL = (artifacts.WEIGHTS_FILE, artifacts.BEST_MODEL)
STEPS = 12


class BrokenOffError(Exception):
    """Ends a run in the middle, as a crash does that leaves no time to save."""


def break_off(made: TeacherOptions, *, at: int) -> None:
    """Train until within the update ``at``, and end there without saving."""
    with pytest.MonkeyPatch.context() as patch:
        before(patch, at, fail)
        with pytest.raises(BrokenOffError):
            teacher.train(made)


def before(patch: pytest.MonkeyPatch, step: int, act: Callable[[], object]) -> None:
    """Do something after the update ``step``, before it is written to journal or checkpoint."""
    after_step = hooks.WriteJournal.after_step

    def acting(self: hooks.WriteJournal, progress: Progress) -> None:
        if progress.step == step:
            act()
        after_step(self, progress)

    patch.setattr(hooks.WriteJournal, "after_step", acting)


def before_publishing(patch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something when the last checkpoint is written and the model is not."""
    publish = stage.publish

    def acting(*given: Any) -> None:
        act()
        publish(*given)

    patch.setattr(stage, "publish", acting)


def fail() -> None:
    raise BrokenOffError


def student_options(options: TeacherOptions, teacher_path: Path, folder: Path) -> DistillationOptions:
    return DistillationOptions(
        data_version=options.data_version,
        data_root=options.data_root,
        teacher_path=str(teacher_path),
        output_dir=str(folder),
        student_name=options.model_name,
        epochs=2,
        batch_size=4,
        K=5,
        lr=1e-3,
        max_len=32,
        save_steps=2,
        precision="fp32",
        allow_weak_teacher=True,
        weak_student="trained",
        max_negative_ratio=None,
    )


def hashes(made: TeacherOptions | DistillationOptions) -> dict[str, str]:
    folder = Path(made.output_dir)
    return {name: artifacts.sha256_of_file(folder / name) for name in MODEL if (folder / name).exists()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def checkpoint(made: TeacherOptions, step: int) -> Path:
    return Path(made.output_dir) / "checkpoints" / f"step-{step:08d}"


def journal(made: TeacherOptions | DistillationOptions, event: str) -> list[dict[str, Any]]:
    """Events of a name since the last start."""
    records = list(read(Path(made.output_dir) / "journal.jsonl"))
    start = max(number for number, record in enumerate(records) if record["event"] == "start")
    return [record for record in records[start:] if record["event"] == event]


def steps(made: TeacherOptions | DistillationOptions) -> list[int]:
    return [record["step"] for record in journal(made, "step")]


def whole(made: TeacherOptions) -> list[int]:
    """Steps of the checkpoints of which every bit is as written."""
    found, checkpoints = [], Checkpoints(Path(made.output_dir) / "checkpoints", keep=1)
    for step in checkpoints.steps():
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(checkpoint(made, step), Path(folder) / f"step-{step:08d}")
            if Checkpoints(Path(folder), keep=1).read_newest() is not None:
                found.append(step)
    return found


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def fill(disk: Path, left: int) -> None:
    """Leave so many bytes of a disk free, once the checkpoint of an earlier step is written."""
    for thread in threading.enumerate():
        if thread.name == "checkpoint":
            thread.join()
    (disk / "ballast").write_bytes(bytes(max(shutil.disk_usage(disk).free - left, 0)))
