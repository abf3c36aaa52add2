"""The command that comes after one that has ended, spelled out with its flags."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

from bistill import console
from bistill.app.config import DataOptions, TeacherOptions

# Scripts of the repository's root by command: who called one of them is told the next one.
SCRIPTS: Final = {
    "teacher": "train_teacher_model.py",
    "distill": "train_distillation_pipeline.py",
    "evaluate": "evaluate_final_model.py",
    "monitor": "realtime_monitor.py",
}


def command(name: str, **flags: str | tuple[str, ...] | bool) -> str:
    """A command line of bistill as this process was started: by a script of the root, or as ``bistill NAME``.

    Args:
        name: of the command.
        flags: values by name of flag, or several; True: a switch; False: left out.
    """
    by_script = Path(sys.argv[0]).name in SCRIPTS.values() and name in SCRIPTS
    words = ["python", SCRIPTS[name]] if by_script else ["bistill", name]
    for flag, value in flags.items():
        if value is not False:
            words += [f"--{flag}", *([] if value is True else [value] if isinstance(value, str) else value)]
    return shlex.join(words)


def said_again(options: TeacherOptions) -> dict[str, str | tuple[str, ...] | bool]:
    """Flags of a teacher's data that its student's command needs, too, where they are not the default."""
    flags: dict[str, str | tuple[str, ...] | bool] = {"data_version": options.data_version}
    if options.data_root != DataOptions().data_root:
        flags["data_root"] = options.data_root
    if options.on_bad_rows != DataOptions().on_bad_rows:
        flags["on_bad_rows"] = options.on_bad_rows
    if options.balance != TeacherOptions().balance:
        flags["balance"] = options.balance
    return flags | {"trust_remote_code": options.trust_remote_code}


def say_next(name: str, **flags: str | tuple[str, ...] | bool) -> None:
    """Say it, as the last line of a command."""
    console.say(f"next: {command(name, **flags)}")
