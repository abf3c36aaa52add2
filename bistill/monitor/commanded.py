"""A command that the monitor starts itself and watches: ``bistill monitor -- COMMAND ...``."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from bistill import artifacts, cache_folder
from bistill.errors import ArtifactError, OptionError
from bistill.monitor import launching
from bistill.monitor.care import is_same
from bistill.monitor.processes import Identity, identity_of_child, named_in
from bistill.monitor.runs import Runs, RunView
from bistill.monitor.states import RunState

# After a run's end its monitor may start it again or evaluate it: for so many looks nothing must happen.
QUIET_LOOKS: Final = 3
EXIT_CODES: Final = {RunState.FINISHED: 0, RunState.STOPPED: 143}


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
        self.output = _output_file()
        try:
            self.child: subprocess.Popen[bytes] = launching.start(command, self.output)
        except (OSError, ValueError) as error:
            raise OptionError(
                f"the command cannot be started ({error})", where="--", found=" ".join(command), todo="check its name"
            ) from None
        self.process = identity_of_child(self.child.pid)
        self._journals: set[Path] = set()
        self._quiet_looks = 0

    def look(self, views: Sequence[RunView] = ()) -> None:
        """Follow the journals that the command has open, or what was started in its place.

        Args:
            views: of all runs at this moment.
        """
        starts = [self.process, *(view.care.process for view in self.views(views) if view.care.process)]
        for process in (process for start in starts for process in _with_children(start)):
            for path in _journals_of(process) - self._journals:
                self._journals.add(path)
                self._runs.add(path)

    def views(self, views: Sequence[RunView]) -> list[RunView]:
        """Of all runs those of the command; of one that was too short to be seen at work, its record tells."""
        for view in views:
            if is_same(named_in(view.status), self.process):
                self._journals.add(view.status.folder.resolve() / artifacts.JOURNAL)
        own = {path.parent for path in self._journals}
        return [view for view in views if view.status.folder.resolve() in own]

    def last_words(self) -> str:
        """The last lines of what the command printed, and where all of it stands."""
        return f"{launching.tail(self.output)}\n(all output: {self.output})"

    def exit_code(self, views: Sequence[RunView]) -> int | None:
        """The run's exit code once the command and everything that follows from it are over; None before.

        Args:
            views: of all runs at this moment.
        """
        own = self.views(views)
        over = self.child.poll() is not None and not any(_goes_on(view) for view in own)
        self._quiet_looks = self._quiet_looks + 1 if over else 0
        if self._quiet_looks == 1:
            self._runs.search()
        if self._quiet_looks < QUIET_LOOKS:
            return None
        if any(view.care.restarts for view in own):  # others have taken the command's place
            newest = max(own, key=lambda view: view.status.updated)
            return EXIT_CODES.get(newest.state, 2 if newest.status.error_kind == "user" else 1)
        code = self.child.returncode
        return 128 - code if code < 0 else code


def _goes_on(view: RunView) -> bool:
    return view.state.live or (view.care.process is not None and view.care.process.is_alive())


def _output_file() -> Path:
    """Where everything goes that the command says: in the cache, or where that cannot be written, among the system's
    temporary files."""
    try:
        folder = cache_folder.cache_dir() / artifacts.COMMANDS_FOLDER
        cache_folder.check_cache(folder)
    except ArtifactError:
        folder = Path(tempfile.mkdtemp(prefix="bistill-"))
    return folder / f"{time.strftime('%Y%m%d-%H%M%S')}.txt"


def _with_children(process: Identity) -> list[psutil.Process]:
    found = process.find()
    try:
        return [found, *found.children(recursive=True)] if found else []
    except psutil.Error:
        return []


def _journals_of(process: psutil.Process) -> set[Path]:
    """Journals that a process writes, and those in whose place they will be once its model is whole."""
    try:
        found = {Path(file.path) for file in process.open_files() if Path(file.path).name == artifacts.JOURNAL}
    except psutil.Error:
        return set()
    inside = {path for path in found if path.parent.name == artifacts.REPLACEMENT_FOLDER}
    return found | {path.parent.with_name(artifacts.JOURNAL) for path in inside}
