from __future__ import annotations

import dataclasses
import os
import platform
import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest
import torch

from bistill import console
from bistill.app import assembling, flags
from bistill.app.commands import distill
from bistill.errors import BistillError, DataError, MemoryShortageError, TrainingError
from bistill.journal import read
from bistill.training.run import stage, watched
from bistill.training.run.given import Given
from bistill.training.run.signals import Stopped
from bistill.training.settings import Checkpointing, Place
from tests.training.conftest import distillation_options


def test_the_same_process_can_be_known_and_started_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "utf8", "train.py", "--lr", "1e-5"])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.chdir(tmp_path)
    fields = watched.this_process()
    assert fields["command"] == [sys.executable, "-X", "utf8", "train.py", "--lr", "1e-5"]
    assert (fields["pid"], fields["host"], fields["cwd"]) == (os.getpid(), platform.node(), str(tmp_path))
    assert fields["process_started"] == psutil.Process().create_time()
    assert fields["environment"]["OMP_NUM_THREADS"] == "1" and fields["environment"]["HF_HOME"] is None
    assert "secret" not in str(fields)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DataError("bad row"), "user"),
        (TrainingError("no numbers"), "diverged"),
        (MemoryShortageError("one text"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
        (RuntimeError("shapes differ"), "fault"),
        (ValueError("x"), "fault"),
        (SystemExit(3), "fault"),
    ],
)
def test_kinds_of_errors(error: BaseException, kind: str) -> None:
    said = watched.failure(error)
    assert said["error_kind"] == kind
    assert ("traceback" in said) == (not isinstance(error, DataError | TrainingError))


def test_an_error_says_flags_in_the_journal_of_a_command_only() -> None:
    error, fault = DataError("bad", where="`lr`", todo="give `lr`"), ValueError("`lr`")
    assert watched.failure(error)["error"] == "`lr`: bad\n  do: give `lr`"
    with console.wording(flags.spoken):
        assert watched.failure(error)["error"] == "--lr: bad\n  do: give --lr"
        assert watched.failure(fault)["error"] == "ValueError: `lr`"


def test_the_end_line_of_a_fault_has_its_traceback(data_root: Path, tiny_teacher: Path, tiny_encoder: Path) -> None:
    options = distillation_options(data_root, tiny_teacher, tiny_encoder)
    folder, place, given = Path(options.output_dir), assembling.place(options), Given({}, ())

    def ended_by(error: BaseException) -> dict:
        with pytest.raises(type(error)), stage.recorded("distillation", place, given, Checkpointing()):
            raise error
        return list(read(folder / "journal.jsonl"))[-1]

    fault = ended_by(ZeroDivisionError("ours"))
    assert (fault["status"], fault["error"], fault["error_kind"]) == ("failed", "ZeroDivisionError: ours", "fault")
    assert fault["traceback"].startswith("Traceback") and "in ended_by" in fault["traceback"]
    assert fault["traceback"].endswith("ZeroDivisionError: ours\n")
    assert "error" not in ended_by(Stopped(signal.SIGTERM))
    assert not (folder / "stacks.txt").exists()  # nothing was written into it


def test_a_command_that_is_refused_leaves_no_folder(data_root: Path, tiny_teacher: Path, tiny_encoder: Path) -> None:
    folder = data_root.parent / "models" / "student"
    absent = distillation_options(data_root, tiny_teacher, tiny_encoder, data_version="absent", output_dir=str(folder))
    with pytest.raises(DataError, match="the file does not exist"):
        distill.train(absent)
    assert not folder.parent.exists()


