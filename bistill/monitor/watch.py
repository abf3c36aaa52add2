"""The monitor's loop: look at the runs, let every part act on what was found, wait."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from bistill.config import MonitorOptions
from bistill.errors import DataError, OptionError
from bistill.monitor import words
from bistill.monitor.plain import PlainLines, line, no_notice, nothing
from bistill.monitor.runs import Runs, RunView
from bistill.monitor.states import Patience

if TYPE_CHECKING:
    from bistill.monitor.commanded import Commanded
    from bistill.monitor.web.server import WebServer

# One look at the end of which every journal is read.
WHOLE_SECONDS: Final = 3600.0


class Part(Protocol):
    """What acts on the runs, once a look."""

    def act(self, views: Sequence[RunView]) -> None:
        """Act on the runs, the live ones first. The other parts wait for it, so it does not take long."""


def watch(options: MonitorOptions, command: Sequence[str] = ()) -> None:
    """Show the runs below ``options.runs`` until interrupted, or once, and look after them.

    Args:
        options: of the monitor.
        command: is started first; the monitor ends with it, and with its exit code.

    Raises:
        DataError: the folder does not exist.
        OptionError: the command cannot be started, ``--once`` stands beside one, or a notification cannot be sent.
        SystemExit: the command has ended.
    """
    root = Path(options.runs)
    if not root.is_dir() and not command:
        raise DataError("no such folder", where=f"--runs {root}", todo="train a model first, or give its folder")
    if options.once and command:
        todo = "leave out --once or the command"
        raise OptionError("one look cannot look after a command", where="--once", found=command[0], todo=todo)
    runs = Runs(root, patience=Patience(options.hang_steps, options.hang_seconds))
    if options.once:
        print("\n".join(map(line, runs.look(WHOLE_SECONDS))) or nothing(root), flush=True)
        return
    signal.signal(signal.SIGTERM, _end)
    with ExitStack() as stack:
        parts = _parts(options, stack)
        commanded = _started(command, runs)
        if options.recover:
            parts.insert(0, _supervisor(options, commanded, stack))
        code, said = _loop(runs, parts, commanded, options.interval)
    if said:  # now that the terminal has its own screen again
        _print(said)
    sys.exit(code)


def _loop(runs: Runs, parts: Sequence[Part], commanded: Commanded | None, interval: float) -> tuple[int, str]:
    """Look and act until interrupted, or until a command has ended.

    Returns:
        The command's exit code, and what it said last where it failed before any journal could tell why.
    """
    views: Sequence[RunView] = ()
    while True:
        if commanded:
            commanded.look(views)
        views = runs.look()
        for part in parts:
            part.act(views)
        if commanded and (code := commanded.exit_code(views)) is not None:
            return code, commanded.last_words() if code and not commanded.views(views) else ""
        if all(view.reading >= 1 for view in views):  # else a long journal is read on at once
            time.sleep(interval)


def _started(command: Sequence[str], runs: Runs) -> Commanded | None:
    if not command:
        return None
    from bistill.monitor.commanded import Commanded  # loaded only where there is one

    return Commanded(command, runs)


def _supervisor(options: MonitorOptions, commanded: Commanded | None, stack: ExitStack) -> Part:
    """The part that acts on runs. Where a screen is drawn, what it says stands among the events there."""
    from bistill.monitor.supervisor import Supervisor  # loaded only where it acts

    supervisor = Supervisor(options, (lambda _: None) if sys.stdout.isatty() else _print)
    stack.callback(supervisor.close)
    if commanded:
        supervisor.expect(commanded.process, commanded.child)
    return supervisor


def _parts(options: MonitorOptions, stack: ExitStack) -> list[Part]:
    """The parts of the loop; ``stack`` closes those that must be."""
    root, notice = Path(options.runs), no_notice
    parts: list[Part] = []
    if options.web:
        parts.append(server := stack.enter_context(_page(options)))
        notice = server.notice
    if not sys.stdout.isatty():
        return [*parts, PlainLines(root, notice)]
    from bistill.monitor.screen import Screen  # rich is loaded only where something is drawn

    return [*parts, stack.enter_context(Screen(root, notice=notice))]


def _page(options: MonitorOptions) -> WebServer:
    """The page, whose packages are an extra and are loaded only where it is asked for."""
    try:
        from bistill.monitor.web.server import WebServer
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "bistill"):
            raise
        what, todo = "a package of the page is not installed", "pip install 'bistill[monitor]'"
        raise OptionError(what, where="--web", found=missing, todo=todo) from None
    return WebServer(Path(options.runs), options.host, options.port)


def _print(message: str) -> None:
    print("\n".join(map(words.inert, message.splitlines())), flush=True)


def _end(number: int, _: Any) -> None:
    """End as by an exception, so that the terminal gets its own screen back."""
    sys.exit(128 + number)
