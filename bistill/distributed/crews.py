"""A crew: workers of a Ray cluster that do blocks of work for this process, the **driver**.

Ray starts the workers, carries blocks and results, and tells of a process that died. What is decided here is what it
leaves open: a worker that answers nothing is ended and replaced (``ray.get`` would wait for it for ever), a block is
tried a few times and then set aside, so that one that kills its worker stops nothing else, and a result is given out
once. Two blocks of each worker are on their way at most, so that memory does not grow with the work.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, NoReturn

from bistill import console
from bistill.distributed.blocks import Block, Done, Work
from bistill.distributed.joining import here
from bistill.distributed.shift import Shift
from bistill.distributed.workers import Worker
from bistill.errors import OptionError, ProcessError, Told

LOCAL: Final = "local"
# Seconds in which a cluster must answer.
REACHED: Final = 20.0

_crew: Crew | None = None


class Crew:
    """Workers of a cluster: one for each GPU, or where there is none for each group of ``threads`` processors.

    Args:
        address: "local": this machine alone; "auto": the cluster that this machine belongs to; or that of one.
        threads: processors of a worker, which is how many threads it computes with.

    Attributes:
        threads: as above.
        size: workers.
        repeated: rows of blocks that were begun again.

    Raises:
        OptionError: Ray is not installed, or the cluster has no room for a worker.
        ProcessError: there is no such cluster.
    """

    def __init__(self, address: str, threads: int = 1) -> None:
        self.threads, self.repeated = threads, 0
        _join(address)
        gpus, self.size = _room(threads)
        self._hire = partial(Worker, threads, gpus)
        self._workers: list[Worker | None] = [None] * self.size
        each = console.counted(threads, "thread") + (" and a GPU" if gpus else "")
        console.say(f"ray ({address}): {console.counted(self.size, 'worker')} of {each}")

    def each(self, work: Work, blocks: Iterable[Block], *, in_order: bool = False) -> Generator[Done, None, None]:
        """What became of each block, as soon as it is known; with ``in_order`` in the order of the blocks.

        A block is read when a worker is free for it. Who stops early ends the workers that are still at work.

        Raises:
            ProcessError: no worker can do the work, they die one after the other, or the first blocks all fail.
        """
        workers: list[Worker | None] = [worker or self._hire() for worker in self._workers]
        shift = Shift(work, blocks, workers, self._hire, in_order=in_order)
        try:
            yield from shift.run()
        finally:
            self.repeated += shift.repeated
            self._workers = [_freed(worker) for worker in shift.workers]

    def close(self) -> None:
        """Leave the cluster; the workers end."""
        import ray

        ray.shutdown()


def crew() -> Crew | None:
    """The crew that works for this process; None: it works alone."""
    return _crew


@contextmanager
def hired(address: str | None, threads: int = 1) -> Iterator[None]:
    """Context in which a crew works for this process; with None it works alone.

    Raises:
        OptionError, ProcessError: as ``Crew``.
    """
    global _crew
    if address is None:
        yield
        return
    if here() is not None:
        raise OptionError(
            "processes of a launcher and workers of Ray are two ways of sharing the work",
            where="`ray`",
            found=address,
            todo="start the command without torchrun, or without `ray`",
        )
    _crew = Crew(address, threads)
    try:
        with _terminable():
            yield
    finally:
        _crew.close()
        _crew = None


@contextmanager
def _terminable() -> Iterator[None]:
    """Context in which SIGTERM ends the process in order: Ray's own handler prints a stack and aborts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told: list[int] = []

    def interrupt(number: int, _frame: object) -> NoReturn:
        told.append(number)
        raise KeyboardInterrupt  # which Ray lets through as it is; of SystemExit it makes another one

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        if not told:
            raise
        console.say("stopped by SIGTERM; the same command goes on")
        sys.exit(128 + told[0])
    finally:
        signal.signal(signal.SIGTERM, before if callable(before) else signal.SIG_DFL)


def _freed(worker: Worker | None) -> Worker | None:
    """A worker for further work; one that is at work is ended."""
    if worker is not None and worker.flights:
        worker.end()
        return None
    return worker


def _join(address: str) -> None:
    """Start or enter a cluster, quietly."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise OptionError(
            "Ray is not installed", where="`ray`", found=address, todo="pip install 'bistill[ray]'"
        ) from None
    # What Ray tells of a lost worker it prints where a command prints its results; it is told by ours.
    ray._private.worker._worker_logs_enabled = False
    settings: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
    try:
        _reach(address)
        local = {"include_dashboard": False} if address == LOCAL else {}
        ray.init(address=address, **local, **settings)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        with suppress(Exception):
            ray.shutdown()
        raise ProcessError(
            "there is no cluster of Ray that can be entered",
            where=address,
            found=Told(str(error).splitlines()[0]),
            todo=f"start one with `ray start --head`, or give {LOCAL}",
        ) from None


def _reach(address: str) -> None:
    """Raise OSError where nobody answers at host:port: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=REACHED).close()


def _room(threads: int) -> tuple[int, int]:
    """GPUs of a worker, and how many workers the cluster has room for.

    Raises:
        OptionError: none.
    """
    import ray

    has = ray.cluster_resources()
    processors, gpus = int(has.get("CPU", 0)), int(has.get("GPU", 0))
    size = min(gpus or processors, processors // threads)
    if size < 1:
        raise OptionError(
            "the cluster has too few processors for a worker",
            where="`ray_threads`",
            found=Told(f"{threads} wanted, {processors} there"),
        )
    return int(gpus > 0), size
