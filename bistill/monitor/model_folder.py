"""What the files of a run's folder tell a monitor: the newest checkpoint's learning rate, the student, its results."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from bistill import artifacts
from bistill.models.files import folder as model_folder
from bistill.monitor import commands
from bistill.monitor.status import RunStatus


def is_copy(status: RunStatus) -> bool:
    """Whether a journal lies elsewhere than its run writes: in a copy of the run's folder, or in one that was moved.

    It names a process that may well live, and of which it will never hear again.
    """
    written = status.options.get("output_dir")
    own = {status.folder.resolve()}
    if status.folder.name == artifacts.REPLACEMENT_FOLDER:  # a run that is at work beside a finished model
        own.add(status.folder.resolve().parent)
    try:
        return isinstance(written, str) and Path(status.working_folder, written).resolve() not in own
    except (OSError, ValueError):  # a name that this system, or its locale, cannot have
        return True


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
    """Whether there are results of the student's weights as they are now, on its test data as they are now."""
    own = commands.evaluation_folder(status)
    for results in (own / artifacts.EVALUATION_JSON, own.parent / artifacts.EVALUATION_JSON):
        try:
            if _are_of(artifacts.read_json(results), results, status):
                return True
        except (OSError, KeyError, TypeError, ValueError):  # errors of bistill are ValueErrors
            continue
    return False


def report(status: RunStatus) -> Path | None:
    """The page of the evaluation of a run's student; None where there is none."""
    own = commands.evaluation_folder(status)
    for folder in (own, own.parent):  # where a monitor and where ``bistill pipeline`` writes
        page, results = folder / artifacts.EVALUATION_PAGE, folder / artifacts.EVALUATION_JSON
        try:
            student = _student_of(results, _version(results))
            if page.is_file() and Path(status.working_folder, student).resolve() == status.folder.resolve():
                return page
        except (OSError, KeyError, TypeError, ValueError):  # errors of bistill are ValueErrors
            continue
    return None


def _are_of(report: dict[str, Any], results: Path, status: RunStatus) -> bool:
    """Whether a report is of a run's student. One of an earlier version names no weights: then it must be younger."""
    student, test = report["models"]["student"], report["data"]["test"]
    if Path(status.working_folder, student["path"]).resolve() != status.folder.resolve():
        return False
    if "weights" not in student:
        return results.stat().st_mtime_ns >= (status.folder / artifacts.MODEL_RECORD).stat().st_mtime_ns
    data = commands.test_data(status)
    same_test = not data.is_file() or test["sha256"] == _file_sha256(data, _version(data))
    weights = model_folder.weights(status.folder)
    return bool(same_test and student["weights"] == _weights(status.folder, tuple(_version(path) for path in weights)))


def _version(path: Path) -> tuple[str, int, int, int, int]:
    """Changes whenever a file does."""
    found = path.stat()
    return path.name, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache(maxsize=64)
def _file_sha256(path: Path, _version: Any) -> str:
    """Counted once for a version of a file: the monitor asks at every look."""
    return artifacts.sha256_of_file(path)


@lru_cache(maxsize=64)
def _student_of(results: Path, _version: Any) -> str:
    return str(artifacts.read_json(results)["models"]["student"]["path"])


@lru_cache(maxsize=64)
def _weights(folder: Path, _versions: Any) -> str:
    return model_folder.weights_fingerprint(folder)
