"""What workers of a crew do with shared content and with parts in the tests; they find it by its module."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import psutil

from bistill.distributed import Crew


def made(numbers: np.ndarray, factor: int) -> tuple[np.ndarray, int]:
    return numbers, factor


def chosen(tool: tuple[np.ndarray, int], place: int) -> tuple[int, bool]:
    """A shared number times a shared factor, and whether the numbers can be written."""
    numbers, factor = tool
    return int(numbers[place]) * factor, numbers.flags.writeable


def row_of(tool: None, row: int, marker: str = "") -> tuple[int, np.ndarray]:
    """A row, told of by its number; made for the first time its worker dies, where there is a marker."""
    if marker and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return row, np.full(50_000, row)


def sum_of(tool: None, part: np.ndarray) -> int:
    return int(part.sum())


def none_where_odd(tool: None, part: np.ndarray) -> None:
    if part[0] % 2:
        raise ValueError("an odd row")


def fails(tool: None, row: int) -> tuple[int, int]:
    raise ValueError(f"row {row} cannot be read")


def working(crew: Crew) -> list[psutil.Process]:
    """The processes of all workers, once they have begun."""
    until, found = time.monotonic() + 60, []
    while len(found) < crew.size:
        assert time.monotonic() < until, found
        children = psutil.Process().children(recursive=True)
        found = [child for child in children if child.name().startswith("ray::Hand")]
    return found


def kill(workers: list[psutil.Process]) -> None:
    for worker in workers:
        worker.kill()
