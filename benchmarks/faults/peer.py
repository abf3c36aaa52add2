"""One training run by sentence-transformers' own trainer, as a process that can be killed or given a fault.

python benchmarks/faults/peer.py --student FOLDER --output_dir FOLDER [--resume] [--fault FAULT --at UPDATES] ...

The script is what its documentation shows: a Bi-Encoder, ``MultipleNegativesRankingLoss``, a data set whose transform
draws a negative at random each time a row is read, checkpoints by ``save_steps``. It writes every update to
``progress.jsonl``, every logged line to ``logged.jsonl``, and the final weights to ``model.safetensors``.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from injection import Injection, add_arguments
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tiny_models import TOKENS, triplets
from transformers import TrainerCallback


class Record(TrainerCallback):
    """Writes what happens, one JSON line each, as it happens."""

    def __init__(self, folder: Path, pause: float) -> None:
        self._folder, self._pause = folder, pause
        self.rows = self.updates = 0

    def seen(self, loss: Any, arguments: tuple[Any, ...], output: Any) -> None:
        """Forward hook of the loss: rows of the batch."""
        self.rows = len(arguments[0][0]["input_ids"])

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """An update was done."""
        self.updates = state.global_step
        self._append("progress.jsonl", {"step": state.global_step, "samples": self.rows})
        time.sleep(self._pause)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **others: Any) -> None:
        """Something was logged."""
        self._append("logged.jsonl", {"step": state.global_step, **(logs or {})})

    def _append(self, name: str, record: dict[str, Any]) -> None:
        with (self._folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


def main() -> None:
    """Train to the end, or to the fault."""
    options = arguments()
    output_dir = Path(options.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    transformer = Transformer(options.student, max_seq_length=TOKENS)
    model = SentenceTransformer(modules=[transformer, Pooling(transformer.get_embedding_dimension())], device="cpu")
    loss = MultipleNegativesRankingLoss(model)
    record = Record(output_dir, options.pause)
    loss.register_forward_hook(record.seen)
    Injection(options, lambda: record.updates).attach(transformer.model)
    settings = SentenceTransformerTrainingArguments(
        output_dir=str(output_dir),
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch_size,
        learning_rate=options.lr,
        warmup_steps=0.1,
        save_steps=options.save_steps,
        save_total_limit=2,
        logging_steps=options.save_steps,
        auto_find_batch_size=options.auto_find_batch_size,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        seed=options.seed,
    )
    trainer = SentenceTransformerTrainer(
        model=model, args=settings, train_dataset=data(options.negatives), loss=loss, callbacks=[record]
    )
    trainer.train(resume_from_checkpoint=options.resume)
    model.save_pretrained(str(output_dir), create_model_card=False)


def data(negatives: str) -> Dataset:
    """Anchor, positive and negative of each query; ``redrawn``: another document at random each time."""
    rows = triplets("train")
    documents = [row.negative for row in rows]
    columns = {"anchor": [row.query for row in rows], "positive": [row.positive for row in rows]}
    if negatives == "fixed":
        return Dataset.from_dict({**columns, "negative": documents})

    def draw(batch: dict[str, list[str]]) -> dict[str, list[str]]:
        return {**batch, "negative": [random.choice(documents) for _ in batch["anchor"]]}

    dataset = Dataset.from_dict({**columns, "negative": documents})
    dataset.set_transform(draw)
    return dataset


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", required=True)
    parser.add_argument("--output_dir", required=True)
    parser.add_argument("--resume", action="store_true", help="trainer.train(resume_from_checkpoint=True)")
    parser.add_argument("--negatives", choices=("redrawn", "fixed"), default="redrawn")
    parser.add_argument("--auto_find_batch_size", action="store_true")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--save_steps", type=int, default=4)
    parser.add_argument("--seed", type=int, default=42)
    add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
