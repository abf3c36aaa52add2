"""How fast the monitor's web page answers over a very long journal, and what memory it takes.

    python benchmarks/monitor/page.py

A run of ten million updates (4 GB of journal, in a temporary folder that is removed) is watched by
``realtime_monitor.py --web --no_recover --interval 0.1``. While the monitor reads the journal in, and again once it
has, this program asks for the list of runs, for all that is known of the run, and for the first messages of the
stream that a page opens. Printed: the time of each answer (median and slowest), how long the reading took, and the
monitor's memory early, at the middle and at the end of it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psutil

from bistill import artifacts
from bistill.journal import Journal

sys.path.append(str(Path(__file__).parents[1] / "shared"))
import tables

MONITOR: Final = Path(__file__).parents[2] / "realtime_monitor.py"
ADDRESS: Final = re.compile(r"web page: (\S+)")
BLOCK_LINES: Final = 10_000
UPDATES_BETWEEN_VALIDATIONS: Final = 50_000
PAUSE_SECONDS: Final = 0.5
# An update's line as ``Journal`` writes it; only step, time and losses differ.
LINE: Final = (
    '{"time": %.3f, "event": "step", "step": %d, "total_steps": %d, "epoch": 0, "lr": 1.912e-05, '
    '"terms": {"loss": %.6f, "listwise_kl": %.6f, "contrastive_hinge": 0.58920, "negative_penalty": 0.49891}, '
    '"grad_norm": 1.8402, "seconds": 0.412, "waited": 0.0003, "tokens": 1893, "tokens_per_second": 4594.7, '
    '"micro_batches": 1, "memory_mib": 1893}\n'
)


def main() -> None:
    """Write, watch, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=10_000_000)
    parser.add_argument("--requests", type=int, default=40, help="of each kind, once the journal is read")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = write(Path(folder) / "run", options.updates)
        command = [sys.executable, str(MONITOR), "--runs", folder, "--web", "--no_recover", "--interval", "0.1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                rows = measure(process, options.requests)
            finally:
                process.terminate()
                process.communicate()
    print(f"{options.updates:,} updates, {size / 2**30:.1f} GiB of journal")
    print("\n".join(tables.markdown([["", "median", "slowest"], *rows])))


def write(folder: Path, updates: int) -> int:
    """Write the journal of a live run of this process.

    Returns:
        Its bytes.
    """
    path = folder / artifacts.JOURNAL
    journal = Journal(path)
    started = psutil.Process().create_time()
    journal.write("start", stage="distillation", pid=os.getpid(), process_started=started, options={"lr": 2e-5})
    kinds = ("positive", "labelled_negative", "mined_negative", "random_negative")
    bins = {kind: [number * 3 for number in range(20)] for kind in kinds}
    for first in range(1, updates + 1, BLOCK_LINES):
        last = min(first + BLOCK_LINES, updates + 1)
        numbers = range(first, last)
        lines = (LINE % (started + number, number, updates, 1 / number + 0.5, 0.3 / number) for number in numbers)
        with path.open("ab") as file:
            file.write("".join(lines).encode())
        if first % UPDATES_BETWEEN_VALIDATIONS == 1:
            figures = {"ndcg_at_10": 0.7, "auc": 0.9, "margin": 0.2}
            journal.write("evaluation", step=first, epoch=0, figures=figures, histograms=bins)
    journal.close()
    return path.stat().st_size


def measure(process: subprocess.Popen[str], requests: int) -> list[list[str]]:
    """Rows of the table."""
    assert process.stdout is not None
    found = ADDRESS.match(process.stdout.readline())
    assert found is not None
    page, memory = Page(found[1]), psutil.Process(process.pid)
    held: dict[float, float] = {}
    started, reading, times = time.monotonic(), 0.0, []
    while reading < 1:
        times.append(page.ask())
        reading = page.summary.get("reading", 0.0)
        held[reading] = memory.memory_info().rss / 2**20
        time.sleep(PAUSE_SECONDS)
    seconds = time.monotonic() - started
    after = [page.ask() for _ in range(requests)]
    kept = len(page.details["steps"]["step"])
    at_middle = min(held.items(), key=lambda item: abs(item[0] - 0.5))[1]
    before = min(share for share in held if share > 0)
    return [
        *shown("while it is read", times[1:]),
        *shown("once it is read", after),
        ["seconds of reading", f"{seconds:.0f}", ""],
        ["points of the curves", f"{kept:,}", ""],
        [f"memory at {before:.0%} / {reading:.0%} of it", f"{held[before]:.0f} / {held[reading]:.0f} MiB", ""],
        ["memory at the middle", f"{at_middle:.0f} MiB", ""],
    ]


class Page:
    """Asks what a page asks.

    Args:
        address: that the monitor printed.
    """

    def __init__(self, address: str) -> None:
        place = urlsplit(address)
        self._place, self._cookie = place.netloc, ""
        self._cookie = self._get(f"/?{place.query}").getheader("set-cookie", "").partition(";")[0]
        self.summary: dict[str, Any] = {}
        self.details: dict[str, Any] = {}

    def ask(self) -> dict[str, float]:
        """Milliseconds of each answer, with the body read to its end."""
        found = {}
        with stopwatch(found, "list of runs"):
            runs = json.loads(self._get("/api/runs").read())
        if runs:
            [(key, self.summary)] = runs.items()
            with stopwatch(found, "all of a run"):
                body = self._get(f"/api/runs/{key}").read()
            self.details = json.loads(body)
            with stopwatch(found, "first messages of the stream"):
                self._first_messages(key)
        return found

    def _first_messages(self, key: str) -> None:
        stream = self._get(f"/api/changes?run={key}")
        for _ in range(6):  # two messages of three lines
            stream.readline()
        stream.close()

    def _get(self, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self._place, timeout=60)
        connection.request("GET", path, headers={"Cookie": self._cookie} if self._cookie else {})
        return connection.getresponse()


@contextmanager
def stopwatch(times: dict[str, float], name: str) -> Iterator[None]:
    """Put the milliseconds that a block takes under a name."""
    started = time.perf_counter()
    yield
    times[name] = 1000 * (time.perf_counter() - started)


def shown(when: str, times: list[dict[str, float]]) -> Iterator[list[str]]:
    """A row for each kind of answer."""
    for name in times[-1]:
        found = [item[name] for item in times if name in item]
        yield [f"{name}, {when}", f"{statistics.median(found):.0f} ms", f"{max(found):.0f} ms"]


if __name__ == "__main__":
    main()
