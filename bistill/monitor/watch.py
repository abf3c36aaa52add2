"""The terminal face of the monitor: a live table, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bistill.config import MonitorOptions
from bistill.errors import DataError
from bistill.monitor.runs import Runs, RunView

PLAIN_INTERVAL_SECONDS = 5.0
# One look at the end of which every journal is read.
WHOLE_SECONDS = 3600.0


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
        _print_plain(runs.look(WHOLE_SECONDS), root)
    elif sys.stdout.isatty():
        _watch_live(runs, options.interval)
    else:
        while True:
            _print_plain(runs.look(), root)
            time.sleep(max(options.interval, PLAIN_INTERVAL_SECONDS))


def line(view: RunView) -> str:
    """One line about a run."""
    run = view.status
    parts = [f"{run.folder}: {run.stage}, {view.state}"]
    if run.total_steps:
        parts.append(f"step {run.step}/{run.total_steps}")
    if view.state.live and run.seconds_per_step:
        parts.append(f"{run.seconds_per_step:.2f} s/step, {run.seconds_left:.0f} s left")
    parts += [f"{name} {value:.4f}" for name, value in (run.terms | run.figures).items()]
    if run.error:
        parts.append(run.error.splitlines()[0])
    return ", ".join(parts)


def _print_plain(views: list[RunView], root: Path) -> None:
    for view in views:
        print(line(view), flush=True)
    if not views:
        print(f"no run below {root} yet", flush=True)


def _watch_live(runs: Runs, interval: float) -> None:
    with Live(_drawn(runs.look()), console=Console(markup=False), refresh_per_second=4) as live:
        while True:
            time.sleep(interval)
            live.update(_drawn(runs.look()))


def _drawn(views: list[RunView]) -> Table:
    table = Table("run", "stage", "state", "step", "left", "loss", "lr", "validation", title=f"{len(views)} runs")
    for view in views:
        run = view.status
        losses = "\n".join(f"{name} {value:.4f}" for name, value in run.terms.items())
        figures = "\n".join(f"{name} {value:.4f}" for name, value in run.figures.items())
        left = f"{run.seconds_left:.0f} s" if view.state.live else ""
        state = f"{view.state}\n{run.error.splitlines()[0]}" if run.error else str(view.state)
        step = f"{run.step}/{run.total_steps}"
        table.add_row(str(run.folder), run.stage, state, step, left, losses, f"{run.lr:.2e}", figures)
    return table
