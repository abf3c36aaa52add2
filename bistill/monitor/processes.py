"""Processes, known by more than their number: a stranger that got the number of an ended run is never taken for it."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from bistill.monitor.gpu import GpuMemory
from bistill.monitor.status import RunStatus

# Creation times are counted from the time of boot, which moves a little when the clock is set. A number comes again
# only after all others, so that within this time no second process has it.
CREATION_TOLERANCE_SECONDS: Final = 1.0
# A process that waits still uses a little time in its helper threads: less than this share of a core is idle.
IDLE_SHARE: Final = 0.02
IDLE_WINDOW_SECONDS: Final = 1.0
# The thread of a handle instead of its process; a process's handle is that of its main thread (linux/pidfd.h).
PIDFD_SIGNAL_THREAD: Final = 1


class Identity(NamedTuple):
    """Number and creation time (seconds since the epoch) of a process."""

    pid: int
    created: float

    def is_alive(self) -> bool:
        """Whether this very process runs; one that has ended and was not waited for does not."""
        return self.find() is not None

    def find(self) -> psutil.Process | None:
        """The process, None where it has ended."""
        if self.pid <= 0:  # to a system call these mean groups of processes
            return None
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) <= CREATION_TOLERANCE_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, ValueError, OverflowError):
            return None

    def send(self, number: signal.Signals, *, to_main_thread: bool = False) -> bool:
        """Send a signal to this very process.

        The process is held by a pidfd before its creation time is compared, so that it cannot be exchanged in
        between. Where the system has none, it is compared right before.

        Args:
            number: the signal.
            to_main_thread: have the main thread take it, where the system can (Linux from 6.9 on); else any may.

        Returns:
            Whether it was sent: False where the process has ended or is not ours to signal.
        """
        with contextlib.suppress(OSError, OverflowError):
            if (handle := _pidfd(self.pid)) is None:
                if self.is_alive():
                    os.kill(self.pid, number)
                    return True
                return False
            try:
                if self.is_alive():
                    _send_by_handle(handle, number, to_main_thread)
                    return True
            finally:
                os.close(handle)
        return False

    def catches(self, number: signal.Signals) -> bool:
        """Whether the process handles a signal by a function of its own; False where that is not known."""
        with contextlib.suppress(OSError, ValueError):
            for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (number - 1) & 1)
        return False


def identity_of(pid: int) -> Identity | None:
    """Identity of the process that has a number now, None where there is none."""
    try:
        return Identity(pid, psutil.Process(pid).create_time())
    except (psutil.Error, ValueError):
        return None


def identity_of_child(pid: int) -> Identity:
    """Identity of a process that was just started; with a creation time that no process has where it ended at once."""
    return identity_of(pid) or Identity(pid, 0.0)


def named_in(status: RunStatus) -> Identity:
    """The process that a run's record names, as it names it; see ``ProcessWatch`` for records without a time."""
    return Identity(status.pid, status.process_started)


@dataclass(frozen=True)
class ProcessFacts:
    """A process at one moment.

    Attributes:
        alive: whether it runs or is stopped.
        stopped: whether it stands still by a signal.
        cpu_seconds: computing time of all its threads so far.
        resident_mib: memory that it holds.
        gpu_mib: memory of GPUs that it holds; None where that is not known.
        idle_seconds: for how long it has computed next to nothing.
        ours: whether it is a process of this machine that may be signalled: its creation time is known and the same.
    """

    alive: bool
    stopped: bool = False
    cpu_seconds: float = 0.0
    resident_mib: float = 0.0
    gpu_mib: float | None = None
    idle_seconds: float = 0.0
    ours: bool = False


class ProcessWatch:
    """Facts about the process of one run, look by look.

    Args:
        gpu: what processes hold on GPUs.
    """

    def __init__(self, gpu: GpuMemory) -> None:
        self._gpu = gpu
        self._identity: Identity | None = None
        self._busy_at = self._window_at = self._window_cpu = 0.0

    def look(self, status: RunStatus) -> ProcessFacts:
        """Facts at this moment."""
        if status.host not in ("", platform.node()):  # seen over a shared disk: what it writes is all that is known
            return ProcessFacts(alive=not status.ended)
        identity = _identity_in(status)
        process = identity.find() if identity else None
        if identity is None or process is None:
            return ProcessFacts(alive=False)
        try:
            with process.oneshot():
                times = process.cpu_times()
                cpu = times.user + times.system
                stopped = process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
                resident = process.memory_info().rss / (1 << 20)
        except psutil.Error:
            return ProcessFacts(alive=False)
        idle, known = self.idle(identity, cpu), status.process_started > 0
        return ProcessFacts(True, stopped, cpu, resident, self._gpu.mib(identity.pid), idle, known)

    def idle(self, identity: Identity, cpu: float) -> float:
        """Seconds for which a process has hardly computed, by its seconds of CPU at this look and at those before."""
        now = time.monotonic()
        if identity != self._identity:
            self._identity, self._busy_at, self._window_at, self._window_cpu = identity, now, now, cpu
        elapsed = now - self._window_at
        if elapsed >= IDLE_WINDOW_SECONDS:
            if cpu - self._window_cpu >= IDLE_SHARE * elapsed:
                self._busy_at = now
            self._window_at, self._window_cpu = now, cpu
        return now - self._busy_at


def _identity_in(status: RunStatus) -> Identity | None:
    """The process that a run's record names; of records without a creation time, one not younger than the run."""
    if status.process_started > 0:
        return named_in(status)
    found = identity_of(status.pid) if status.pid > 0 else None
    return found if found and found.created <= status.started + CREATION_TOLERANCE_SECONDS else None


def _send_by_handle(handle: int, number: signal.Signals, to_main_thread: bool) -> None:
    if to_main_thread:
        try:
            signal.pidfd_send_signal(handle, number, None, PIDFD_SIGNAL_THREAD)
            return
        except OSError as error:
            if error.errno != errno.EINVAL:  # an older kernel, which knows of no such flag
                raise
    signal.pidfd_send_signal(handle, number)


def _pidfd(pid: int) -> int | None:
    """A handle of the process that has a number now; None where the system has no such handles."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:  # an old kernel, or one that forbids them
        return None
