"""Exact search against the approximate index: seconds to build and to search, and what is still found.

python benchmarks/candidates/dense_search.py --documents 10000 100000 1000000 --queries 200 2000

The vectors are synthetic unit vectors of 384 dimensions around random centres; queries lie around the same centres.
Recall is the share of the exact answer's documents that the approximate one holds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bistill.candidates.mining import nearest
from bistill.console import say, table

DIM = 384
# Length of the noise beside a centre of length 1: cosine of about 0.5 among the vectors of one centre.
NOISE = 1.0


def main() -> None:
    """Measure every number of documents with every number of queries and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--queries", type=int, nargs="+", default=[200, 2_000])
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--around", type=int, default=100, help="documents around a centre")
    parser.add_argument("--cells", type=float, default=nearest.CELLS_PER_ROOT, help="for every root of a document")
    parser.add_argument("--share", type=float, nargs="+", default=[nearest.PROBED_SHARE], help="of the cells probed")
    options = parser.parse_args()
    nearest.CELLS_PER_ROOT = options.cells  # type: ignore[misc]
    rows = []
    for count in options.documents:
        with tempfile.TemporaryDirectory(prefix="bistill-dense-") as folder:
            documents, centres = clustered(Path(folder) / "vectors.npy", count, options.around)
            index, build = timed(nearest.quantised_index, documents)
            for asked in options.queries:
                queries = around(centres, asked, np.random.default_rng(2))
                rows += compared(queries, documents, options.depth, options.share, index, build)
    headers = ["documents", "queries", "probed", "exact s", "build s", "search s", "faiss s", "exact / faiss", "recall"]
    table(headers, rows)


def compared(
    queries: np.ndarray, documents: np.ndarray, depth: int, shares: list[float], index: Any, build: float
) -> list[list[str]]:
    """Rows of the table for one set of queries and documents; ``build`` is the seconds that the index took."""
    exact, exact_seconds = timed(nearest.exact, queries, documents, depth)
    rows = []
    for share in shares:
        index.nprobe = max(1, round(share * index.nlist))
        found, search = timed(nearest.approximate, queries, documents, depth, index)
        recall = np.mean([np.isin(one, other).mean() for one, other in zip(exact, found, strict=True)])
        total = build + search
        figures = [exact_seconds, build, search, total, exact_seconds / total]
        cells = [f"{len(documents):,}", f"{len(queries):,}", f"{share:.3f}", *(f"{value:.1f}" for value in figures)]
        rows.append([*cells, f"{recall:.3f}"])
        say("  ".join(rows[-1]))
    return rows


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """What a function returns, and its seconds."""
    started = time.monotonic()
    return function(*arguments), time.monotonic() - started


def clustered(file: Path, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Memory-mapped unit vectors (count, DIM) around centres, some ``size`` a centre, and the centres."""
    random = np.random.default_rng(1)
    centres = unit(random.standard_normal((max(1, count // size), DIM), dtype=np.float32))
    written = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(count, DIM))
    for start in range(0, count, 16_384):
        stop = min(start + 16_384, count)
        written[start:stop] = around(centres, stop - start, random)
    written.flush()
    del written
    return np.load(file, mmap_mode="r"), centres


def around(centres: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Unit vectors (count, DIM) around centres chosen at random."""
    noise = random.standard_normal((count, DIM), dtype=np.float32) * np.float32(NOISE / np.sqrt(DIM))
    return unit(centres[random.integers(len(centres), size=count)] + noise)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


if __name__ == "__main__":
    main()
