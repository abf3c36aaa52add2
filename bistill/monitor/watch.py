"""The monitor's loop: look at the runs, let every part act on what was found, wait."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Protocol

from bistill.config import MonitorOptions
from bistill.errors import DataError
from bistill.monitor.plain import PlainLines, line, no_notice, nothing
from bistill.monitor.runs import Runs, RunView

# One look at the end of which every journal is read.
WHOLE_SECONDS: Final = 3600.0


class Part(Protocol):
    """What acts on the runs, once a look."""

    def act(self, views: Sequence[RunView]) -> None:
        """Act on the runs, the live ones first. The other parts wait for it, so it does not take long."""


def watch(options: MonitorOptions) -> None:
    """Show the runs below ``options.runs`` until interrupted, or once.

    Raises:
        DataError: the folder does not exist.
    """
    root = Path(options.runs)
    if not root.is_dir():
        raise DataError("no such folder", where=f"--runs {root}", todo="train a model first, or give its folder")
    runs = Runs(root)
    if options.once:
        print("\n".join(map(line, runs.look(WHOLE_SECONDS))) or nothing(root), flush=True)
        return
    signal.signal(signal.SIGTERM, _end)
    with ExitStack() as stack:
        parts = _parts(options, stack)
        while True:
            views = runs.look()
            for part in parts:
                part.act(views)
            time.sleep(options.interval)


def _parts(options: MonitorOptions, stack: ExitStack) -> list[Part]:
    """The parts of the loop; ``stack`` closes those that must be."""
    root, notice = Path(options.runs), no_notice
    parts: list[Part] = []
    if options.web:
        from bistill.monitor.web.server import WebServer  # the server is loaded only where it is asked for

        parts.append(server := stack.enter_context(WebServer(root, options.host, options.port)))
        notice = server.notice
    if not sys.stdout.isatty():
        return [*parts, PlainLines(root, notice)]
    from bistill.monitor.screen import Screen  # rich is loaded only where something is drawn

    return [*parts, stack.enter_context(Screen(root, notice=notice))]


def _end(number: int, _: Any) -> None:
    """End as by an exception, so that the terminal gets its own screen back."""
    sys.exit(128 + number)
