"""FlagEmbedding's own distillation trainer for encoders; one side of the comparison, run by its own Python.

python benchmarks/speed/peer_flag_embedding.py WORKLOAD

Its loss is another one by construction: beside the distillation term it always has the cross-entropy of the positive
among the documents, and the distillation term is a cross-entropy, too, larger than KL by the entropy of the teacher's
softmax, which no weight changes. What comes nearest is configured: ``kd_loss_type="kl_div"``; a file name that ends in
``no_in_batch_neg``, by which the cross-entropy is over a query's own K documents instead of all of the batch; teacher
scores divided by tau, and temperature 2 tau for the student (see ``peer_sentence_transformers.py``). What is compared
with the other sides is its distillation term less that entropy, in the first step alone: afterwards the second term has
moved the weights elsewhere. The work of a step is the same: the same texts, forward and backward.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from flag_embedding import runner_of
from FlagEmbedding.finetune.embedder.encoder_only.base import BiEncoderOnlyEmbedderModel
from transformers import TrainerCallback
from turn import Turns, workload


class DistillationTerm:
    """What the model's distillation loss gave last, and the teacher's distributions that it saw."""

    def __init__(self) -> None:
        self._value, self._targets = torch.zeros(()), torch.ones(1, 1)
        compute = BiEncoderOnlyEmbedderModel.distill_loss

        def kept(kind: str, targets: Any, scores: Any, group_size: Any = None) -> Any:
            loss = compute(kind, targets, scores, group_size)
            self._value, self._targets = loss.detach().clone(), targets
            return loss

        BiEncoderOnlyEmbedderModel.distill_loss = staticmethod(kept)

    def __float__(self) -> float:
        entropy = -(self._targets * self._targets.clamp_min(1e-30).log()).sum(-1).mean()
        return float(self._value - entropy)

    def frozen(self) -> DistillationTerm:
        """The numbers of this moment, to be read when the clock stands still."""
        copy = object.__new__(DistillationTerm)
        copy._value, copy._targets = self._value, self._targets
        return copy


class TakeTurns(TrainerCallback):
    """Waits for the driver after each step."""

    def __init__(self, turns: Turns, term: DistillationTerm) -> None:
        self._turns, self._term = turns, term

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Before the first batch is fetched."""
        self._turns.ready()
        self._turns.begin()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """The weights were changed."""
        self._turns.done(self._term.frozen())
        self._turns.begin()


def main() -> None:
    """Train step by step."""
    given, turns = workload(), Turns()
    # Teacher scores divided by tau, and twice tau for the student: see above.
    for batch in given["batches"]:
        batch["scores"] = [[value / given["tau"] for value in scores] for scores in batch["scores"]]
    with tempfile.TemporaryDirectory() as folder:
        runner = runner_of(
            given,
            Path(folder),
            in_batch=False,
            learning_rate=given["lr"],
            weight_decay=0.0,
            temperature=2 * given["tau"],
            kd_loss_type="kl_div",
        )
        runner.trainer.add_callback(TakeTurns(turns, DistillationTerm()))
        runner.trainer.train()


if __name__ == "__main__":
    main()
