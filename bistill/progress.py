"""Progress of some work with rate and remaining time, on standard error.

With a terminal there a live bar is drawn; without one a plain line appears every few seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Protocol

from bistill import console

PLAIN_INTERVAL_SECONDS: Final = 5.0
# Between the parts of a line.
GAP: Final = "  "
LEAST_BAR: Final = 10


class Advance(Protocol):
    """Report that ``count`` more units are done; ``note`` is shown beside the progress: parts with two spaces between
    them, the most important first, of which a bar shows as many as there is room for."""

    def __call__(self, count: int, note: str = "", /) -> None: ...  # noqa: D102


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


def fitted(description: str, parts: Sequence[str], width: int) -> tuple[str, int, str]:
    """What is shown beside a bar in a terminal of so many columns: never more than one line of it.

    Args:
        description: what is done; cut where the first two parts would not fit.
        parts: what stands behind the bar, the most important first: the first two always stand there, others as long
            as there is room for them and for a bar of ``LEAST_BAR``.
        width: columns of the terminal.

    Returns:
        Description, columns of the bar (0: none), and the parts in one text.
    """
    needed = len(GAP.join(parts[:2]))
    description = description[: max(width - needed - 1, 0)]
    room = width - len(description) - 1
    bar = min(max(width // 8, LEAST_BAR), room - needed - 1)
    if bar < LEAST_BAR:
        return description, 0, GAP.join(parts[:2])
    shown = list(parts[:2])
    for part in parts[2:]:
        if len(GAP.join([*shown, part])) + bar + 1 > room:
            break
        shown.append(part)
    return description, bar, GAP.join(shown)


@contextmanager
def _bar(description: str, total: int, unit: str, before: int) -> Iterator[Advance]:
    from rich.progress import Progress, ProgressColumn, Task
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    screen = console.rich_console(stderr=True)
    started = time.monotonic()
    done, notes = 0, [""]

    class Line(ProgressColumn):
        """Bar, share and remaining time always; rate and notes where there is room."""

        max_refresh = None

        def render(self, task: Task) -> Table:
            shown, bar, text = fitted(description, _parts(total, unit, before, done, started, notes), screen.width)
            row = Table.grid(padding=(0, 1, 0, 0))
            cells = [Text(shown, no_wrap=True), Text(text, no_wrap=True)]
            if bar:
                cells.insert(1, ProgressBar(total=max(total, 1), completed=before + done, width=bar))  # type: ignore[arg-type]
            row.add_row(*cells)
            return row

    with Progress(Line(), console=screen) as live:
        task = live.add_task("", total=total, completed=before)

        def advance(count: int, note: str = "", /) -> None:
            nonlocal done, notes
            done, notes = done + count, note.split(GAP)
            live.update(task, advance=count)

        yield advance


def _parts(total: int, unit: str, before: int, done: int, started: float, notes: Sequence[str]) -> list[str]:
    """What stands behind a bar, the most important first."""
    rate = _rate(done, started, unit) if done else ""
    parts = [_share(before + done, total), f"{_left(total, before, done, started)} left"]
    return [part for part in (*parts, f"{before + done}/{total} {unit}", notes[0], rate, *notes[1:]) if part]


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
            share, left = _share(before + done, total), _left(total, before, done, started)
            rate = _rate(done, started, unit)
            said = f"{description}: {share}, {before + done}/{total} {unit}, {rate}, {left} left"
            console.say(f"{said}{GAP}{note}".rstrip())

    yield advance
    elapsed = time.monotonic() - started
    console.say(f"{description}: {before + done}/{total} {unit} in {elapsed:.1f} s, {_rate(done, started, unit)}")


def _share(done: int, total: int) -> str:
    return f"{done / max(total, 1):.0%}"


def _left(total: int, before: int, done: int, started: float) -> str:
    """Remaining time at the rate so far: ``1:02:03``, ``2:03``; "-:--" before the first unit."""
    if not done:
        return "-:--"
    seconds = round((time.monotonic() - started) / done * max(total - before - done, 0))
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def _rate(done: int, started: float, unit: str) -> str:
    return f"{done / max(time.monotonic() - started, 1e-9):.1f} {unit}/s"
