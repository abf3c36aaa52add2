"""The two trainers as the comparison sees them: how a run is started, and where it leaves what."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
EPOCHS, BATCH_SIZE, SAVE_STEPS = 3, 8, 4
LEARNING_RATE: Final = "1e-3"


@dataclass(frozen=True)
class Side(ABC):
    """One trainer.

    Attributes:
        name: heading of its column.
        modes: what a user may switch on against running out of memory: label and arguments.
        checkpoint_folders: pattern of the checkpoints below the output folder, the number of updates at the end.
        weights_file: weights within a checkpoint.
        state_files: the rest of its state, each of which may go missing.
    """

    name: str
    modes: tuple[tuple[str, tuple[str, ...]], ...]
    checkpoint_folders: str
    weights_file: str
    state_files: tuple[str, ...]

    @abstractmethod
    def command(self, work: Path, output: Path, *, negatives: str, resume: bool, own: list[str]) -> list[str]:
        """Command line of a run; ``own`` are arguments of the child process."""

    @abstractmethod
    def updates(self, output: Path) -> list[dict[str, Any]]:
        """A record with ``step`` for every update done so far, in the order in which they were done."""

    @abstractmethod
    def losses(self, output: Path) -> list[float | None]:
        """The loss as it was logged; None where it is NaN or infinite."""

    def checkpoints(self, output: Path) -> list[Path]:
        """Checkpoints at hand, the oldest first."""
        return sorted(output.glob(self.checkpoint_folders), key=lambda folder: int(folder.name.split("-")[-1]))


class Peer(Side):
    """The trainer of the installed sentence-transformers."""

    def command(self, work: Path, output: Path, *, negatives: str, resume: bool, own: list[str]) -> list[str]:
        """See ``peer.py``."""
        command = [sys.executable, str(HERE / "peer.py"), "--student", str(work / "student")]
        command += ["--output_dir", str(output), "--negatives", negatives, "--epochs", str(EPOCHS)]
        command += ["--batch_size", str(BATCH_SIZE), "--lr", LEARNING_RATE, "--save_steps", str(SAVE_STEPS)]
        return command + (["--resume"] if resume else []) + own

    def updates(self, output: Path) -> list[dict[str, Any]]:
        """Of its callback."""
        return read_lines(output / "progress.jsonl")

    def losses(self, output: Path) -> list[float | None]:
        """Of its log."""
        return [record["loss"] for record in read_lines(output / "logged.jsonl") if "loss" in record]


class Ours(Side):
    """bistill distill."""

    def command(self, work: Path, output: Path, *, negatives: str, resume: bool, own: list[str]) -> list[str]:
        """See ``ours.py``; resuming is not asked for, the same command goes on by itself."""
        command = [sys.executable, str(HERE / "ours.py"), *own, "--", "--output_dir", str(output)]
        command += ["--teacher_path", str(work / "teacher"), "--student_name", str(work / "student")]
        command += ["--data_root", str(work / "data"), "--data_version", "tiny", "--valid_samples", "16"]
        command += ["--epochs", str(EPOCHS), "--batch_size", str(BATCH_SIZE), "--lr", LEARNING_RATE]
        command += ["--K", "4", "--max_len", "32", "--miners", "random", "--max_negative_ratio", "None"]
        command += ["--redraw", "never" if negatives == "fixed" else "each_epoch"]
        # The weights of the last update, not of the best: a fault late in the run shall be seen in them.
        command += ["--eval_steps", "1000", "--allow_weak_teacher", "--weak_student", "trained"]
        return [*command, "--save_steps", str(SAVE_STEPS), "--save_minutes", "0"]

    def updates(self, output: Path) -> list[dict[str, Any]]:
        """Of its journal."""
        return [record for record in read_lines(output / "journal.jsonl") if record["event"] == "step"]

    def losses(self, output: Path) -> list[float | None]:
        """Of its journal."""
        return [record["terms"]["loss"] for record in self.updates(output)]


PEER: Final = Peer(
    name=f"sentence-transformers {version('sentence-transformers')}",
    modes=(("default arguments", ()), ("auto_find_batch_size=True", ("--auto_find_batch_size",))),
    checkpoint_folders="checkpoint-*",
    weights_file="model.safetensors",
    state_files=("optimizer.pt", "scheduler.pt", "rng_state.pth"),
)
OURS: Final = Ours(
    name="bistill",
    modes=(("default options", ()),),
    checkpoint_folders="checkpoints/step-*",
    weights_file="weights.safetensors",
    state_files=("optimizer.safetensors", "schedule.json"),
)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Whole JSON lines of a file that may still be written; none where it does not exist yet."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue  # torn by a kill
    return records
