"""Command lines of runs: the same again with other options, and the evaluation of what a run made. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bistill import artifacts
from bistill.monitor.status import RunStatus

# Flags that begin anew: given again they would throw away what is to be gone on with.
BEGIN_ANEW: Final = frozenset({"restart", "force"})
EVALUATE: Final = ("-c", "from bistill.app.cli import main; main()", "evaluate")


def is_pipeline(status: RunStatus) -> bool:
    """Whether a run is a stage of ``bistill pipeline``, whose command does other stages, too."""
    return status.arguments[:1] == ["pipeline"]


def again(status: RunStatus, flags: Mapping[str, float]) -> list[str]:
    """The command of a run, to go on with it.

    Args:
        status: of the run.
        flags: options by name that are given anew, in a pipeline those of the run's section. A program of a user's own
            knows none, and is started as it was.
    """
    section = f"{status.stage}." if is_pipeline(status) else ""
    command = status.command
    if not status.takes_flags:
        return command
    for name in (*BEGIN_ANEW, *(f"{part}.{name}" for part in ("teacher", "distillation") for name in BEGIN_ANEW)):
        command = without(command, name, takes_value=False)
    for name, value in flags.items():
        command = [*without(command, section + name), f"--{section}{name}", str(value)]
    return command


def without(command: Sequence[str], name: str, *, takes_value: bool = True) -> list[str]:
    """A command line without a flag and its value, in each of the forms in which it may be given."""
    kept: list[str] = []
    skip = False
    for part in command:
        flag, equals, _ = part.partition("=")
        if skip:
            skip = False
        elif flag.startswith("--") and flag[2:].replace("-", "_") == name:
            skip = takes_value and not equals
        else:
            kept.append(part)
    return kept


def test_data(status: RunStatus) -> Path:
    """Test data of the data version on which a run was trained, of several the first."""
    root, version = str(status.options.get("data_root", "")), status.options.get("data_version", "")
    first = version[0] if isinstance(version, list) else str(version)
    return Path(status.working_folder) / root / first / artifacts.SPLIT_FILES["test"]


def evaluation_folder(status: RunStatus) -> Path:
    """Where the results of a run's student go."""
    return Path(status.working_folder) / artifacts.EVALUATION_FOLDER / status.folder.resolve().name


def evaluation(status: RunStatus) -> list[str]:
    """The command that evaluates the student of a run, with the same interpreter."""
    command = [*(status.command[:1] or [sys.executable]), *EVALUATE, "--model_path", str(status.folder.resolve())]
    command += ["--test_data", str(test_data(status)), "--output_dir", str(evaluation_folder(status))]
    return [*command, "--trust_remote_code"] if status.options.get("trust_remote_code") else command