def test_the_recipe_is_not_said_of_what_does_not_begin(
    data_root: Path, tiny_teacher: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = str(data_root.parent / "absent")
    for changes in ({"data_version": "absent"}, {"teacher_path": absent}, {"student_name": absent}):
        given = distillation_options(data_root, tiny_teacher, tiny_encoder, recipe="contract")
        with pytest.raises(BistillError):
            distill.train(dataclasses.replace(given, **changes))
        assert "recipe" not in capsys.readouterr().err
        assert not Path(given.output_dir).exists()


def test_only_what_a_refused_run_has_made_itself_is_removed(tmp_path: Path) -> None:
    def left_by(name: str, error: BaseException, event: str = "data", file: str = "") -> list[str]:
        folder = tmp_path / name / "run"
        with (
            pytest.raises(type(error)),
            stage.recorded("teacher", Place(str(folder)), Given({}, ()), Checkpointing()) as run,
        ):
            run.journal.write(event)
            if file:
                (folder / file).touch()
            raise error
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    user = DataError("no rows")
    journal_alone = ["journal.jsonl", "run.lock"]
    assert left_by("refused", user) == [] and not (tmp_path / "refused").exists()
    assert left_by("worked", user, event="gate") == journal_alone
    assert left_by("fault", ZeroDivisionError()) == journal_alone
    assert left_by("stopped", Stopped(signal.SIGTERM)) == journal_alone
    assert left_by("rejected", user, file="train_rejected.csv") == [*journal_alone, "train_rejected.csv"]
    (tmp_path / "there" / "run").mkdir(parents=True)
    assert left_by("there", user) == journal_alone
    (tmp_path / "beside" / "other").mkdir(parents=True)
    assert left_by("beside", user) == [] and (tmp_path / "beside" / "other").exists()


def test_stacks_are_written_on_request(tmp_path: Path) -> None:
    def waiting_for_the_end() -> None:
        ended.wait()

    ended, before = threading.Event(), signal.getsignal(signal.SIGUSR1)
    thread = threading.Thread(target=waiting_for_the_end)
    thread.start()
    with watched.stacks_on_request(tmp_path):
        os.kill(os.getpid(), signal.SIGUSR1)
        stacks = (tmp_path / "stacks.txt").read_text()
    ended.set()
    thread.join()
    assert "waiting_for_the_end" in stacks and "test_stacks_are_written_on_request" in stacks
    assert (tmp_path / "stacks.txt").read_text() == stacks and signal.getsignal(signal.SIGUSR1) == before


def test_a_folder_that_takes_no_file_is_no_reason_to_end(tmp_path: Path) -> None:
    with watched.stacks_on_request(tmp_path / "nowhere"):
        pass


@pytest.mark.slow
def test_a_run_goes_on_with_a_lower_learning_rate_at_most(
    data_root: Path, tiny_teacher: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bistill.app.commands import distill as distillation
    from bistill.training.run.hooks import WriteJournal

    plain, stop_at = WriteJournal.after_step, 3

    def stopping(hook: WriteJournal, progress: object) -> None:
        plain(hook, progress)  # type: ignore[arg-type]
        if progress.step == stop_at:  # type: ignore[attr-defined]
            raise ZeroDivisionError

    monkeypatch.setattr(WriteJournal, "after_step", stopping)
    common = {"save_steps": 1, "warmup_ratio": 0.0}
    made = distillation_options(data_root, tiny_teacher, tiny_encoder, **common)
    with pytest.raises(ZeroDivisionError):
        distillation.train(made)
    stop_at = 4
    lower = distillation_options(data_root, tiny_teacher, tiny_encoder, resume_lr_factor=0.5, **common)
    with pytest.raises(ZeroDivisionError):
        distillation.train(lower)
    stop_at = 0
    distillation.train(distillation_options(data_root, tiny_teacher, tiny_encoder, resume_lr_factor=0.5, **common))
    records = list(read(Path(made.output_dir) / "journal.jsonl"))
    rates = {record["step"]: record["lr"] for record in records if record["event"] == "step"}
    falling = [1e-3 * (6 - number) / 6 for number in range(6)]
    # Halved once, not at each return: the checkpoints of the second process have the factor in them.
    assert [rates[step] for step in range(1, 7)] == pytest.approx(
        [rate * (1 if number < 2 else 0.5) for number, rate in enumerate(falling)]
    )
    budgets = [record["micro_batch_tokens"] for record in records if record["event"] == "memory"]
    assert len(budgets) == 3 and set(budgets) == {budgets[0]} and budgets[0] >= 512
    assert Checkpointing().lr_factor == 1


def test_a_notebook_has_no_command_that_does_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watched.this_process()["command"][0] == sys.executable
    monkeypatch.setitem(sys.modules, "ipykernel", watched)
    assert watched.this_process()["command"] == []
