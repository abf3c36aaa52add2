"""Memory and time of parsing and using labelled triplets, for several numbers of rows.

python benchmarks/data/memory.py --rows 10000 1000000

Each number of rows is measured in two new processes: one parses the file into Arrow, one opens what was parsed and
reads 20,000 random records with their texts. "private" is memory that is the process's own (RssAnon); "mapped" are
pages of the Arrow files that happen to be in memory (RssFile), which the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bistill.console import table

RANDOM_READS = 20_000


def main() -> None:
    """Write synthetic files, measure each in child processes and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--child", choices=["build", "use"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child, options.file)))
        return
    rows = []
    with tempfile.TemporaryDirectory(prefix="bistill-memory-") as folder:
        for count in options.rows:
            file = Path(folder) / f"{count}.csv"
            write_triplets(file, count)
            built, used = (run_child(step, file, Path(folder) / "cache") for step in ("build", "use"))
            size = f"{file.stat().st_size / 2**20:.0f}"
            rows.append([f"{count:,}", size, *cells(built), *cells(used)])
            file.unlink()
    headers = ["rows", "file MiB"]
    for step in ("parse", "use"):
        headers += [f"{step} s", f"{step} peak private MiB", f"{step} peak mapped MiB"]
    table(headers, rows)


def write_triplets(file: Path, count: int) -> None:
    """Synthetic triplets of random words: about one query in three is a repetition, documents are unique."""
    generator = random.Random(0)
    words = [f"word{number}" for number in range(20_000)]
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["query", "positive", "negative"])
        for number in range(count):
            query = f"{words[number % len(words)]} query {generator.randrange(count)}"
            texts = (" ".join(generator.choices(words, k=20)) for _ in range(2))
            writer.writerow([query, *(f"{text} {number}" for text in texts)])


def run_child(step: str, file: Path, cache: Path) -> dict[str, float]:
    """Measure one step in a new process."""
    command = [sys.executable, __file__, "--child", step, "--file", str(file)]
    environment = {**os.environ, "BISTILL_CACHE": str(cache)}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def measure(step: str, file: Path) -> dict[str, float]:
    """Seconds, and the highest private and mapped memory in MiB, of loading (and using) a file."""
    peak = {"RssAnon": 0.0, "RssFile": 0.0}
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            see(peak)

    from bistill.data.store.opening import load_split

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.monotonic()
    dataset = load_split(file)
    if step == "use":
        generator = random.Random(1)
        for _ in range(RANDOM_READS):
            record = dataset[generator.randrange(len(dataset))]
            dataset.documents.take([*record.positives, *record.negatives])
    seconds = time.monotonic() - started
    see(peak)
    stop.set()
    watcher.join()
    return {"seconds": seconds, "private": peak["RssAnon"], "mapped": peak["RssFile"]}


def see(peak: dict[str, float]) -> None:
    """Raise the peaks to this process's memory in MiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name in peak:
            peak[name] = max(peak[name], int(value.split()[0]) / 1024)


def cells(measured: dict[str, float]) -> list[str]:
    """Measured values as table cells."""
    return [f"{measured['seconds']:.1f}", f"{measured['private']:.0f}", f"{measured['mapped']:.0f}"]


if __name__ == "__main__":
    main()
