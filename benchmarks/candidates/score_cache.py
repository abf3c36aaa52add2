"""Rates and disk space of the teacher-score cache.

python benchmarks/candidates/score_cache.py --pairs 100000 1000000

"put" writes batches of --batch pairs, each one a durable transaction; "get" looks all pairs up in random order, once in
such batches and once all at once; "open" includes the check of the file's structure; "rebuild" copies it.
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


def main() -> None:
    """Measure each number of pairs in a cache of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--batch", type=int, default=8192)
    options = parser.parse_args()
    headers = ["pairs", "keys /s", "put /s", "get /s, batches", "get /s, at once", "open s", "bytes/pair", "rebuild s"]
    rows = []
    with tempfile.TemporaryDirectory(prefix="bistill-scores-") as folder:
        os.environ["BISTILL_CACHE"] = folder
        for count in options.pairs:
            rows.append(measured(count, options.batch))
    table([*headers, "bytes/pair then"], rows)


def measured(count: int, batch: int) -> list[str]:
    """Cells of one row."""
    identity = {"pairs": count}
    queries = [digest(f"query {number // 32}") for number in range(count)]
    documents = [digest(f"document {number}") for number in range(count)]
    logits = np.random.default_rng(0).normal(size=count).astype(np.float32)
    order = np.random.default_rng(1).permutation(count)
    with ScoreCache.open(identity) as cache:
        keys: list[bytes] = []
        times = [seconds(lambda: keys.extend(cache.keys(queries, documents)))]
        shuffled = [keys[place] for place in order]
        parts = [slice(start, start + batch) for start in range(0, count, batch)]
        times.append(seconds(lambda: [cache.put(keys[part], logits[part]) for part in parts]))
        times.append(seconds(lambda: [cache.get(shuffled[part]) for part in parts]))
        times.append(seconds(lambda: np.testing.assert_array_equal(cache.get(shuffled), logits[order])))
        size = cache.size()
    opening = seconds(lambda: ScoreCache.open(identity).close())
    rebuilding = seconds(lambda: rebuild(cache.folder))
    rates = [f"{count / spent:,.0f}" for spent in times]
    per_pair = [f"{bytes_ / count:.1f}" for bytes_ in (size, cache.size())]
    return [f"{count:,}", *rates, f"{opening:.2f}", per_pair[0], f"{rebuilding:.2f}", per_pair[1]]


def seconds(action: Callable[[], object]) -> float:
    """Wall-clock time of an action."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
