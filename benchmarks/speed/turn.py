"""The child's half of taking turns: a side does steps when it is told to, times each, and sleeps in between.

The driver writes one JSON line with ``steps`` to standard input; the side answers with one line when they are done.
Whatever libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

import torch


class Turns:
    """Commands from the driver, clock, and answers."""

    def __init__(self) -> None:
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._left, self._asked, self._started = 0, False, 0.0
        self._seconds: list[float] = []
        self._losses: list[Any] = []
        self._facts: dict[str, list[float]] = {}

    def ready(self) -> None:
        """Say that model and data are loaded."""
        self._answer({"ready": True})

    def wait(self) -> None:
        """Sleep until a step is wanted; ends the process when no further one will be."""
        if self._left == 0:
            self._report()
            line = sys.stdin.readline()
            if not line:
                sys.exit(0)
            self._left, self._asked = int(json.loads(line)["steps"]), True

    def start(self) -> None:
        """Start the clock of a step."""
        _synchronize()
        self._started = time.perf_counter()

    def begin(self) -> None:
        """Wait, then start the clock."""
        self.wait()
        self.start()

    def done(self, loss: Any = None, **facts: float) -> None:
        """Stop the clock of a step.

        Args:
            loss: a number or a tensor of one, read only when the turn is over.
            facts: further numbers of the step, such as ``tokens``.
        """
        _synchronize()
        self._seconds.append(time.perf_counter() - self._started)
        self._losses.append(loss)
        for name, value in facts.items():
            self._facts.setdefault(name, []).append(value)
        self._left -= 1

    def _report(self) -> None:
        if not self._asked:
            return
        losses = [None if loss is None else float(loss) for loss in self._losses]
        self._answer({"seconds": self._seconds, "losses": losses, "memory_mib": _peak_mib(), **self._facts})
        self._seconds, self._losses, self._facts = [], [], {}

    def _answer(self, message: dict[str, Any]) -> None:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # all sides lie in the memory of one GPU; what sleeps holds its state alone
        self._answers.write(json.dumps(message) + "\n")
        self._answers.flush()


def workload() -> dict[str, Any]:
    """What the driver wrote for all sides; its path is the first argument."""
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123
        return dict(json.load(file))


def attention() -> dict[str, str]:
    """The fastest attention that is installed, as transformers names it: argument of ``from_pretrained``."""
    if not torch.cuda.is_available():
        return {}
    try:
        import flash_attn  # noqa: F401
    except ImportError:
        return {"attn_implementation": "sdpa"}
    return {"attn_implementation": "flash_attention_2"}


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _peak_mib() -> int:
    """Highest memory of the process so far: of a GPU what torch allocated there, of a CPU the resident set."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() >> 20)
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
