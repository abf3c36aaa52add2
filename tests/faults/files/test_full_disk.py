"""Full disks and limits of files (7 on the scoreboard of faults): the run goes on, and what is saved stays whole."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bistill.app.commands import distill as distillation
from bistill.app.commands import teacher
from bistill.app.config import TeacherOptions
from bistill.errors import ArtifactError
from bistill.models.bi_encoder import BiEncoder
from tests.faults.files.runs import (
    STEPS,
    BrokenOffError,
    before,
    before_publishing,
    break_off,
    checkpoint,
    fail,
    fill,
    hashes,
    journal,
    names,
    steps,
    student_options,
    whole,
)

pytestmark = pytest.mark.slow

LIMITED = Path(__file__).parent / "limited.py"
FLAGS = (
    *("data_version", "data_root", "output_dir", "model_name", "epochs", "batch_size", "lr", "max_len"),
    *("negatives_per_positive", "eval_steps", "save_steps", "precision"),
)


def limited(made: TeacherOptions, plan: str) -> subprocess.CompletedProcess[str]:
    """Train in a process whose files may not grow beyond the limits of a plan: step:bytes,..."""
    flags = [f"--{name}={getattr(made, name)}" for name in FLAGS]
    return subprocess.run(
        [sys.executable, str(LIMITED), plan, *flags],
        capture_output=True,
        text=True,
    )


def check_not_saved(made: TeacherOptions, said: str, times: int) -> None:
    """Each message has the update, the bytes needed and free, and what to do."""
    for step in (6, 8):
        where = f"step {step}: {made.output_dir}/checkpoints"
        assert f"{where}: the checkpoint of update {step} cannot be written (" in said
    found = re.findall(r"found: at least ([0-9]+) bytes needed, ([0-9]+) bytes free", said)
    assert len(found) == times and all(int(needed) > 100_000 and int(free) >= 0 for needed, free in found)
    assert said.count("do: free space, or mend quota or permissions; the checkpoints before are whole") == times
    assert said.count("bytes free\n  do: ") == times


def test_checkpoints_and_journal_that_cannot_be_written_do_not_end_the_run(
    options: TeacherOptions, uninterrupted: dict[str, str], tmp_path: Path
) -> None:
    """7, by a process: no file may have more than 1000 bytes from update 5 to 9; the journal has more already."""
    made = dataclasses.replace(options, output_dir=str(tmp_path / "run"))
    ended = limited(made, "5:1000,9:0")
    assert ended.returncode == 0, ended.stderr
    assert hashes(made) == uninterrupted
    check_not_saved(made, ended.stderr, 2)
    sentence = f"{made.output_dir}/journal.jsonl: the journal cannot be written (File too large); the run goes on"
    assert ended.stderr.count(sentence) == 1
    assert journal(made, "trouble") == [] and steps(made) == [1, 2, 3, 4, 9, 10, 11, 12]
    assert journal(made, "end")[0]["status"] == "finished"


def test_a_model_that_cannot_be_written_costs_no_update(
    options: TeacherOptions, uninterrupted: dict[str, str], tmp_path: Path
) -> None:
    """7, by a process: first checkpoints do not fit, in safetensors' own writer, and at the end the model."""
    made = dataclasses.replace(options, output_dir=str(tmp_path / "run"))
    ended = limited(made, f"5:150000,9:0,{STEPS + 1}:50000")
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    check_not_saved(made, ended.stderr, 2)
    told = journal(made, "trouble")
    assert [(record["kind"], record["step"]) for record in told] == [("not_saved", 6), ("not_saved", 8)]
    assert all(record["message"] in ended.stderr for record in told)
    assert steps(made) == list(range(1, STEPS + 1))
    assert f"error: {made.output_dir}: the model cannot be written (" in ended.stderr
    assert "do: free space and give the same command again: it goes on from the last checkpoint" in ended.stderr
    assert whole(made) == [10, 12]
    assert not {"bistill.json", "model.safetensors", "unfinished-model"} & set(names(Path(made.output_dir)))
    teacher.train(made)
    assert steps(made) == [] and [record["step"] for record in journal(made, "resume")] == [STEPS]
    assert hashes(made) == uninterrupted


