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
from bistill.monitor.status import RunStatus, find

PLAIN_INTERVAL_SECONDS = 5.0


def watch(options: MonitorOptions) -> None:
    """Show the runs below ``options.runs`` until interrupted, or once.

    Raises:
        DataError: the folder does not exist.
    """
    root = Path(options.runs)
    if not root.is_dir():
        raise DataError("no such folder", where=f"--runs {root}", todo="train a model first, or give its folder")
    if options.once:
        _print_plain(find(root), root)
    elif sys.stdout.isatty():
        _watch_live(root, options.interval)
    else:
        while True:
            _print_plain(find(root), root)
            time.sleep(max(options.interval, PLAIN_INTERVAL_SECONDS))


def line(run: RunStatus) -> str:
    """One line about a run."""
    parts = [f"{run.folder}: {run.stage}, {run.state}"]
    if run.total_steps:
        parts.append(f"step {run.step}/{run.total_steps}")
    if run.state == "running" and run.seconds_per_step:
        parts.append(f"{run.seconds_per_step:.2f} s/step, {run.seconds_left:.0f} s left")
    parts += [f"{name} {value:.4f}" for name, value in (run.terms | run.figures).items() if value is not None]
    if run.error:
        parts.append(run.error.splitlines()[0])
    return ", ".join(parts)


def _print_plain(runs: list[RunStatus], root: Path) -> None:
    for run in runs:
        print(line(run), flush=True)
    if not runs:
        print(f"no run below {root} yet", flush=True)


def _watch_live(root: Path, interval: float) -> None:
    with Live(_drawn(find(root)), console=Console(markup=False), refresh_per_second=4) as live:
        while True:
            time.sleep(interval)
            live.update(_drawn(find(root)))


def _drawn(runs: list[RunStatus]) -> Table:
    table = Table("run", "stage", "state", "step", "left", "loss", "lr", "validation", title=f"{len(runs)} runs")
    for run in runs:
        losses = "\n".join(f"{name} {value:.4f}" for name, value in run.terms.items() if value is not None)
        figures = "\n".join(f"{name} {value:.4f}" for name, value in run.figures.items() if value is not None)
        left = f"{run.seconds_left:.0f} s" if run.state == "running" else ""
        state = f"{run.state}\n{run.error.splitlines()[0]}" if run.error else run.state
        step = f"{run.step}/{run.total_steps}"
        table.add_row(str(run.folder), run.stage, state, step, left, losses, f"{run.lr:.2e}", figures)
    return table
