"""Progress of some work with rate and remaining time, on standard error.

With a terminal there a live bar is drawn; without one a plain line appears every few seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from bistill import console

PLAIN_INTERVAL_SECONDS: Final = 5.0


class Advance(Protocol):
    """Report that ``count`` more units are done; ``note`` is shown beside the progress."""

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
    with Progress(*columns, console=console.rich_console(stderr=True)) as bar:
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
            console.say(f"{description}: {before + done}/{total} {unit}, {rate}, {left:.0f} s left  {note}".rstrip())

    yield advance
    elapsed = time.monotonic() - started
    console.say(f"{description}: {before + done}/{total} {unit} in {elapsed:.1f} s, {_rate(done, started, unit)}")


def _rate(done: int, started: float, unit: str) -> str:
    return f"{done / max(time.monotonic() - started, 1e-9):.1f} {unit}/s"
