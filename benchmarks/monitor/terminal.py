"""How soon the monitor's screen stands, and what watching costs.

    python benchmarks/monitor/terminal.py

A terminal of its own (a pseudo-terminal) shows a run whose journal this program writes on, an update every half second.
Printed: seconds from the start of the process to the first screen that shows the run's losses, computing time of its
process until then, and seconds of ``--once``; the share of one core that the monitor takes while it watches, its
memory, and whether torch is in its process. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import os
import platform
import pty
import signal
import statistics
import subprocess
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from bistill import artifacts, console
from bistill.journal import Journal

MONITOR = Path(__file__).parents[2] / "realtime_monitor.py"
NAME = "watched-run"
TERMS = ("loss", "listwise_kl", "contrastive_hinge", "negative_penalty")


class WrittenRun:
    """A journal as a run of this process would write it, an update every ``pause`` seconds.

    Args:
        folder: of the run.
        updates: that are there from the beginning.
        pause: seconds between two further ones.
    """

    def __init__(self, folder: Path, updates: int, pause: float) -> None:
        self._journal, self._updates, self._pause = Journal(folder / artifacts.JOURNAL), 0, pause
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_on, daemon=True)
        started = psutil.Process().create_time()
        self._journal.write(
            "start", stage="distillation", pid=os.getpid(), process_started=started, host=platform.node(), options={}
        )
        self._journal.write("candidates", queries=1000, pairs=16_000, scored=400)
        for _ in range(updates):
            self._update()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _write_on(self) -> None:
        while not self._ended.wait(self._pause):
            self._update()

    def _update(self) -> None:
        self._updates += 1
        step = self._updates
        self._journal.write(
            "step",
            step=step,
            total_steps=100_000,
            epoch=0,
            lr=2e-5 / step,
            terms={name: (place + 1) / step for place, name in enumerate(TERMS)},
            grad_norm=1.0 + 1 / step,
            seconds=self._pause,
            waited=0.0,
            tokens=4000,
            tokens_per_second=8000 + step % 100,
            micro_batches=1,
            memory_mib=1200,
        )
        if step % 20 == 0:
            counts = [(step + bin_) % 50 for bin_ in range(20)]
            kinds = ("positive", "labelled_negative", "mined_negative", "random_negative")
            figures = {"ndcg_at_10": 1 - 1 / step, "auc": 0.9, "margin": 0.2}
            self._journal.write(
                "evaluation", step=step, epoch=0, figures=figures, histograms=dict.fromkeys(kinds, counts)
            )


class Terminal:
    """The monitor in a pseudo-terminal of a given size; its output is read as it comes."""

    def __init__(self, runs: Path, columns: int, rows: int) -> None:
        self._own, inner = pty.openpty()
        termios.tcsetwinsize(inner, (rows, columns))
        self._seen, self._there = b"", threading.Event()
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, str(MONITOR), "--runs", str(runs)],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        os.close(inner)
        self.first_screen = float("nan")
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self) -> float:
        """Seconds to the first screen."""
        if not self._there.wait(30):
            raise RuntimeError(f"no screen after 30 s: {self._seen[-2000:]!r}")
        return self.first_screen

    def end(self) -> None:
        """Stop it as a user would."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        self._thread.join()
        os.close(self._own)

    def _read(self) -> None:
        while True:
            try:
                block = os.read(self._own, 1 << 16)
            except OSError:  # the other side is closed
                return
            if not self._there.is_set():
                self._seen += block
                if NAME.encode() in self._seen and b"loss" in self._seen:
                    self.first_screen = time.perf_counter() - self.started
                    self._there.set()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--updates", type=int, default=2000, help="that stand in the journal at the beginning")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two further updates")
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--rows", type=int, default=30)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        with WrittenRun(runs / NAME, arguments.updates, arguments.pause):
            figures = measured(runs, arguments)
    size = f"{arguments.columns} x {arguments.rows}"
    console.table(["", f"{size}, {arguments.updates} updates"], list(figures.items()))


def measured(runs: Path, arguments: Any) -> dict[str, str]:
    """Figures by what they are of."""
    screens, computed, once = [], [], []
    for _ in range(arguments.starts):
        terminal = Terminal(runs, arguments.columns, arguments.rows)
        screens.append(terminal.wait())
        computed.append(computing_seconds(terminal.process.pid))
        terminal.end()
        begun = time.perf_counter()
        subprocess.run(
            [sys.executable, str(MONITOR), "--runs", str(runs), "--once"], check=True, stdout=subprocess.DEVNULL
        )
        once.append(time.perf_counter() - begun)
    terminal = Terminal(runs, arguments.columns, arguments.rows)
    terminal.wait()
    time.sleep(2)
    process = psutil.Process(terminal.process.pid)
    before, begun = computing_seconds(process.pid), time.perf_counter()
    time.sleep(arguments.seconds)
    used, elapsed = computing_seconds(process.pid) - before, time.perf_counter() - begun
    memory = process.memory_info().rss / 2**20
    torch = any("torch" in line for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines())
    terminal.end()
    return {
        "first screen, s (median)": f"{statistics.median(screens):.2f}",
        "first screen, s (worst)": f"{max(screens):.2f}",
        "computing time until then, s (median)": f"{statistics.median(computed):.2f}",
        "--once, s (median)": f"{statistics.median(once):.2f}",
        "share of one core while watching": f"{used / elapsed:.2%}",
        "memory, MiB": f"{memory:.0f}",
        "torch in the process": "yes" if torch else "no",
    }


def computing_seconds(pid: int) -> float:
    """Of a process, in its own code and in the system's."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
