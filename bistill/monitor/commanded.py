"""A command that the monitor starts itself and watches: ``bistill monitor -- COMMAND ...``."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from bistill import artifacts
from bistill.errors import OptionError
from bistill.monitor import launching
from bistill.monitor.processes import Identity, identity_of
from bistill.monitor.runs import Runs, RunView
from bistill.monitor.states import State

# After a run's end the monitor may still start its evaluation: so long nothing must happen before it is over.
SETTLED_SECONDS: Final = 2.0
EXIT_CODES: Final = {State.FINISHED: 0, State.EVALUATING: 0, State.STOPPED: 143}
FAILED_CODE: Final = 1


class Commanded:
    """The command, its process and the runs that belong to it.

    Args:
        command: program and arguments.
        runs: are told of journals that the command writes, wherever they are.

    Raises:
        OptionError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], runs: Runs) -> None:
        self._runs = runs
        self.output = artifacts.cache_dir() / artifacts.COMMANDS_FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}.txt"
        try:
            self.child: subprocess.Popen[bytes] = launching.start(command, self.output)
        except (OSError, ValueError) as error:
            raise OptionError(
                f"the command cannot be started ({error})", where="--", found=" ".join(command), todo="check its name"
            ) from None
        self.process = identity_of(self.child.pid) or Identity(self.child.pid, 0.0)
        self._journals: set[Path] = set()
        self._quiet_since: float | None = None

    def look(self) -> None:
        """Find the journals that the command has open, and follow them."""
        for process in self._processes():
            try:
                names = [file.path for file in process.open_files()]
            except psutil.Error:
                continue
            for path in (Path(name) for name in names if Path(name).name == artifacts.JOURNAL):
                if path not in self._journals:
                    self._journals.add(path)
                    self._runs.add(path)

    def views(self, views: Sequence[RunView]) -> list[RunView]:
        """Of all runs those of the command."""
        own = {path.parent for path in self._journals}
        return [view for view in views if view.status.folder.resolve() in own]

    def exit_code(self, views: Sequence[RunView]) -> int | None:
        """The run's exit code once the command and everything that follows from it are over; None before.

        Args:
            views: of all runs at this moment.
        """
        own = self.views(views)
        if self.child.poll() is None or any(_goes_on(view) for view in own):
            self._quiet_since = None
            return None
        self._quiet_since = self._quiet_since or time.monotonic()
        if own and time.monotonic() - self._quiet_since < SETTLED_SECONDS:
            return None
        code = self.child.returncode
        if own and any(view.care.restarts for view in own):  # others have taken the command's place
            newest = max(own, key=lambda view: view.status.updated)
            return EXIT_CODES.get(newest.state, FAILED_CODE)
        return 128 - code if code < 0 else code

    def _processes(self) -> list[psutil.Process]:
        found = self.process.find()
        try:
            return [found, *found.children(recursive=True)] if found else []
        except psutil.Error:
            return []


def _goes_on(view: RunView) -> bool:
    """Whether a run is at work, or its monitors are about to do something about it."""
    if view.state.live:
        return True
    return view.state is State.CRASHED and bool(view.care.process) and not view.care.given_up
