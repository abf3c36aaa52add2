"""What the files of a run's folder tell a monitor: the newest checkpoint's learning rate, the student, its results."""

from __future__ import annotations

from pathlib import Path

from bistill import artifacts
from bistill.monitor import commands
from bistill.monitor.status import RunStatus


def is_copy(status: RunStatus) -> bool:
    """Whether a journal lies elsewhere than its run writes: in a copy of the run's folder, or in one that was moved.

    It names a process that may well live, and of which it will never hear again.
    """
    written = status.options.get("output_dir")
    return isinstance(written, str) and Path(status.working_folder, written).resolve() != status.folder.resolve()


def lr_factor(folder: Path) -> float:
    """By which the learning rate of a run is multiplied, as its newest checkpoint says; 1 where none can be read."""
    newest = sorted((folder / artifacts.CHECKPOINTS_FOLDER).glob(f"{artifacts.CHECKPOINT_PREFIX}*"))[-1:]
    try:
        return float(artifacts.read_json(newest[0] / artifacts.CHECKPOINT_SCHEDULE)["lr_factor"])
    except (IndexError, KeyError, TypeError, ValueError, OSError):  # errors of bistill are ValueErrors
        return 1.0


def can_be_evaluated(status: RunStatus) -> bool:
    """Whether a student and its test data are there."""
    return (status.folder / artifacts.MODEL_RECORD).is_file() and commands.test_data(status).is_file()


def is_evaluated(status: RunStatus) -> bool:
    """Whether there are results of a student that are younger than its weights."""
    student = status.folder / artifacts.MODEL_RECORD
    own = commands.evaluation_folder(status)
    for results in (own / artifacts.EVALUATION_JSON, own.parent / artifacts.EVALUATION_JSON):
        try:
            if results.stat().st_mtime_ns < student.stat().st_mtime_ns:
                continue
            named = artifacts.read_json(results)["models"]["student"]["path"]
            if Path(status.working_folder, named).resolve() == status.folder.resolve():
                return True
        except (OSError, KeyError, TypeError, ValueError):  # errors of bistill are ValueErrors
            continue
    return False
