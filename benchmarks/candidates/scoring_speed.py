"""Pairs per second of teacher scoring, against ``CrossEncoder.predict`` of sentence-transformers.

    python benchmarks/candidates/scoring_speed.py --model MODEL --data NAME:LENGTH [NAME:LENGTH ...]

NAME is a data version below --data_root. Same pairs (queries of the training file, each with documents by chance and
its positives), model, length, threads and precision; the two take turns, and after each turn the scores are compared.
"Ours" is what ``bistill distill`` runs: reading, scoring and writing to the score cache, which is new in every round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time

import numpy as np
import torch

from bistill.candidates.lists import negatives_of
from bistill.candidates.teacher_scores.teachers import Settings, Teacher
from bistill.config import DataOptions
from bistill.data.dataset import Dataset
from bistill.data.store import load_split
from bistill.data.version import split_path
from bistill.encoders import loading
from bistill.metrics import sigmoid


def chosen_pairs(dataset: Dataset, count: int) -> np.ndarray:
    """(query id, document id) pairs: of each query its positives and seven documents by chance."""
    pairs: list[tuple[int, int]] = []
    for record in dataset:
        negatives, _ = negatives_of(dataset, record, count=7, seed=0, epoch=0)
        pairs += [(record.query_id, document) for document in (*record.positives, *negatives)]
        if len(pairs) >= count:
            break
    return np.array(pairs[:count], dtype=np.int64)


def seconds_of_ours(model: str, length: int, dataset: Dataset, pairs: np.ndarray) -> tuple[float, np.ndarray]:
    """Wall time of scoring pairs into a new cache, and their relevance in 0..1."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["BISTILL_CACHE"] = cache
        with Teacher.open(model, Settings(max_len=length)) as teacher:
            teacher.logits(dataset.queries, dataset.documents, pairs[:8], "")  # loading is not timed, for neither
            started = time.perf_counter()
            scored = teacher.logits(dataset.queries, dataset.documents, pairs, "")
            return time.perf_counter() - started, sigmoid(scored.logits)


def main() -> None:
    """Print one row a data version."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--data_root", default="preprocessed")
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    from sentence_transformers import CrossEncoder

    torch.set_num_threads(options.threads)
    model = loading.resolve(options.model)
    print("| data | length | pairs | sentence-transformers pairs/s | ours pairs/s | ratio | largest difference |")
    print("|---|---|---|---|---|---|---|")
    for entry in options.data:
        name, length = entry.split(":")
        dataset = load_split(split_path(DataOptions(data_version=name, data_root=options.data_root), "train"))
        pairs = chosen_pairs(dataset, options.pairs)
        texts = [(dataset.queries[int(query)], dataset.documents[int(document)]) for query, document in pairs]
        peer = CrossEncoder(model, max_length=int(length), device="cpu", activation_fn=torch.nn.Sigmoid())
        peer.predict(texts[:8], show_progress_bar=False)
        theirs, ours, difference = [], [], 0.0
        for _ in range(options.rounds):
            started = time.perf_counter()
            expected = peer.predict(texts, show_progress_bar=False)
            theirs.append(time.perf_counter() - started)
            seconds, found = seconds_of_ours(model, int(length), dataset, pairs)
            ours.append(seconds)
            difference = max(difference, float(np.abs(expected - found).max()))
        rates = [len(pairs) / statistics.median(seconds) for seconds in (theirs, ours)]
        print(
            f"| {name} | {length} | {len(pairs)} | {rates[0]:.1f} | {rates[1]:.1f} | {rates[1] / rates[0]:.2f} "
            f"| {difference:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
