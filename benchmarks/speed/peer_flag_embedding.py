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

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from FlagEmbedding.finetune.embedder.encoder_only.base import (
    BiEncoderOnlyEmbedderModel,
    EncoderOnlyEmbedderDataArguments,
    EncoderOnlyEmbedderModelArguments,
    EncoderOnlyEmbedderRunner,
    EncoderOnlyEmbedderTrainingArguments,
)
from transformers import TrainerCallback
from turn import Turns, workload

POOLING = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean", "pooling_mode_lasttoken": "last_token"}


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
    with tempfile.TemporaryDirectory() as folder:
        runner = EncoderOnlyEmbedderRunner(
            EncoderOnlyEmbedderModelArguments(model_name_or_path=given["model"]),
            data_arguments(given, Path(folder)),
            training_arguments(given, Path(folder) / "output"),
        )
        size = given["batch_size"]
        # Its order of batches is shuffled; it draws the order of a list's negatives, which no loss sees.
        places = [np.arange(start * size, (start + 1) * size) for start in range(len(given["batches"]))]
        runner.train_dataset.batch_datas = [(rows, True) for rows in places]
        runner.trainer.add_callback(TakeTurns(turns, DistillationTerm()))
        runner.trainer.train()


def data_arguments(given: dict[str, Any], folder: Path) -> EncoderOnlyEmbedderDataArguments:
    """Lists in its format, in a file whose name says that a query's own documents are its candidates."""
    file = folder / "lists_no_in_batch_neg.jsonl"
    with file.open("w", encoding="utf-8") as target:
        for batch in given["batches"]:
            for query, documents, scores in zip(batch["queries"], batch["documents"], batch["scores"], strict=True):
                scaled = [value / given["tau"] for value in scores]
                row = {"query": query, "pos": documents[:1], "neg": documents[1:]}
                target.write(json.dumps({**row, "pos_scores": scaled[:1], "neg_scores": scaled[1:]}) + "\n")
    return EncoderOnlyEmbedderDataArguments(
        train_data=[str(file)],
        cache_path=str(folder / "cache"),
        train_group_size=len(given["batches"][0]["documents"][0]),
        query_max_len=given["max_len"],
        passage_max_len=given["max_len"],
        query_instruction_for_retrieval=given["prompts"][0],
        passage_instruction_for_retrieval=given["prompts"][1],
        knowledge_distillation=True,
        same_dataset_within_batch=True,
    )


def training_arguments(given: dict[str, Any], folder: Path) -> EncoderOnlyEmbedderTrainingArguments:
    """Its defaults, but for the loss above, and no reports, no saving, no weight decay."""
    return EncoderOnlyEmbedderTrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=given["batch_size"],
        max_steps=given["planned_steps"],
        learning_rate=given["lr"],
        weight_decay=0.0,
        bf16=given["precision"] == "bf16",
        use_cpu=not torch.cuda.is_available(),  # it refuses bf16 on a CPU otherwise
        temperature=2 * given["tau"],
        sentence_pooling_method=POOLING[given["pooling"]],
        normalize_embeddings=True,
        kd_loss_type="kl_div",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


if __name__ == "__main__":
    main()
