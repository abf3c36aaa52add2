"""Run a command that kills itself in the middle of writing a checkpoint.

Usage: ``killed_in_save.py MOMENT NUMBER COMMAND OPTIONS``. Moments: ``writing`` (half a file is written), ``before``
and ``after`` the checkpoint gets its name, ``removing`` (an older one is about to be removed). The process dies when
the moment comes for the NUMBERth time.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bistill import artifacts
from bistill.app import cli
from bistill.training.run import checkpoint


def install(moment: str, number: int) -> None:
    """Put the death into the functions that checkpoints are written with."""
    count, save_file, rename = itertools.count(1), checkpoint.save_file, Path.rename

    def dying_save_file(tensors: Any, path: Path) -> None:
        save_file(tensors, path)
        if moment == "writing" and path.name == artifacts.CHECKPOINT_OPTIMIZER and next(count) == number:
            os.truncate(path, path.stat().st_size // 2)
            die()

    def dying_rename(self: Path, target: Path) -> Path:
        dies = moment in moments(self.name, Path(target).name) and next(count) == number
        if dies and moment == "before":
            die()
        moved = rename(self, target)
        if dies:
            die()
        return moved

    checkpoint.save_file, Path.rename = dying_save_file, dying_rename  # type: ignore[method-assign]


def moments(old: str, new: str) -> Iterator[str]:
    """Which moments the change of a folder's name belongs to."""
    if old == artifacts.UNFINISHED_PREFIX + new:
        yield from ("before", "after")
    elif new == f"{artifacts.UNFINISHED_PREFIX}{old}-removed":
        yield "removing"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    install(sys.argv[1], int(sys.argv[2]))
    cli.run_command(sys.argv[3], sys.argv[4:])
