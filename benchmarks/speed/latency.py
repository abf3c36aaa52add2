"""How long one query waits for its ten documents: ``Index.search`` beside sentence-transformers on the same vectors.

python benchmarks/speed/latency.py --data_version NAME --student MODEL [--rounds 3]

Test queries go one at a time through model and exact search over the documents of test.csv and corpus.csv; the two
sides take turns query by query, so that whatever else the machine does falls on both alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import semantic_search

import bistill
from bistill.data.store.opening import load_split
from bistill.data.store.version import Version

TOP_K = 10
# Queries that warm up both sides and do not count.
UNCOUNTED = 5


def milliseconds(run: Callable[[], object]) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    """Print one row of a table: medians and 95th percentiles of both sides."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_version", required=True)
    parser.add_argument("--data_root", default="preprocessed")
    parser.add_argument("--student", required=True)
    parser.add_argument("--queries", type=int, default=200, help="test queries, the first of the file")
    parser.add_argument("--rounds", type=int, default=3, help="times each query is asked")
    asked = parser.parse_args()
    version = Version(Path(asked.data_root), asked.data_version)
    collection = version.collection(load_split(version.path("test")))
    student, peer = bistill.Student(asked.student), SentenceTransformer(asked.student, device="cpu")
    index = student.index(collection.corpus)
    prompt = student.encoder.prompts.query
    vectors = torch.from_numpy(np.array(index.vectors))
    queries = list(collection.dataset.queries[: asked.queries])

    def of_peer(query: str) -> object:
        with torch.inference_mode():
            vector = peer.encode([prompt + query], convert_to_tensor=True, show_progress_bar=False)
            return semantic_search(vector, vectors, top_k=TOP_K)

    own: list[float] = []
    other: list[float] = []
    for number, query in enumerate(queries[:UNCOUNTED] + queries * asked.rounds):
        pair = (
            milliseconds(lambda query=query: index.search([query], TOP_K)),
            milliseconds(lambda query=query: of_peer(query)),
        )
        if number >= UNCOUNTED:
            own.append(pair[0])
            other.append(pair[1])
    figures = [f"{np.median(side):.1f} ms | {np.percentile(side, 95):.1f} ms" for side in (own, other)]
    threads = torch.get_num_threads()
    print("| data | documents | student | threads | ours, median | 95 % | sentence-transformers, median | 95 % |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {asked.data_version} | {len(vectors):,} | {Path(asked.student).name} | {threads} | {' | '.join(figures)} |"
    )


if __name__ == "__main__":
    main()