def test_a_full_disk_leaves_the_older_checkpoints_whole(
    options: TeacherOptions,
    uninterrupted: dict[str, str],
    small_disk: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """7, on a disk of its own: the run is broken off while the disk is full, and goes on when it is not."""
    made = dataclasses.replace(options, output_dir=str(small_disk / "run"))
    with monkeypatch.context() as patch:
        before(patch, 5, lambda: fill(small_disk, 100_000))
        break_off(made, at=10)
    said = capsys.readouterr().err
    assert whole(made) == [2, 4] and names(checkpoint(made, 4).parent) == ["step-00000002", "step-00000004"]
    assert [(record["kind"], record["step"]) for record in journal(made, "trouble")] == [
        ("not_saved", 6),
        ("not_saved", 8),
    ]
    check_not_saved(made, said, 2)
    assert said.count("No space left on device") == 2
    (small_disk / "ballast").unlink()
    teacher.train(made)
    assert steps(made) == list(range(5, STEPS + 1))
    assert hashes(made) == uninterrupted


def test_a_journal_on_a_full_disk_neither_ends_the_run_nor_is_torn(
    options: TeacherOptions,
    uninterrupted: dict[str, str],
    small_disk: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """7: not one byte is free from update 3 to 9."""
    made = dataclasses.replace(options, output_dir=str(small_disk / "run"))
    before(monkeypatch, 3, lambda: fill(small_disk, 0))
    before(monkeypatch, 9, lambda: (small_disk / "ballast").unlink())
    teacher.train(made)
    assert hashes(made) == uninterrupted
    assert capsys.readouterr().err.count("the journal cannot be written (No space left on device)") == 1
    assert set(steps(made)) >= {1, 2, 9, 10, 11, 12}
    assert journal(made, "end")[0]["status"] == "finished"
    lines = (small_disk / "run" / "journal.jsonl").read_bytes().splitlines()
    torn = [line for line in lines if not line.endswith(b"}")]
    assert len(torn) <= 1 and all(json.loads(line) for line in lines if line not in torn)


@pytest.mark.parametrize("use_lora", [False, True])
def test_a_disk_full_at_any_file_of_the_model_costs_no_update(
    run: TeacherOptions,
    options: TeacherOptions,
    uninterrupted: dict[str, str],
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    use_lora: bool,
) -> None:
    """7: the model is written with ever more room, until it fits."""
    made = dataclasses.replace(options, output_dir=str(small_disk / "run"), use_lora=use_lora, lora_r=4)
    expected = uninterrupted
    if use_lora:
        teacher.train(dataclasses.replace(made, output_dir=str(small_disk / "other")))
        expected = hashes(dataclasses.replace(made, output_dir=str(small_disk / "other")))
        shutil.rmtree(small_disk / "other")
    room, failures = 0, 0
    before_publishing(monkeypatch, lambda: fill(small_disk, room))
    while True:
        try:
            teacher.train(made)
        except ArtifactError as error:
            failures += 1
            assert "the model cannot be written (" in error.what and "it goes on from the last checkpoint" in error.todo
        else:
            break
        finally:
            (small_disk / "ballast").unlink()
        assert not {"bistill.json", "unfinished-model"} & set(names(small_disk / "run"))
        assert whole(made)[-1] == STEPS
        room += 24_576
    assert failures >= 5
    assert steps(made) == []
    assert hashes(made) == expected


def test_a_student_costs_no_update_either(
    options: TeacherOptions, tiny_teacher: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7 and 17: the disk is full when the student is written, and then its writing crashes."""
    made = student_options(options, tiny_teacher, small_disk / "run")
    reference = dataclasses.replace(made, output_dir=str(small_disk / "other"))
    distillation.train(reference)
    with monkeypatch.context() as patch:
        before_publishing(patch, lambda: fill(small_disk, 40_000))
        with pytest.raises(ArtifactError, match="the model cannot be written"):
            distillation.train(made)
        (small_disk / "ballast").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(BiEncoder, "save", lambda *_: fail())
        with pytest.raises(BrokenOffError):
            distillation.train(made)
    assert steps(made) == [] and not (small_disk / "run" / "bistill.json").exists()
    distillation.train(made)
    assert steps(made) == []
    assert hashes(made) == hashes(reference)


def test_the_model_of_an_earlier_run_stays_whole_when_the_new_one_does_not_fit(
    options: TeacherOptions, uninterrupted: dict[str, str], small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7: the files of both never stand mixed under one record."""
    made = dataclasses.replace(options, output_dir=str(small_disk / "run"))
    teacher.train(made)
    record = (small_disk / "run" / "bistill.json").read_bytes()
    before_publishing(monkeypatch, lambda: fill(small_disk, 40_000))
    with pytest.raises(ArtifactError, match="the model cannot be written"):
        teacher.train(dataclasses.replace(made, lr=2e-3, overwrite=True))
    assert (small_disk / "run" / "bistill.json").read_bytes() == record
    assert hashes(made) == uninterrupted


def test_a_first_checkpoint_that_does_not_fit_ends_the_run_before_its_first_update(
    options: TeacherOptions, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7: where a quota hides that there is too little space, and nothing could be gone back to."""
    made = dataclasses.replace(options, output_dir=str(small_disk / "run"))
    fill(small_disk, 200_000)
    usage = shutil.disk_usage(small_disk)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 40))
    with pytest.raises(ArtifactError, match="the checkpoint of update 0 cannot be written") as caught:
        teacher.train(made)
    assert " bytes needed, " in str(caught.value.found) and "free space" in caught.value.todo
    assert steps(made) == [] and names(small_disk / "run" / "checkpoints") == []
    assert journal(made, "end")[0]["status"] == "failed"
