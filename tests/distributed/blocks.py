"""What workers of a crew do in the tests; they find it by its module."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from bistill.distributed import Block, Work
from bistill.errors import ModelError


def tool() -> str:
    return f"tool of {os.getpid()}"


def no_tool() -> str:
    raise ModelError("there is no such model", where="models/teacher", todo="copy it")


def tool_of_the_second(marker: str) -> str:
    """Whoever comes first has none."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return "tool"
    raise ModelError("there is no such model")


def square(tool: str, number: float, what: str = "", marker: str = "") -> tuple[float, str, int]:
    """The square of a number, the tool and the process; before that a fault."""
    if what == "sleep":
        time.sleep(number)
    elif what == "raise":
        raise ValueError("this row cannot be read")
    elif what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what in ("die once", "stop once") and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL if what == "die once" else signal.SIGSTOP)
    elif what == "tell":
        Path(marker).write_text(str(os.getpid()))
        time.sleep(number)
    return number**2, tool, os.getpid()


def threads(_: None) -> tuple[int, str, str]:
    return torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], os.environ["RAYON_NUM_THREADS"]


SQUARES = Work(square, tool, "numbers")


def blocks(*contents: tuple[object, ...]) -> Iterator[Block]:
    for place, content in enumerate(contents):
        yield Block(f"{10 * place} to {10 * place + 9}", 10, content)


def counting(given: Iterable[Block], read: list[str]) -> Iterator[Block]:
    """The blocks, with those that were read so far."""
    for block in given:
        read.append(block.name)
        yield block
