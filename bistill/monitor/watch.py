"""The monitor's loop: look at the runs, let every part act on what was found, wait."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from bistill import console, languages
from bistill.errors import DataError, OptionError
from bistill.languages import Language
from bistill.monitor import labels, words
from bistill.monitor.keyboard import Key, Keyboard
from bistill.monitor.plain import PlainLines, line, no_notice, nothing
from bistill.monitor.runs import Runs, RunView
from bistill.monitor.settings import Notifying, Page, Patience, Recovery

if TYPE_CHECKING:
    from bistill.monitor.commanded import Commanded
    from bistill.monitor.screen import Screen
    from bistill.monitor.web.server import WebServer

# One look at the end of which every journal is read.
WHOLE_SECONDS: Final = 3600.0


class Part(Protocol):
    """What acts on the runs, once a look."""

    def act(self, views: Sequence[RunView]) -> None:
        """Act on the runs, the live ones first. The other parts wait for it, so it does not take long."""


def once(root: Path, patience: Patience = Patience()) -> None:
    """Print a line about each run below a folder.

    Args:
        root: the folder.
        patience: when silence counts as a hang.

    Raises:
        DataError: the folder does not exist.
    """
    _check(root)
    print("\n".join(map(line, Runs(root, patience=patience).look(WHOLE_SECONDS))) or nothing(root), flush=True)


def watch(
    root: Path,
    *,
    patience: Patience = Patience(),
    recovery: Recovery | None = Recovery(),
    notifying: Notifying = Notifying(),
    page: Page | None = None,
    interval: float = 1.0,
    command: Sequence[str] = (),
    language: Language | None = None,
) -> None:
    """Show the runs below a folder until interrupted or ``q`` is pressed, and look after them.

    Args:
        root: the folder.
        patience: when silence counts as a hang.
        recovery: what is done about runs; None: they are only watched.
        notifying: who is told.
        page: shows the same as a web page; None: none does.
        interval: seconds between two looks.
        command: is started first; the monitor ends with it, and with its exit code.
        language: of the screen in a terminal; None: that of its locale. Lines in a pipe are English.

    Raises:
        DataError: the folder does not exist.
        OptionError: the command cannot be started, or a notification cannot be sent.
        SystemExit: the command has ended.
    """
    if not command:
        _check(root)
    runs = Runs(root, patience=patience)
    _end_by_signals()
    with ExitStack() as stack:
        keyboard = Keyboard()
        stack.callback(keyboard.close)  # before it is opened: a signal in between must not leave the terminal changed
        keyboard.open()
        parts, screen = _parts(root, page, keyboard, stack, language)
        commanded = _started(command, runs)
        if recovery:
            parts.insert(0, _supervisor(recovery, notifying, commanded, stack))
        code, said = _loop(runs, parts, commanded, _Pauses(interval, keyboard, screen))
    if said:  # now that the terminal has its own screen again
        _print(said)
    sys.exit(code)


def _check(root: Path) -> None:
    if not root.is_dir():
        raise DataError("no such folder", where=f"`runs` {root}", todo="train a model first, or give its folder")


@dataclass(frozen=True)
class _Pauses:
    """The time between two looks, and the keys pressed in it."""

    seconds: float
    keyboard: Keyboard
    screen: Screen | None

    def wait(self, views: Sequence[RunView]) -> bool:
        """Wait for the next look; no time while a long journal is still read. True: somebody wants to leave."""
        key = self.keyboard.wait(self.seconds if all(view.reading >= 1 for view in views) else 0.0)
        if key is Key.NEXT and self.screen:
            self.screen.show_next()
        return key is Key.QUIT


def _loop(runs: Runs, parts: Sequence[Part], commanded: Commanded | None, pauses: _Pauses) -> tuple[int, str]:
    """Look and act until interrupted, until somebody leaves, or until a command has ended.

    Returns:
        The command's exit code, and what it said last where it failed before any journal could tell why; 0 and that
        the command goes on where somebody leaves.
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
        if pauses.wait(views):
            goes_on = commanded is not None and commanded.child.poll() is None
            return 0, f"the command goes on, process {commanded.process.pid}" if commanded and goes_on else ""


def _started(command: Sequence[str], runs: Runs) -> Commanded | None:
    if not command:
        return None
    from bistill.monitor.commanded import Commanded  # loaded only where there is one

    return Commanded(command, runs)


def _supervisor(recovery: Recovery, notifying: Notifying, commanded: Commanded | None, stack: ExitStack) -> Part:
    """The part that acts on runs. Where a screen is drawn, what it says stands among the events there."""
    from bistill.monitor.supervisor import Supervisor  # loaded only where it acts

    supervisor = Supervisor(recovery, notifying, (lambda _: None) if sys.stdout.isatty() else _print)
    stack.callback(supervisor.close)
    if commanded:
        supervisor.expect(commanded.process, commanded.child)
    return supervisor


def _parts(
    root: Path, page: Page | None, keyboard: Keyboard, stack: ExitStack, language: Language | None
) -> tuple[list[Part], Screen | None]:
    """The parts of the loop, and of them the screen where there is one; ``stack`` closes those that must be."""
    notice = no_notice
    parts: list[Part] = []
    if page:
        parts.append(server := stack.enter_context(_page(root, page)))
        notice = server.notice
    if not sys.stdout.isatty():
        return [*parts, PlainLines(root, notice)], None
    from bistill.monitor.screen import Screen  # rich is loaded only where something is drawn

    labels.speak(language or languages.of_locale(os.environ, sys.stdout.encoding or ""))
    screen = stack.enter_context(Screen(root, notice=notice, has_keys=keyboard.works))
    return [*parts, screen], screen


def _page(root: Path, page: Page) -> WebServer:
    """The page, whose packages are an extra and are loaded only where it is asked for."""
    try:
        from bistill.monitor.web.server import WebServer
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "bistill"):
            raise
        what, todo = "a package of the page is not installed", "pip install 'bistill[monitor]'"
        raise OptionError(what, where="`web`", found=missing, todo=todo) from None
    return WebServer(root, page.host, page.port)


def _print(message: str) -> None:
    print("\n".join(map(words.inert, console.worded(message).splitlines())), flush=True)


def _end_by_signals() -> None:
    """End in order by every signal that asks for it, but not by one that is ignored (``nohup``)."""
    for asked in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(asked) is not signal.SIG_IGN:
            signal.signal(asked, _end)


def _end(number: int, _: Any) -> None:
    """End as by an exception, so that the terminal gets its own screen back."""
    sys.exit(128 + number)
