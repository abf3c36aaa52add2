"""The driver's half of taking turns: which processes there are, and how one is started, asked and ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        name: row of the table.
        script: file in this folder.
        arguments: after the workload.
        python: that runs it.
        comparable: steps whose loss is that of ours: "all", "first" or "none".
        result: name of the file in which it leaves its scores or vectors.
    """

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    python: str = sys.executable
    comparable: str = "all"
    result: str = ""


@dataclass
class Measured:
    """What a side answered in all its turns: one number a step."""

    seconds: list[float] = field(default_factory=list)
    losses: list[float | None] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    memory_mib: int = 0

    def add(self, answer: dict[str, Any]) -> None:
        """Append a turn."""
        for name in ("seconds", "losses", "tokens", "rate"):
            getattr(self, name).extend(answer.get(name, ()))
        self.memory_mib = max(self.memory_mib, answer["memory_mib"])


class SideFailed(Exception):  # noqa: N818
    """A side ended before its time; the message is the last line of its traceback."""


class Running:
    """A side's process; asleep unless asked.

    Args:
        side: what is started.
        first_argument: of its script.
        threads: of every library.
        log: file that gets its standard error.
        steps: done at once.

    Attributes:
        first: answer to these steps.

    Raises:
        SideFailed: it ended while starting, or in its first steps.
    """

    def __init__(self, side: Side, first_argument: str, threads: int, log: Path, steps: int) -> None:
        self.side, self._log = side, log
        with log.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [side.python, str(HERE / side.script), first_argument, *side.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment(threads),
            )
        self._answer()  # ready
        self.first = self.ask(steps)

    def ask(self, steps: int) -> dict[str, Any]:
        """Let it do some steps.

        Raises:
            SideFailed: it ended instead.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"steps": steps}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """No further steps are wanted."""
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            said = [line for line in self._log.read_text(encoding="utf-8").splitlines() if line.strip()]
            raise SideFailed(said[-1] if said else f"exit code {self._process.returncode}")
        return dict(json.loads(line))


def environment(threads: int) -> dict[str, str]:
    """The same number of threads in every library of every side; threads without work sleep instead of spinning.

    Tokenizers decide for themselves whether to use threads: told to do so, they hang in a data loader's workers.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE.parents[1]), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "RAYON_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
        "GOMP_SPINCOUNT": "0",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0"),
    }


def sides_of(
    work: str, ours: list[dict[str, Any]], flagembedding: str | None, workers: int, peer_version: str
) -> list[Side]:
    """The sides of a kind of work, ours first.

    Args:
        work: distillation, teacher, scoring or encoding.
        ours: further settings of ours, each a row of its own.
        flagembedding: Python that has FlagEmbedding; None: without.
        workers: of the data loader of a further row of sentence-transformers; 0: no such row.
        peer_version: of sentence-transformers.
    """
    script, name = "peer_sentence_transformers.py", f"sentence-transformers {peer_version}"
    if work == "scoring":
        return [Side("bistill", "ours.py", result="ours"), Side(name, script, result="sentence-transformers")]
    if work == "encoding":
        return [
            Side("bistill", "ours.py", result="ours"),
            Side(f"{name}, encode", script, result="encode"),
            Side(f"{name}, encode_document", script, ("--encode_document",), result="encode_document"),
        ]
    sides = [Side("bistill", "ours.py")]
    if work == "distillation":
        for changes in ours:
            label = ", ".join(f"{key}={value}" for key, value in changes.items())
            sides.append(Side(f"bistill, {label}", "ours.py", ("--options", json.dumps(changes)), comparable="none"))
    sides.append(Side(name, script))
    if workers:
        sides.append(Side(f"{name}, dataloader_num_workers={workers}", script, ("--workers", str(workers))))
    if work == "distillation":
        if flagembedding:
            sides.append(Side("FlagEmbedding", "peer_flag_embedding.py", python=flagembedding, comparable="first"))
        sides.append(Side("plain PyTorch", "naive.py"))
    return sides
