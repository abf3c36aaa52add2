"""What a user sees while something runs: messages and tables.

Results go to standard output, everything about the way there to standard error.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console

# What a shell shows of a program that wrote to a closed pipe: 128 and the number of SIGPIPE.
EXIT_CLOSED_PIPE: Final = 141
# Ways of Python to raise an error for a character that a console cannot show.
RAISING: Final = frozenset({"strict", "surrogateescape"})


_said: set[str] = set()
_worded: Callable[[str], str] = str


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


def counted(number: int, one: str, many: str = "") -> str:
    """A number and what it counts: "1 query", "2,048 queries".

    Args:
        number: of them.
        one: what one of them is called, and what is said of it.
        many: likewise of several; "": ``one`` with the ending of the plural.
    """
    if number == 1:
        return f"1 {one}"
    return f"{number:,} {many or (one.removesuffix('y') + 'ies' if one.endswith('y') else one + 's')}"


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


def paragraph(text: str) -> None:
    """Print a sentence to standard output, on a terminal broken between words where the line ends."""
    if sys.stdout.isatty():
        rich_console(highlight=False, emoji=False).print(text)
    else:
        print(text)


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    bold: Container[tuple[int, int]] = (),
) -> None:
    """Print an aligned table to standard output; columns after the first are right-aligned when numeric.

    Args:
        headers: of the columns.
        rows: the cells of each row.
        title: above the table.
        bold: (row, column) of the cells that a terminal shows in bold.
    """
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title or None, title_justify="left")
    for number, header in enumerate(headers):
        numeric = number > 0 and all(_is_number(row[number]) for row in rows)
        drawn.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for place, row in enumerate(rows):
        styles = ("bold" if (place, column) in bold else "" for column in range(len(row)))
        drawn.add_row(*map(Text, row, styles))
    width = None if sys.stdout.isatty() else 120
    rich_console(width=width, highlight=False, emoji=False).print(drawn)


def rich_console(**settings: Any) -> Console:
    """A console of rich, but a closed pipe is an error like that of ``print``; by itself it ends the process with 1."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Plain(markup=False, **settings)


def _is_number(text: str) -> bool:
    return text.strip().lstrip("+-").replace(".", "").replace("%", "").replace(",", "").isdigit() or text in ("", "-")
