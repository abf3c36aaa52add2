"""What a user sees while something runs: messages, tables and progress with rate and remaining time.

With a terminal on standard error a live bar is drawn; without one a plain line appears every few seconds. Results go
to standard output, everything about the way there to standard error.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_INTERVAL_SECONDS = 5.0
# What a shell shows of a program that wrote to a closed pipe: 128 and the number of SIGPIPE.
EXIT_CLOSED_PIPE: Final = 141
# Ways of Python to raise an error for a character that a console cannot show.
RAISING: Final = frozenset({"strict", "surrogateescape"})


_said: set[str] = set()
_worded: Callable[[str], str] = str


class Advance(Protocol):
    """Report that ``count`` more units are done; ``note`` is shown beside the progress."""

    def __call__(self, count: int, note: str = "", /) -> None: ...  # noqa: D102


@contextmanager
def usable() -> Iterator[None]:
    """Context of a whole command, in which no console and no closed pipe ends it with a traceback.

    A character that the encoding of standard output or error lacks (an emoji in cp949, Hangul in ASCII) is written as
    "?", unless the user has chosen another way by PYTHONIOENCODING. A reader who closes the pipe (``| head``) ends the
    command without a word.

    Raises:
        SystemExit: 141, where standard output or error is a closed pipe.
    """
    for stream in _streams():
        if isinstance(stream, io.TextIOWrapper) and stream.errors in RAISING:
            stream.reconfigure(errors="replace")
    try:
        try:
            yield
        finally:  # what is still buffered would meet the closed pipe when the interpreter ends
            for stream in _streams():
                stream.flush()
    except BrokenPipeError:
        closed = [stream for stream in _streams() if _is_closed_pipe(stream)]
        if not closed:  # another pipe than ours
            raise
        for stream in closed:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
        sys.exit(EXIT_CLOSED_PIPE)


def _streams() -> list[TextIO]:
    """Standard output and error, where there are any: a process without a console may have none."""
    return [stream for stream in (sys.stdout, sys.stderr) if stream is not None and not stream.closed]


def _is_closed_pipe(stream: TextIO) -> bool:
    with contextlib.suppress(OSError, ValueError):  # ValueError: it has no file
        poll = select.poll()
        poll.register(stream.fileno(), 0)  # errors are told unasked
        return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))
    return False


def say(message: str) -> None:
    """Print one message about the run to standard error."""
    print(_worded(message), file=sys.stderr, flush=True)


def worded(message: str) -> str:
    """The message as ``wording`` has it said, for those that print it themselves."""
    return _worded(message)


@contextmanager
def wording(change: Callable[[str], str]) -> Iterator[None]:
    """Context in which messages pass through a function: the library names its parameters in backticks, a command line
    has them say its flags."""
    global _worded
    before, _worded = _worded, change
    try:
        yield
    finally:
        _worded = before


def say_once(message: str) -> None:
    """``say``, unless this process has said the same before."""
    if message not in _said:
        _said.add(message)
        say(message)


@contextmanager
def progress(description: str, total: int, unit: str, *, done: int = 0) -> Iterator[Advance]:
    """Show the progress of ``total`` units of work.

    Args:
        description: what is done; "" shows nothing.
        total: units of work.
        unit: their name, in the plural.
        done: units that an earlier process did; they do not count for the rate.

    Yields:
        A function to call with the number of units done since the last call, and a note to show.
    """
    if not description:
        yield lambda count, note="", /: None  # noqa: ARG005
        return
    tracker = (_bar if sys.stderr.isatty() else _plain)(description, total, unit, done)
    with tracker as advance:
        yield advance


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print an aligned table to standard output; columns after the first are right-aligned when numeric."""
    from rich.table import Table

    drawn = Table(title=title or None, title_justify="left")
    for number, header in enumerate(headers):
        numeric = number > 0 and all(_is_number(row[number]) for row in rows)
        drawn.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    width = None if sys.stdout.isatty() else 120
    _rich(width=width, highlight=False, emoji=False).print(drawn)


def _rich(**settings: Any) -> Console:
    """A console of rich, but a closed pipe is an error like that of ``print``; by itself it ends the process with 1."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Plain(markup=False, **settings)


@contextmanager
def _bar(description: str, total: int, unit: str, before: int) -> Iterator[Advance]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} " + unit),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    started = time.monotonic()
    done = 0
    with Progress(*columns, console=_rich(stderr=True)) as bar:
        task = bar.add_task(description, total=total, completed=before, rate="", note="")

        def advance(count: int, note: str = "", /) -> None:
            nonlocal done
            done += count
            bar.update(task, advance=count, rate=_rate(done, started, unit), note=note)

        yield advance


@contextmanager
def _plain(description: str, total: int, unit: str, before: int) -> Iterator[Advance]:
    started = shown_at = time.monotonic()
    done = 0

    def advance(count: int, note: str = "", /) -> None:
        nonlocal done, shown_at
        done += count
        now = time.monotonic()
        if now - shown_at >= PLAIN_INTERVAL_SECONDS and before + done < total:
            shown_at = now
            left = (now - started) / max(done, 1) * (total - before - done)
            rate = _rate(done, started, unit)
            say(f"{description}: {before + done}/{total} {unit}, {rate}, {left:.0f} s left  {note}".rstrip())

    yield advance
    elapsed = time.monotonic() - started
    say(f"{description}: {before + done}/{total} {unit} in {elapsed:.1f} s, {_rate(done, started, unit)}")


def _rate(done: int, started: float, unit: str) -> str:
    return f"{done / max(time.monotonic() - started, 1e-9):.1f} {unit}/s"


def _is_number(text: str) -> bool:
    return text.strip().lstrip("+-").replace(".", "").replace("%", "").replace(",", "").isdigit() or text in ("", "-")
