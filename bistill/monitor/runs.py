"""All runs below a folder, followed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistill import artifacts
from bistill.monitor.following import JournalFollower
from bistill.monitor.gpu import GpuMemory
from bistill.monitor.processes import ProcessFacts, ProcessWatch
from bistill.monitor.states import Patience, Signs, State, state_of
from bistill.monitor.status import RunStatus

FIND_INTERVAL_SECONDS: Final = 2.0
# Each run's journal is read for at least this share of a second, so that a huge one does not hide the others.
LEAST_SECONDS: Final = 0.005
NO_JOURNALS_IN: Final = frozenset({artifacts.CHECKPOINTS_FOLDER, artifacts.ADAPTER_DIR, artifacts.UNFINISHED_MODEL})


@dataclass(frozen=True)
class RunView:
    """One run as it is shown.

    Attributes:
        status: its record so far; the same object each time while the journal is.
        state: in a word.
        process: the facts of its process.
        reading: share of the journal that was read so far, 0 to 1.
    """

    status: RunStatus
    state: State
    process: ProcessFacts
    reading: float


class Runs:
    """Finds and follows the journals below a folder.

    Args:
        root: the folder; it need not exist yet.
        patience: when silence counts as a hang.
        signs: what is known about a run's folder beside its journal; by default what its files tell.
    """

    def __init__(
        self,
        root: Path,
        *,
        patience: Patience | None = None,
        signs: Callable[[Path], Signs] | None = None,
    ) -> None:
        self.root, self._patience, self._signs = root, patience or Patience(), signs or signs_of
        self._followed: dict[Path, tuple[JournalFollower, ProcessWatch]] = {}
        self._added: set[Path] = set()
        self._gpu = GpuMemory()
        self._found_at = float("-inf")

    def add(self, journal: Path) -> None:
        """Follow a journal outside the folder, too."""
        self._added.add(journal)
        self._found_at = float("-inf")

    def look(self, seconds: float = 0.1) -> list[RunView]:
        """Runs at this moment, live ones first, then the newest; journals are read on for about so long."""
        until = time.monotonic() + seconds
        if time.monotonic() - self._found_at >= FIND_INTERVAL_SECONDS:
            self._find()
        views = []
        # What was written last is read first: live runs stay current while an old journal is read in.
        for follower, watch in sorted(self._followed.values(), key=lambda pair: -pair[0].status.updated):
            follower.advance(max(until - time.monotonic(), LEAST_SECONDS))
            status = follower.status
            if status.started:
                process = watch.look(status)
                state = state_of(
                    status, process, time.time(), signs=self._signs(status.folder), patience=self._patience
                )
                views.append(RunView(status, state, process, follower.share))
        return sorted(views, key=lambda view: (not view.state.live, -view.status.updated))

    def _find(self) -> None:
        self._found_at = time.monotonic()
        found = journals_below(self.root) | {path for path in self._added if path.is_file()}
        kept = {path: pair for path, pair in self._followed.items() if path in found}
        new = found - kept.keys()
        self._followed = kept | {path: (JournalFollower(path), ProcessWatch(self._gpu)) for path in sorted(new)}


def journals_below(root: Path) -> set[Path]:
    """Journals in a folder and all those below it; links to folders are not followed, so that no circle is."""
    found = set()
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in NO_JOURNALS_IN and not name.startswith(".")]
        if artifacts.JOURNAL in files:
            found.add(Path(folder) / artifacts.JOURNAL)
    return found


def signs_of(folder: Path) -> Signs:
    """What the files of a run's folder tell: whether a checkpoint or the model is being written."""
    checkpoints = folder / artifacts.CHECKPOINTS_FOLDER
    try:
        writing = any(path.name.startswith(artifacts.UNFINISHED_PREFIX) for path in checkpoints.iterdir())
    except OSError:
        writing = False
    return Signs(saving=writing or (folder / artifacts.UNFINISHED_MODEL).is_dir())
