"""Damaged and missing checkpoint files, full disks, folders that cannot be written, crashes beside the training.

Numbers are those of the scoreboard of faults. Whatever happens, the run ends with the bytes of the run to which nothing
happened, or it says plainly why it cannot.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bistill import artifacts, cli, pipeline
from bistill.config import DistillationOptions, EvaluationOptions, PipelineOptions, TeacherOptions
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.errors import ArtifactError, OptionError, TrainingError
from bistill.journal import read
from bistill.training import distillation, hooks, saving, stage, teacher
from bistill.training.checkpoint import FILES, Checkpoints, State
from bistill.training.engine import Engine, Progress
from bistill.training.validation import Measured

TOPICS = """
    file list sort set map tree graph query key value red blue green json network socket
""".split()  # noqa: SIM905
MODEL = (artifacts.WEIGHTS_FILE, artifacts.BEST_MODEL)
STEPS = 12
LIMITED = Path(__file__).parent / "limited.py"


class BrokenOffError(Exception):
    """Ends a run in the middle, as a crash does that leaves no time to save."""


@pytest.fixture(scope="module", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs that all tests of this file share are made before a test has its own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BISTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> TeacherOptions:
    """A teacher of 12 updates with a checkpoint every second and a validation every third."""
    root = tmp_path_factory.mktemp("data")
    for split, words in (("train", TOPICS[:12]), ("valid", TOPICS[12:]), ("test", TOPICS[8:])):
        rows = [["query", "positive", "negative"]]
        rows += [[f"how to {word}", f"returns the {word}", f"error in {TOPICS[n]}"] for n, word in enumerate(words)]
        path = root / "tiny" / f"{split}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
    return TeacherOptions(
        data_version="tiny",
        data_root=str(root),
        output_dir=str(root / "teacher"),
        model_name=str(tiny_encoder),
        epochs=2,
        batch_size=8,
        lr=1e-3,
        max_len=32,
        negatives_per_positive=3,
        eval_steps=3,
        save_steps=2,
        precision="fp32",
    )


@pytest.fixture(scope="module")
def uninterrupted(options: TeacherOptions) -> dict[str, str]:
    """SHA-256 of the files of the run to which nothing happened."""
    teacher.train(options)
    return hashes(options)


@pytest.fixture(scope="module")
def broken_off(options: TeacherOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that ended within update 7: with checkpoints of steps 4 and 6."""
    folder = tmp_path_factory.mktemp("broken-off") / "run"
    break_off(dataclasses.replace(options, output_dir=str(folder)), at=7)
    return folder


