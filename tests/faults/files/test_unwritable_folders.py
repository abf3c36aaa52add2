"""Folders that cannot be written, and too little space, are found before any work (8 on the scoreboard of faults)."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bistill.app import cli
from bistill.app.commands import distill as distillation
from bistill.app.commands import teacher
from bistill.app.config import TeacherOptions
from bistill.errors import ArtifactError
from bistill.models.cross_encoder import CrossEncoder
from tests.faults.files.runs import fill, journal, names, steps, student_options

pytestmark = pytest.mark.slow


def check_unwritable(
    options: TeacherOptions, tiny_teacher: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    what, todo = r"the output folder cannot be written \(", "do: give another {}, or make it writable"
    for train, made in (
        (teacher.train, dataclasses.replace(options, output_dir=str(folder))),
        (distillation.train, student_options(options, tiny_teacher, folder)),
    ):
        with pytest.raises(ArtifactError, match=rf"{folder}: {what}.*\)\n  {todo.format('`output_dir`')}"):
            train(made)  # type: ignore[operator]
    with pytest.raises(SystemExit) as ended:
        cli.run_command("teacher", [f"--output_dir={folder}"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert re.search(rf"error: {folder}: {what}", said) and todo.format("--output_dir") in said


@pytest.mark.usefixtures("unloaded")
def test_a_file_in_place_of_the_folder_is_found_before_any_work(
    options: TeacherOptions, tiny_teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """8."""
    (tmp_path / "file").write_text("mine")
    check_unwritable(options, tiny_teacher, tmp_path / "file", capsys)
    check_unwritable(options, tiny_teacher, tmp_path / "file" / "run", capsys)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.usefixtures("unloaded")
def test_a_folder_of_the_system_is_found_before_any_work(
    options: TeacherOptions, tiny_teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """8: /proc takes no folder from anybody."""
    check_unwritable(options, tiny_teacher, Path("/proc/bistill-run"), capsys)


@pytest.mark.usefixtures("unloaded")
def test_a_disk_mounted_read_only_is_found_before_any_work(
    options: TeacherOptions, tiny_teacher: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """8: where root may mount; every mode says that the folder can be written."""
    (small_disk / "run").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    check_unwritable(options, tiny_teacher, small_disk / "run", capsys)
    check_unwritable(options, tiny_teacher, small_disk / "new", capsys)


@pytest.mark.usefixtures("unloaded")
def test_a_disk_without_a_free_byte_is_found_before_any_work(
    options: TeacherOptions, tiny_teacher: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """8."""
    (small_disk / "run").mkdir()
    fill(small_disk, 0)
    check_unwritable(options, tiny_teacher, small_disk / "run", capsys)
    assert names(small_disk / "run") == []


def test_too_little_space_is_found_before_the_first_update(
    options: TeacherOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8: what the run will need is more than is free."""
    made = dataclasses.replace(options, output_dir=str(tmp_path / "run"), keep=3)
    encoder = CrossEncoder.start(made.model_name, max_len=32, precision="fp32", seed=0)
    weights = sum(value.numel() for value in encoder.model.parameters()) * 4
    needed = 4 * 4 * weights + 3 * weights  # four checkpoints of weights, best weights and two moments; the model
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed - 1))
    with pytest.raises(ArtifactError) as caught:
        teacher.train(made)
    assert caught.value.what.startswith("the run with its checkpoints and model needs ")
    assert f"({needed} bytes), free are " in caught.value.what and f"({needed - 1} bytes)" in caught.value.what
    assert "free space" in caught.value.todo and "`keep` 1" in caught.value.todo
    assert not (tmp_path / "run" / "checkpoints").exists() and steps(made) == []
    assert journal(made, "end")[0]["status"] == "failed"
