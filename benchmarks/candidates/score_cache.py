"""Rates and disk space of the teacher-score cache.

python benchmarks/candidates/score_cache.py --pairs 100000 1000000

Rates are thousands a second of the clock and, in brackets, a second of the process on a CPU, which other work on the
machine changes less. "put" writes batches of --batch pairs, each one a durable transaction, and then --scoring batches
of the 256 pairs that a teacher scores at once; "get" looks all pairs up in random order, in batches and then all at
once; "open" includes the check of the file's structure; "rebuild" copies it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable

import numpy as np

from bistill.candidates.scores.cache import ScoreCache, digest, rebuild
from bistill.console import table

SCORING_BATCH = 256
HEADERS = [
    *("pairs", "k keys/s", "k put/s", f"k put/s, {SCORING_BATCH} each", "k get/s", "k get/s, at once"),
    *("open s", "B/pair", "rebuild s", "B/pair then"),
]


def main() -> None:
    """Measure each number of pairs in a cache of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--scoring", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bistill-scores-") as folder:
        os.environ["BISTILL_CACHE"] = folder
        table(HEADERS, [measured(count, options.batch, options.scoring) for count in options.pairs])


def measured(count: int, batch: int, scoring: int) -> list[str]:
    """Cells of one row."""
    identity, more = {"pairs": count}, SCORING_BATCH * scoring
    queries = [digest(f"query {number // 32}") for number in range(count + more)]
    documents = [digest(f"document {number}") for number in range(count + more)]
    logits = np.random.default_rng(0).normal(size=count + more).astype(np.float32)
    order = np.random.default_rng(1).permutation(count)
    with ScoreCache.open(identity) as cache:
        keys: list[bytes] = []
        rates = [rate(count + more, lambda: keys.extend(cache.keys(queries, documents)))]
        shuffled = [keys[place] for place in order]
        parts = [slice(start, min(start + batch, count)) for start in range(0, count, batch)]
        small = [slice(start, start + SCORING_BATCH) for start in range(count, count + more, SCORING_BATCH)]
        rates += [rate(count, lambda: [cache.put(keys[part], logits[part]) for part in parts])]
        rates += [rate(more, lambda: [cache.put(keys[part], logits[part]) for part in small])]
        rates += [rate(count, lambda: [cache.get(shuffled[part]) for part in parts])]
        rates += [rate(count, lambda: np.testing.assert_array_equal(cache.get(shuffled), logits[order]))]
    size = cache.size()
    opening, _ = seconds(lambda: ScoreCache.open(identity).close())
    rebuilding, _ = seconds(lambda: rebuild(cache.folder))
    per_pair = [f"{bytes_ / (count + more):.1f}" for bytes_ in (size, cache.size())]
    return [f"{count:,}", *rates, f"{opening:.2f}", per_pair[0], f"{rebuilding:.2f}", per_pair[1]]


def rate(count: int, action: Callable[[], object]) -> str:
    """Thousands a second of the clock, and in brackets a second of this process."""
    clock, process = seconds(action)
    return f"{count / clock / 1000:.1f} ({count / process / 1000:.1f})"


def seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Wall-clock time of an action, and the time of this process on a CPU."""
    clock, process = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - clock, time.process_time() - process


if __name__ == "__main__":
    main()
