"""Processes that outlive the monitor that starts them, and what they wrote."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

TAIL_LINES: Final = 20
TAIL_BYTES: Final = 8192


def start(
    command: Sequence[str], output: Path, *, folder: str = "", environment: Mapping[str, str | None] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own: no signal to the monitor's terminal reaches it.

    Args:
        command: program and arguments.
        output: file to which everything that it says is appended.
        folder: in which it is started; "": the monitor's own.
        environment: variables beside the monitor's own; None takes one away.

    Raises:
        OSError: it cannot be started.
    """
    variables = dict(os.environ)
    for name, value in (environment or {}).items():
        if value is None:
            variables.pop(name, None)
        else:
            variables[name] = value
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("ab") as file:
        return subprocess.Popen(
            command,
            cwd=folder or None,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a file, "" where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
