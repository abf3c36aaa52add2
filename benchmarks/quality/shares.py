"""What other shares of a student's training would have done: weights between its start and its trained ones.

    python benchmarks/quality/shares.py --model MODEL --data NAME --forgetting NAME [NAME ...] --shares 0 0.2 0.4 1

MODEL is a student of ``bistill distill`` with all weights trained, such as one that ``compare.py --keep_models`` left.
Shares are those of the whole training, whatever share of it the model keeps; above 1 weights go on beyond the trained
ones. Each share is measured as in ``compare.py``: nDCG@10 of the test queries, and on data that was not trained on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import measure
import torch

from bistill import artifacts
from bistill.evaluation import scores
from bistill.evaluation.questions import Questions
from bistill.models.bi_encoder import BiEncoder
from bistill.training.student.merging import Between


def between(model: Path, encoder: BiEncoder) -> tuple[Between, float]:
    """The way from the start of a student to its weights, and the share of the training at its end.

    Args:
        model: folder of the student.
        encoder: the same, loaded; its weights are to change.
    """
    record = artifacts.read_json(model / artifacts.MODEL_RECORD)
    start = BiEncoder.load(record["base_model"], layer_count=record["start_layers"] and len(record["start_layers"]))
    share = record["merged_share"]
    if share == 0:
        raise SystemExit(f"{model} is its base model: train it with --weak_student trained to see the way to it")
    return Between(encoder.model, dict(start.model.named_parameters())), 1.0 if share is None else share


def ndcg(encoder: BiEncoder, asked: Questions, name: str) -> float:
    """nDCG@10 of the student, whose folder is ``name``, on the test queries of a data version."""
    answers = scores.of_encoder(encoder, asked, role="student", name=name, batch_size=measure.BATCH)
    found: float = measure.ranking(asked, answers.run(asked))["ndcg_at_10"]
    return found


def main() -> None:
    """Print one row a share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--forgetting", nargs="*", default=[])
    parser.add_argument("--shares", nargs="+", type=float, default=[0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    parser.add_argument("--data_root", default="preprocessed")
    parser.add_argument("--test_queries", type=int)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    encoder = BiEncoder.load(given.model, precision=given.precision)
    way, end = between(Path(given.model), encoder)
    data = [given.data, *given.forgetting]
    asking = measure.Asking(given.data_root, given.precision, given.test_queries)
    questions = [measure.question(name, asking) for name in data]
    print(f"| share | {' | '.join(data)} |")
    print(f"|{'---|' * (len(data) + 1)}")
    for share in given.shares:
        way.go_to(share / end)
        found = (ndcg(encoder, asked, given.model) for asked in questions)
        print(f"| {share:g} | {' | '.join(f'{value:.4f}' for value in found)} |", flush=True)


if __name__ == "__main__":
    main()
