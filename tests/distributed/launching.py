"""Start a script of the tests on several processes, as torchrun does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# One thread each: processes of several threads on few cores slow each other down tenfold.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}


def command(processes: int, *script: str, restarts: int = 0) -> list[str]:
    """A command line; of one process plain Python."""
    if processes == 1:
        return [sys.executable, *script]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return [*launcher, f"--max_restarts={restarts}", *script]


def start(words: Sequence[str], **settings: Any) -> subprocess.Popen[str]:
    """Start a command, its two outputs in one pipe."""
    environment = {**os.environ, **ENVIRONMENT, **settings.pop("env", {})}
    return subprocess.Popen(
        words, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **settings
    )


def run(words: Sequence[str], *, timeout: float = 240, **settings: Any) -> tuple[int, str]:
    """Exit code and output of a command."""
    with start(words, **settings) as process:
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return process.returncode, said
