"""The driver's half of taking turns: which processes there are, and how one is started, asked and ended."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from processes import environment, last_line

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
            raise SideFailed(last_line(self._log, self._process.returncode))
        return dict(json.loads(line))


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
