"""Looks after runs: of all parts of the monitor the only one that acts on them.

Of several monitors one acts on a run, the one that has the run's lock; the others watch. What was done stands in the
run's ``monitor.jsonl``, and nothing that matters only in memory.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bistill.errors import ArtifactError
from bistill.monitor import machine, model_folder
from bistill.monitor.care import is_same
from bistill.monitor.charge import Charge
from bistill.monitor.notifications import Notice, Notifier
from bistill.monitor.processes import Identity, named_in
from bistill.monitor.runs import RunView
from bistill.monitor.settings import Notifying, Recovery

# A run that broke off while no monitor was there is gone on with only if that was not longer ago: whoever looks at
# yesterday's runs does not want them started.
RECENT_SECONDS: Final = 3600.0


class Supervisor:
    """Acts on the runs that live, and on those that a monitor looked after.

    Args:
        recovery: what is done about runs.
        notifying: who is told.
        say: is told what happened, in words for the user; also by other threads.

    Raises:
        OptionError: a notification cannot be sent that way.
    """

    def __init__(self, recovery: Recovery, notifying: Notifying, say: Callable[[str], None]) -> None:
        self._recovery, self._say = recovery, say
        self._charges: dict[Path, Charge] = {}
        self._children: list[tuple[Identity, subprocess.Popen[bytes]]] = []
        self._said: set[str] = set()
        self._notifier = Notifier(notifying, say)

    def expect(self, process: Identity, child: subprocess.Popen[bytes]) -> None:
        """Look after the run of a process that this monitor has started, however short it lives."""
        self._children.append((process, child))

    def act(self, views: Sequence[RunView]) -> None:
        """Do what the runs' situations ask for."""
        kills = machine.memory_kills()
        there = {view.status.folder for view in views}
        for folder in self._charges.keys() - there:
            self._charges.pop(folder).close()
        for view in views:
            charge = self._charge(view)
            if charge is None or view.reading < 1.0:  # what was not read yet may be the end of the run
                continue
            try:
                charge.act(view, kills)
            except (ArtifactError, OSError) as error:
                self._say_once(f"{view.status.folder}: {error}")

    def close(self) -> None:
        """Let go of all runs, which go on, and wait a little for notices on their way."""
        for charge in self._charges.values():
            charge.close()
        self._charges.clear()
        self._notifier.close()

    def _charge(self, view: RunView) -> Charge | None:
        """The charge of a run, None where it is not to be looked after."""
        folder = view.status.folder
        process = named_in(view.status)
        if folder not in self._charges and self._is_to_be_looked_after(view, process):
            self._charges[folder] = Charge(folder, self._recovery, self._tell)
        charge = self._charges.get(folder)
        if charge is not None and (child := self._child(process)) is not None:
            charge.adopt(process, child)
            self._children = [pair for pair in self._children if pair[1] is not child]
        return charge

    def _child(self, process: Identity) -> subprocess.Popen[bytes] | None:
        return next((child for known, child in self._children if is_same(known, process)), None)

    def _is_to_be_looked_after(self, view: RunView, process: Identity) -> bool:
        if model_folder.is_copy(view.status):
            return False
        if view.process.alive:
            return view.process.ours
        restarted = bool(view.care.restarts) and view.care.restarts[-1]["time"] > view.status.updated
        known = view.care.looks_after(process) or restarted or self._child(process) is not None
        return known and time.time() - view.status.updated < RECENT_SECONDS

    def _tell(self, notice: Notice) -> None:
        self._say(f"{notice.run}: {notice.message}")
        self._notifier.send(notice)

    def _say_once(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            self._say(message)
