"""Run a command that kills itself while it writes shards.

Usage: ``killed_in_shards.py MOMENT COMMAND OPTIONS``. Moments: ``unrecorded`` (the third shard has its name, and the
record does not tell of it yet), ``unlisted`` (the manifest is about to be written).
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

from bistill import artifacts
from bistill.app import cli


def install(moment: str) -> None:
    """Put the death into the functions that files are written with."""
    count, replace, write_json = itertools.count(1), Path.replace, artifacts.write_json

    def dying_replace(self: Path, target: Path) -> Path:
        moved = replace(self, target)
        if moment == "unrecorded" and Path(target).match(artifacts.SHARD_FILES) and next(count) == 3:
            die()
        return moved

    def dying_write_json(path: Path, value: Any) -> None:
        if moment == "unlisted" and path.name == artifacts.VECTORS_RECORD:
            die()
        write_json(path, value)

    Path.replace = dying_replace  # type: ignore[method-assign]
    artifacts.write_json = dying_write_json


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    install(sys.argv[1])
    cli.run_command(sys.argv[2], sys.argv[3:])
