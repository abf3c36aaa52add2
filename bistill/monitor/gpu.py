"""Memory that processes hold on NVIDIA GPUs, asked for now and then without waiting for the answer."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from typing import Final

QUERY: Final = ("--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
INTERVAL_SECONDS: Final = 10.0


class GpuMemory:
    """What ``nvidia-smi`` says, as of its last answer; nothing where the program is not installed."""

    def __init__(self) -> None:
        self._program = shutil.which("nvidia-smi")
        self._asked_at = float("-inf")
        self._asked: subprocess.Popen[str] | None = None
        self._mib: dict[int, float] = {}

    def mib(self, pid: int) -> float | None:
        """MiB that a process holds on all GPUs together; None where it is not known."""
        if self._program:
            self._refresh(self._program)
        return self._mib.get(pid)

    def _refresh(self, program: str) -> None:
        if self._asked is not None and self._asked.poll() is not None:
            answer, self._asked = self._asked.communicate()[0], None
            self._mib = parse(answer)
        if self._asked is None and time.monotonic() - self._asked_at >= INTERVAL_SECONDS:
            self._asked_at = time.monotonic()
            with contextlib.suppress(OSError):
                self._asked = subprocess.Popen(
                    [program, *QUERY], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )


def parse(answer: str) -> dict[int, float]:
    """MiB by process number, from lines of ``pid, MiB``; a process on several GPUs has several lines."""
    found: dict[int, float] = {}
    for line in answer.splitlines():
        pid, _, mib = line.partition(",")
        with contextlib.suppress(ValueError):  # "[N/A]" where the driver does not tell
            found[int(pid)] = found.get(int(pid), 0.0) + float(mib)
    return found
