"""Runs of one trainer as whole processes, killed and damaged, and what is measured of them."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.numpy import load_file
from sides import Side

LONGEST: Final = 180.0  # seconds that one process may take
WEIGHTS: Final = "model.safetensors"
SHOWN: Final = 240  # characters of a message in a cell


@dataclass
class Run:
    """What a process left.

    Attributes:
        output: its folder.
        code: exit code; negative for the signal that ended it.
        lines: what it printed, progress bars left out.
        updates: the updates it did itself, in order.
        earlier: those that processes before it had done in the same folder.
        struck: whether its fault struck.
    """

    output: Path
    code: int
    lines: list[str]
    updates: list[dict[str, Any]] = field(default_factory=list)
    earlier: list[dict[str, Any]] = field(default_factory=list)
    struck: bool = False

    @property
    def began_after(self) -> int | None:
        """Updates that were taken as done when it began; None where it did none."""
        return self.updates[0]["step"] - 1 if self.updates else None

    @property
    def error(self) -> str:
        """The line that says why it ended."""
        named = [line for line in self.lines if re.match(r"error: |[\w.]*(Error|Exception|Interrupt)\b", line)]
        return shortened(named[-1] if named else (self.lines or ["no message"])[-1])


class Laboratory:
    """Starts runs of one trainer.

    Attributes:
        references: undisturbed runs done so far, by what becomes of the negatives.

    Args:
        side: the trainer.
        work: folder with student, teacher and data; runs are put there, too.
        repetitions: of what is random.
        seed: of the moments of kills.
    """

    def __init__(self, side: Side, work: Path, repetitions: int, seed: int) -> None:
        self.side, self.work, self.repetitions = side, work, repetitions
        self.random = random.Random(seed)
        self.references: dict[str, Run] = {}

    def folder(self, name: str) -> Path:
        """Empty output folder of a run."""
        folder = self.work / "runs" / type(self.side).__name__.lower() / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def reference(self, negatives: str) -> Run:
        """The undisturbed run; done once."""
        if negatives not in self.references:
            run = self.run(self.folder(f"reference-{negatives}"), negatives=negatives)
            if run.code != 0:
                raise RuntimeError(f"the undisturbed run of {self.side.name} fails: {run.error}")
            self.references[negatives] = run
        return self.references[negatives]

    def run(
        self, output: Path, *, negatives: str, resume: bool = False, fault: str = "none", at: int = 0, own: Any = ()
    ) -> Run:
        """Run to the end."""
        struck = output.with_name(f"{output.name}.struck")
        struck.unlink(missing_ok=True)
        own = ["--fault", fault, "--at", str(at), "--struck", str(struck), *own]
        with self._started(output, negatives, resume, own) as (process, earlier, log):
            code = process.wait(LONGEST)
        updates = self.side.updates(output)
        run = Run(output, code, self._lines(log, output), updates[len(earlier) :], earlier, struck.exists())
        if fault != "none" and not run.struck:
            raise RuntimeError(f"the fault {fault} never struck {self.side.name}: {log}")
        return run

    def run_until_killed(self, output: Path, at: int, *, negatives: str, resume: bool = False) -> Run:
        """Run, and send SIGKILL some moments after update ``at``, at random within about two updates."""
        pause = 0.1
        with self._started(output, negatives, resume, ["--pause", str(pause)]) as (process, earlier, log):
            ends = time.monotonic() + LONGEST
            while process.poll() is None and time.monotonic() < ends:
                done = self.side.updates(output)[len(earlier) :]
                if done and done[-1]["step"] >= at:
                    time.sleep(self.random.uniform(0, 2 * pause))
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.005)
            code = process.wait(LONGEST)
        updates = self.side.updates(output)[len(earlier) :]
        return Run(output, code, self._lines(log, output), updates, earlier)

    @contextmanager
    def _started(
        self, output: Path, negatives: str, resume: bool, own: list[str]
    ) -> Iterator[tuple[subprocess.Popen[bytes], list[dict[str, Any]], Path]]:
        command = self.side.command(self.work, output, negatives=negatives, resume=resume, own=own)
        log = output.with_name(f"{output.name}.log")
        environment = {
            **os.environ,
            "BISTILL_CACHE": str(self.work / "cache"),
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "COLUMNS": "1000",
        }
        print(f"{self.side.name}: {output.name}", file=sys.stderr, flush=True)
        earlier = self.side.updates(output)
        with log.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
            try:
                yield process, earlier, log
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()

    def _lines(self, log: Path, output: Path) -> list[str]:
        text = log.read_text(encoding="utf-8", errors="replace")
        text = text.replace(str(output), "OUTPUT").replace(str(self.work), "")
        lines = (line.strip() for line in re.split(r"[\r\n]+", text))
        return [line for line in lines if line and not re.search(r"\d%\|", line)]


def said(run: Run, usual: Run) -> str:
    """In words: what a run printed beyond ``usual``, numbers aside; metrics of the peer's log are no message."""
    known = {_shape(line) for line in usual.lines}
    new = [line for line in run.lines if _shape(line) not in known and not line.startswith("{'")]
    return f'saying "{shortened(" / ".join(new))}"' if new else "silently"


def compared(run: Run, reference: Run) -> str:
    """In words: the final weights beside those of the undisturbed run."""
    files = [item.output / WEIGHTS for item in (run, reference)]
    if sha256(files[0].read_bytes()).digest() == sha256(files[1].read_bytes()).digest():
        return "final weights equal"
    values = _values(files[0])
    missing = int(np.isnan(values).sum())
    if missing:
        return f"{100 * missing / values.size:.0f}% of the final weights are NaN"
    return f"final weights differ by up to {difference(run, reference):.1e}"


def difference(run: Run, reference: Run) -> float:
    """Largest absolute difference of the final weights; NaN where a weight is NaN."""
    return float(np.abs(_values(run.output / WEIGHTS) - _values(reference.output / WEIGHTS)).max())


def equal(run: Run, reference: Run) -> bool:
    """Whether the files of the final weights have the same SHA-256."""
    return compared(run, reference) == "final weights equal"


def moved(work: Path, reference: Run) -> float:
    """Largest change of a weight by the undisturbed training."""
    start, end = load_file(work / "student" / WEIGHTS), load_file(reference.output / WEIGHTS)
    return max(float(np.abs(start[name] - end[name]).max()) for name in start.keys() & end.keys())


def shortened(text: str) -> str:
    """One line that fits into a table's cell."""
    text = re.sub(r"\s+", " ", text).replace("|", "/")
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def spread(values: Iterable[float]) -> str:
    """Smallest and largest of some figures."""
    ordered = [f"{value:.1e}" for value in sorted(values)]
    low, high = ordered[0], ordered[-1]
    return low if low == high else f"{low} to {high}"


def _values(path: Path) -> np.ndarray:
    tensors = load_file(path)
    return np.concatenate([tensors[name].ravel() for name in sorted(tensors)])


def _shape(line: str) -> str:
    return re.sub(r"[\d.,]+(e[+-]?\d+)?", "#", line)