@pytest.fixture
def run(options: TeacherOptions, broken_off: Path, tmp_path: Path) -> TeacherOptions:
    """Options of the run that was broken off, in a folder of the test."""
    shutil.copytree(broken_off, tmp_path / "run")
    return dataclasses.replace(options, output_dir=str(tmp_path / "run"))


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


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 4 MiB."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount")
    with tempfile.TemporaryDirectory(prefix="bistill-disk-") as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True
        )
        if mounted.returncode:
            pytest.skip(f"this process may not mount a small file system: {mounted.stderr.strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


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
    publish = stage._publish

    def acting(*given: Any) -> None:
        act()
        publish(*given)

    patch.setattr(stage, "_publish", acting)


def fail() -> None:
    raise BrokenOffError


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


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


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


# 4, 5, 6: files of the newest checkpoint


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
        manifest = {"schema": "bistill.checkpoint/2", "parts": []}
        path = checkpoint(run, step) / "manifest.json"
        path.write_text(json.dumps(manifest | {"fingerprint": artifacts.fingerprint(manifest)}))
    with pytest.raises(ArtifactError, match="the checkpoint is of another version of bistill") as caught:
        teacher.train(run)
    assert caught.value.todo == "go on with that version, or give --restart to begin anew"
    assert names(checkpoint(run, 6).parent) == ["step-00000004", "step-00000006"]
    capsys.readouterr()
    teacher.train(dataclasses.replace(run, restart=True))
    assert "--restart: the checkpoints up to step 6 in " in capsys.readouterr().err
    assert steps(run) == list(range(1, STEPS + 1))
    assert hashes(run) == uninterrupted


# 7: full disks


def limited(made: TeacherOptions, plan: str) -> subprocess.CompletedProcess[str]:
    """Train in a process whose files may not grow beyond the limits of a plan: step:bytes,..."""
    flags = [f"--{name}={getattr(made, name)}" for name in FLAGS]
    return subprocess.run(
        [sys.executable, str(LIMITED), plan, *flags],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


FLAGS = (
    *("data_version", "data_root", "output_dir", "model_name", "epochs", "batch_size", "lr", "max_len"),
    *("negatives_per_positive", "eval_steps", "save_steps", "precision"),
)


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


def check_not_saved(made: TeacherOptions, said: str, times: int) -> None:
    """Each message has the update, the bytes needed and free, and what to do."""
    for step in (6, 8):
        where = f"step {step}: {made.output_dir}/checkpoints"
        assert f"{where}: the checkpoint of update {step} cannot be written (" in said
    found = re.findall(r"found: 'at least ([0-9]+) bytes needed, ([0-9]+) bytes free'", said)
    assert len(found) == times and all(int(needed) > 100_000 and int(free) >= 0 for needed, free in found)
    assert said.count("do: free space, or mend quota or permissions; the checkpoints before are whole") == times
    assert said.count("bytes free'\n  do: ") == times


def fill(disk: Path, left: int) -> None:
    """Leave so many bytes of a disk free, once the checkpoint of an earlier step is written."""
    for thread in threading.enumerate():
        if thread.name == "checkpoint":
            thread.join()
    (disk / "ballast").write_bytes(bytes(max(shutil.disk_usage(disk).free - left, 0)))


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
        max_negative_ratio=None,
    )


def test_the_model_of_an_earlier_run_stays_whole_when_the_new_one_does_not_fit(
    options: TeacherOptions, uninterrupted: dict[str, str], small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7: the files of both never stand mixed under one record."""
    made = dataclasses.replace(options, output_dir=str(small_disk / "run"))
    teacher.train(made)
    record = (small_disk / "run" / "bistill.json").read_bytes()
    before_publishing(monkeypatch, lambda: fill(small_disk, 40_000))
    with pytest.raises(ArtifactError, match="the model cannot be written"):
        teacher.train(dataclasses.replace(made, lr=2e-3))
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


# 8: folders that cannot be written


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model fails the test."""
    monkeypatch.setattr(CrossEncoder, "start", lambda *_, **__: pytest.fail("a model was loaded"))
    monkeypatch.setattr(BiEncoder, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    monkeypatch.setattr(stage, "load_training", lambda *_: pytest.fail("data was read"))


def check_unwritable(
    options: TeacherOptions, tiny_teacher: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    todo = "do: give another --output_dir, or make it writable"
    for train, made in (
        (teacher.train, dataclasses.replace(options, output_dir=str(folder))),
        (distillation.train, student_options(options, tiny_teacher, folder)),
    ):
        with pytest.raises(ArtifactError, match=rf"{folder}: the output folder cannot be written \(.*\)\n  {todo}"):
            train(made)  # type: ignore[operator]
    with pytest.raises(SystemExit) as ended:
        cli.run_command("teacher", [f"--output_dir={folder}"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f"error: {folder}: the output folder cannot be written (" in said and todo in said


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
    assert "free space" in caught.value.todo and "--keep 1" in caught.value.todo
    assert not (tmp_path / "run" / "checkpoints").exists() and steps(made) == []
    assert journal(made, "end")[0]["status"] == "failed"


# 17: crashes beside the training


def test_a_crash_of_the_evaluation_costs_no_training(
    options: TeacherOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """17: by the pipeline, whose second run only evaluates."""
    shared = {"data_version": "supervised_only", "data_root": "preprocessed"}
    student = student_options(options, tmp_path / "teacher", tmp_path / "student")
    made = PipelineOptions(
        data_version=options.data_version,
        data_root=options.data_root,
        searches=(),
        teacher=dataclasses.replace(options, output_dir=str(tmp_path / "teacher"), **shared),
        distillation=dataclasses.replace(student, teacher_path=PipelineOptions().distillation.teacher_path, **shared),
        evaluation=EvaluationOptions(
            model_path="models/student", test_data="", output_dir=str(tmp_path / "evaluation")
        ),
    )
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "evaluate", lambda _: fail())
        with pytest.raises(BrokenOffError):
            pipeline.run(made)
    models = {name: hashes(getattr(made, name)) for name in ("teacher", "distillation")}
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.safetensors")}
    assert len(written) == 2 and not (tmp_path / "evaluation").exists()
    capsys.readouterr()
    monkeypatch.setattr(pipeline, "train_teacher", lambda _: fail())
    monkeypatch.setattr(pipeline, "train_student", lambda _: fail())
    pipeline.run(made)
    said = capsys.readouterr().err
    for name in ("teacher", "distillation"):
        assert f"{name}: inputs unchanged, {getattr(made, name).output_dir} is reused" in said
        assert hashes(getattr(made, name)) == models[name]
    assert "evaluation: started" in said
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert json.loads((tmp_path / "evaluation" / artifacts.EVALUATION_JSON).read_text())["counts"]["queries"] == 8


@pytest.mark.parametrize("moment", ["before", "while", "after the move", "after the record"])
def test_a_crash_between_the_last_update_and_the_model_costs_no_update(
    options: TeacherOptions,
    uninterrupted: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    moment: str,
) -> None:
    """17: the next run only writes the model."""
    made = dataclasses.replace(options, output_dir=str(tmp_path / "run"))
    save, move = CrossEncoder.save, artifacts.move_model

    def after(act: Callable[..., object]) -> Callable[..., None]:
        def acting(*given: Any) -> None:
            act(*given)
            fail()

        return acting

    with monkeypatch.context() as patch:
        if moment == "before":
            patch.setattr(CrossEncoder, "save", lambda *_: fail())
        elif moment == "while":
            patch.setattr(CrossEncoder, "save", after(save))
        elif moment == "after the move":
            patch.setattr(artifacts, "move_model", after(move))
        else:
            patch.setattr(saving.Saving, "finish", lambda _: fail())
        with pytest.raises(BrokenOffError):
            teacher.train(made)
    assert journal(made, "end")[0]["status"] == "failed"
    assert (tmp_path / "run" / "bistill.json").exists() is (moment == "after the record")
    assert whole(made) == [10, 12]
    capsys.readouterr()
    teacher.train(made)
    assert "going on from the checkpoint of step 12 " in capsys.readouterr().err
    assert steps(made) == [] and journal(made, "evaluation") == []
    assert hashes(made) == uninterrupted
    assert not {"checkpoints", "unfinished-model"} & set(names(tmp_path / "run"))


def test_an_evaluation_that_crashes_within_the_training_costs_at_most_the_updates_since_the_last_checkpoint(
    options: TeacherOptions, uninterrupted: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """17: the measurement on the validation queries crashes at update 9."""
    made = dataclasses.replace(options, output_dir=str(tmp_path / "run"))
    measure = teacher.measure_teacher
    calls: list[int] = []

    def third(*given: Any) -> Measured:
        calls.append(1)
        if len(calls) == 3:
            fail()
        return measure(*given)

    with monkeypatch.context() as patch:
        patch.setattr(teacher, "measure_teacher", third)
        with pytest.raises(BrokenOffError):
            teacher.train(made)
    assert whole(made) == [6, 8]
    teacher.train(made)
    assert steps(made) == [9, 10, 11, 12]
    assert hashes(made) == uninterrupted


# What else lies in the folder, and numbers that are none


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
    with pytest.raises(OptionError, match=r"--lr was 0.001, is 0.002"):
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
        with pytest.raises(TrainingError, match=r"values that are no numbers|the loss is no number") as caught:
            teacher.train(made)
    assert caught.value.todo
    assert whole(made) == kept == [int(name[5:]) for name in names(checkpoint(made, 2).parent)]
    assert not (tmp_path / "run" / "bistill.json").exists()
    assert journal(made, "end")[0]["status"] == "failed"
    teacher.train(made)
    assert [record["step"] for record in journal(made, "resume")] == [kept[-1]]
    assert hashes(made) == uninterrupted


def test_the_state_that_is_saved_is_the_state_that_is_read(run: TeacherOptions) -> None:
    """4 to 6: the fixture of this file holds what its tests damage: best weights, moments, generator, schedule."""
    found = Checkpoints(checkpoint(run, 6).parent, keep=2).read_newest()
    assert isinstance(found, State) and found.step == 6
    for field in FILES.values():
        assert getattr(found, field), field
    assert found.best_step in (3, 6) and found.best.keys() <= found.weights.keys()
