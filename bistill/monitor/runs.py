"""All runs below a folder, followed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bistill import artifacts
from bistill.monitor.care import Care, CareFollower
from bistill.monitor.following import JournalFollower
from bistill.monitor.gpu import GpuMemory
from bistill.monitor.processes import ProcessFacts, ProcessWatch, named_in
from bistill.monitor.settings import Patience
from bistill.monitor.states import RunState, Signs, state_of
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
        care: what monitors have done about it.
    """

    status: RunStatus
    state: RunState
    process: ProcessFacts
    reading: float
    care: Care = field(default_factory=Care)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The last records of the run that are no updates, and those of its monitors, in the order of their times."""
        return sorted([*self.status.events, *self.care.records], key=_moment)


def _moment(record: Mapping[str, Any]) -> float:
    """Time of a record; 0 where a foreign one has none."""
    seconds = record.get("time")
    return seconds if isinstance(seconds, int | float) else 0.0


@dataclass
class _Followed:
    journal: JournalFollower
    process: ProcessWatch
    care: CareFollower
    facts: ProcessFacts = field(default_factory=lambda: ProcessFacts(alive=False))


class Runs:
    """Finds and follows the journals below a folder.

    Args:
        root: the folder; it need not exist yet.
        patience: when silence counts as a hang.
    """

    def __init__(self, root: Path, *, patience: Patience | None = None) -> None:
        self.root, self._patience = root, patience or Patience()
        self._followed: dict[Path, _Followed] = {}
        self._added: set[Path] = set()
        self._gpu = GpuMemory()
        self.search()

    def add(self, journal: Path) -> None:
        """Follow a journal outside the folder, too."""
        self._added.add(journal)
        self.search()

    def search(self) -> None:
        """Have the next look search the folder for new journals."""
        self._found_at = float("-inf")

    def look(self, seconds: float = 0.1) -> list[RunView]:
        """Runs at this moment, live ones first, then the newest; journals are read on for about so long."""
        until = time.monotonic() + seconds
        if time.monotonic() - self._found_at >= FIND_INTERVAL_SECONDS:
            self._find()
        views = []
        # What was written last is read first: live runs stay current while an old journal is read in.
        for followed in sorted(self._followed.values(), key=lambda followed: -followed.journal.status.updated):
            self._advance(followed, max(until - time.monotonic(), LEAST_SECONDS))
            # One that has gone since was of a run that was refused, or is part of the journal of the model that its
            # run has replaced.
            if followed.journal.status.started and followed.journal.path.is_file():
                views.append(self._view(followed))
        return sorted(views, key=lambda view: (not view.state.live, -view.status.updated))

    def _advance(self, followed: _Followed, seconds: float) -> None:
        """Look at the process, and then read on: of one that is gone, the journal that is read is whole.

        The other way round, a process that writes its last line and ends in between would have crashed.
        """
        while True:
            before = named_in(followed.journal.status)
            followed.facts = followed.process.look(followed.journal.status)
            followed.journal.advance(seconds)
            if named_in(followed.journal.status) == before:
                return

    def _view(self, followed: _Followed) -> RunView:
        status, care, now = followed.journal.status, followed.care.look(), time.time()
        signs = signs_of(status, care, now)
        state = state_of(status, followed.facts, now, signs=signs, patience=self._patience)
        return RunView(status, state, followed.facts, followed.journal.share, care)

    def _find(self) -> None:
        self._found_at = time.monotonic()
        found = journals_below(self.root)
        known = {path.resolve() for path in found} if self._added else set()
        found |= {path for path in self._added if path.is_file() and path.resolve() not in known}
        self._followed = {path: self._followed.get(path) or self._follow(path) for path in sorted(found)}

    def _follow(self, path: Path) -> _Followed:
        return _Followed(
            JournalFollower(path), ProcessWatch(self._gpu), CareFollower(path.with_name(artifacts.MONITOR_JOURNAL))
        )


def journals_below(root: Path) -> set[Path]:
    """Journals in a folder and all those below it; links to folders are not followed, so that no circle is."""
    found = set()
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name not in NO_JOURNALS_IN and not name.startswith(".")]
        if artifacts.JOURNAL in files:
            found.add(Path(folder) / artifacts.JOURNAL)
    return found


def signs_of(status: RunStatus, care: Care, now: float) -> Signs:
    """What the files of a run's folder and the record of its monitors tell."""
    return Signs(
        saving=not status.ended and is_saving(status.folder),
        evaluating=status.ended == "finished" and care.is_evaluating(status.started),
        paused=care.paused,
        recovering=care.is_recovering(named_in(status), now),
    )


def is_saving(folder: Path) -> bool:
    """Whether a checkpoint or the model is being written into the folder of a live run."""
    checkpoints = folder / artifacts.CHECKPOINTS_FOLDER
    try:
        writing = any(path.name.startswith(artifacts.UNFINISHED_PREFIX) for path in checkpoints.iterdir())
    except OSError:
        writing = False
    return writing or (folder / artifacts.UNFINISHED_MODEL).is_dir()
