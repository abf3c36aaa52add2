"""What a machine tells about memory and disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from typing import Final

from bistill.monitor.processes import Identity

COUNTERS: Final = (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory.events"))


def memory_kills() -> int:
    """How many processes the system has killed for memory since it was started, as far as it tells."""
    return sum(count(path) for path in COUNTERS)


def count(path: Path) -> int:
    """The number of the line ``oom_kill NUMBER`` of a file; 0 where there is none."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text(encoding="ascii").splitlines():
            name, _, number = line.partition(" ")
            if name == "oom_kill":
                return int(number)
    return 0


class KillsForMemory:
    """Whether the system has killed a process for memory about when a run ended.

    It counts a kill before the process is gone, so a look between the two finds the run alive and the count raised:
    what counts is the number at the last but one look that found the run alive, where there were two.
    """

    def __init__(self) -> None:
        self._process: Identity | None = None
        self._before = self._last = 0

    def alive(self, process: Identity | None, kills: int) -> None:
        """Note a look that found the run's process alive, and how many kills there had been."""
        self._before = self._last if process == self._process else kills
        self._process, self._last = process, kills

    def since_alive(self, kills: int) -> bool:
        """Whether there are more kills than then; never for a run that was not seen alive."""
        return self._process is not None and kills > self._before


def free_bytes(folder: Path) -> int | None:
    """Room on the disk of a folder; None where that cannot be found out."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


class FileLock:
    """A lock that dies with the process, whatever happens to that.

    Args:
        path: the file; it is made where it is missing, and stays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Take the lock, unless another process holds it or the file system has no locks; True also if held already."""
        if self._handle is None:
            with contextlib.suppress(OSError):
                handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._handle = handle
                except OSError:
                    os.close(handle)
        return self._handle is not None

    def release(self) -> None:
        """Give it back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def is_locked(path: Path) -> bool:
    """Whether another process holds the lock of a file."""
    if not path.exists():
        return False
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False
