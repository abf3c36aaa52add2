"""What a run leaves for those who watch it: how it was started, how it ended, and its stacks when asked for them."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import platform
import shutil
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from bistill import artifacts, console, distributed, journal
from bistill.errors import BistillError, MemoryShortageError, ProcessError, TrainingError
from bistill.training.loop import memory

# Variables that decide what the same command does in another process: places, devices, threads. None holds a secret.
ENVIRONMENT: Final = (
    "BISTILL_CACHE",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTHONPATH",
    "PYTORCH_CUDA_ALLOC_CONF",
    "XDG_CACHE_HOME",
)
# The end of a traceback names the fault; a recursion has a million characters of it.
TRACEBACK_CHARACTERS: Final = 20_000
# All that a run has written and told before its data and models are there.
FIRST_FILES: Final = frozenset({artifacts.JOURNAL, artifacts.RUN_LOCK, artifacts.RUN_OWNER})
FIRST_EVENTS: Final = frozenset({"start", "data", "end"})


def this_process() -> dict[str, Any]:
    """Fields of the ``start`` line by which this process is known, and by which the same can be started again."""
    return {
        "pid": os.getpid(),
        "process_started": psutil.Process().create_time(),
        "host": platform.node(),
        "processes": distributed.processes(),
        "command": [] if in_notebook() else _command(),
        "cwd": str(Path.cwd()),
        "environment": {name: os.environ.get(name) for name in ENVIRONMENT},
    }


def _command() -> list[str]:
    """What was typed: of a run of several processes the launcher's command, which starts all of them again."""
    if distributed.here() is not None and (launcher := psutil.Process().parent()) is not None:
        with contextlib.suppress(psutil.Error):
            return launcher.cmdline()
    return [sys.executable, *sys.orig_argv[1:]]


def in_notebook() -> bool:
    """Whether a notebook or an interpreter runs this process: then no command would do the same again."""
    return "ipykernel" in sys.modules or bool(getattr(sys, "ps1", ""))


def failure(error: BaseException) -> dict[str, str]:
    """Fields of the ``end`` line of a run that an exception ended.

    Returns:
        ``error`` (the message, in the words of a command line where one runs), ``error_kind`` (``kind_of``), and of a
        fault its ``traceback``.
    """
    message = console.worded(error.message()) if isinstance(error, BistillError) else f"{type(error).__name__}: {error}"
    kind = kind_of(error)
    said = {"error": message, "error_kind": kind}
    if not isinstance(error, BistillError):
        said["traceback"] = "".join(traceback.format_exception(error))[-TRACEBACK_CHARACTERS:]
    return said


def kind_of(error: BaseException) -> str:
    """What an exception means for the run.

    Returns:
        ``out_of_memory``; ``diverged``: its loss is NaN or infinite; ``user``: options, data or models must be changed;
        ``fault``: of ours or of the machine.
    """
    reason = error.__cause__ or error if isinstance(error, ProcessError) else error
    if isinstance(error, MemoryShortageError) or memory.is_out_of_memory(reason):
        return "out_of_memory"
    if isinstance(error, TrainingError):
        return "diverged"
    if isinstance(error, ProcessError):
        return "fault"
    return "user" if isinstance(error, BistillError) else "fault"


def not_there(folder: Path) -> list[Path]:
    """A folder and those above it that do not exist yet, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


@contextmanager
def nothing_left_if_refused(made: Sequence[Path]) -> Iterator[None]:
    """Remove the folders that a run has made where its data, models or options are refused before any work: it did not
    start, so a monitor has nothing to show as failed. Rows that were set aside, and what others put there, stay.

    Args:
        made: folders that were not there before, the innermost, which is the run's, first; none: nothing is removed.
    """
    try:
        yield
    except BistillError as error:
        if made and kind_of(error) == "user" and _has_not_begun(made[0]):
            shutil.rmtree(made[0], ignore_errors=True)
            with contextlib.suppress(OSError):  # another run has begun beside it
                for folder in made[1:]:
                    folder.rmdir()
        raise


def _has_not_begun(folder: Path) -> bool:
    if not {path.name for path in folder.iterdir()} <= FIRST_FILES:
        return False
    return all(record["event"] in FIRST_EVENTS for record in journal.read(folder / artifacts.JOURNAL))


@contextmanager
def stacks_on_request(folder: Path) -> Iterator[None]:
    """Have SIGUSR1 append the stacks of all threads to a file of the folder, also while the interpreter is stuck.

    A file into which nothing was written is removed at the end. Where it cannot be made, the run goes on without.
    """
    path = folder / artifacts.STACKS_FILE
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, AttributeError):  # AttributeError: a system without such signals
            stack.callback(_remove_if_empty, path)
            file = stack.enter_context(path.open("a", encoding="utf-8"))
            faulthandler.register(signal.SIGUSR1, file=file, all_threads=True)
            stack.callback(faulthandler.unregister, signal.SIGUSR1)
        yield


def _remove_if_empty(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.stat().st_size == 0:
            path.unlink()
