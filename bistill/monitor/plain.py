"""The monitor without a terminal: a line about a run when something changed, or after a minute while it lives."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bistill.monitor import words
from bistill.monitor.runs import RunView

EVERY_SECONDS: Final = 5.0
AT_LATEST_SECONDS: Final = 60.0


def no_notice() -> str:
    """Nothing to say beside the runs."""
    return ""


class PlainLines:
    """Prints lines about runs: of a run at most one every ``EVERY_SECONDS``.

    Args:
        root: folder of the runs, named where there is none.
        notice: gives a line that is printed whenever it is another one; "" for none.
        clock: seconds of a clock that never goes back.
    """

    def __init__(
        self, root: Path, notice: Callable[[], str] = no_notice, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root, self._notice, self._clock = root, notice, clock
        self._noticed = ""
        self._said: dict[Path, tuple[str, float]] = {}

    def act(self, views: Sequence[RunView]) -> None:
        """Print what is new."""
        if (notice := self._notice()) != self._noticed:
            self._noticed = notice
            print(notice, flush=True)
        for view in views:
            self._say(view.status.folder, line(view), lives=view.state.live)
        if not views:
            self._say(self._root, nothing(self._root), lives=True)

    def _say(self, folder: Path, text: str, *, lives: bool) -> None:
        now = self._clock()
        before, at = self._said.get(folder, ("", -AT_LATEST_SECONDS))
        passed = now - at
        if (text != before and passed >= EVERY_SECONDS) or (lives and passed >= AT_LATEST_SECONDS):
            self._said[folder] = text, now
            print(text, flush=True)


def nothing(root: Path) -> str:
    """The line that says that there is no run."""
    return f"no run below {words.inert(root)} yet"


def line(view: RunView) -> str:
    """One line about a run."""
    status = view.status
    parts = [f"{words.inert(status.folder)}: {words.inert(status.stage)}, {words.state(view)}"]
    if status.total_steps:
        parts.append(f"step {status.step}/{status.total_steps}")
    if left := words.left(view):
        parts.append(f"{status.seconds_per_step:.2f} s/step, {left}")
    if figures := words.named(status.terms | status.figures):
        parts.append(figures)
    if status.error:
        parts.append(words.first_line(status.error))
    return ", ".join(parts)
