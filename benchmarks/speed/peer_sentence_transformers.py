"""sentence-transformers as its documentation shows it: both trainers, ``predict`` and ``encode``.

python benchmarks/speed/peer_sentence_transformers.py WORKLOAD [--workers N] [--encode_document]

The trainers run with their defaults, but for what a comparison needs: a fixed order of batches, no reports, no saving,
no weight decay. ``--workers`` sets ``dataloader_num_workers``, the setting by which its documentation has batches made
beside the training. A callback that waits at the end of each step gives the driver its turns; the next batch is fetched
and tokenized after that, so its time counts.

``DistillKLDivLoss`` is ``student_temperature**2 * KL(softmax(teacher / teacher_temperature) ||
softmax(cosine / student_temperature))``, the mean over queries. bistill's term is ``KL(softmax(teacher / tau) ||
softmax((cosine + 1) / 2 / tau))``. A softmax does not see what is added to all its scores, so both are the same for
``teacher_temperature = tau`` and ``student_temperature = 2 tau`` but for the factor ``(2 tau)**2``. It is 1 for
tau = 0.5, the value that the driver gives to all sides.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss
from transformers import TrainerCallback
from turn import Turns, attention, workload


class InOrder(DefaultBatchSampler):
    """The rows of a data set in their order."""

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of row numbers."""
        for start in range(0, len(self.sampler), self.batch_size):
            yield list(range(start, min(start + self.batch_size, len(self.sampler))))


class TakeTurns(TrainerCallback):
    """Waits for the driver after each step; keeps what the loss gave."""

    def __init__(self, turns: Turns, loss: torch.nn.Module) -> None:
        self._turns, self._loss = turns, torch.zeros(())
        loss.register_forward_hook(self._keep)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Before the first batch is fetched."""
        self._turns.ready()
        self._turns.begin()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """The weights were changed."""
        self._turns.done(self._loss)
        self._turns.begin()

    def _keep(self, _module: Any, _inputs: Any, output: Any) -> None:
        self._loss = output.detach()


def main() -> None:
    """Do one kind of work in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--encode_document", action="store_true")
    options = parser.parse_args()
    given, turns = workload(), Turns()
    if given["work"] == "distillation":
        distil(given, turns, options.workers)
    elif given["work"] == "teacher":
        teach(given, turns, options.workers)
    elif given["work"] == "scoring":
        score(given, turns)
    else:
        encode(given, turns, options.encode_document)


def distil(given: dict[str, Any], turns: Turns, workers: int) -> None:
    """Steps of ``SentenceTransformerTrainer``."""
    model = SentenceTransformer(given["model"], model_kwargs=attention())
    rows = [
        {"query": query, "positive": documents[0]}
        | {f"negative_{number}": text for number, text in enumerate(documents[1:], start=1)}
        | {"label": scores}
        for batch in given["batches"]
        for query, documents, scores in zip(batch["queries"], batch["documents"], batch["scores"], strict=True)
    ]
    loss = DistillKLDivLoss(model, student_temperature=2 * given["tau"], teacher_temperature=given["tau"])
    prompts = {name: given["prompts"][name != "query"] for name in rows[0] if name != "label"}
    with tempfile.TemporaryDirectory() as folder:
        settings = SentenceTransformerTrainingArguments(
            prompts=prompts if any(prompts.values()) else None, **common(given, folder, workers)
        )
        SentenceTransformerTrainer(
            model=model,
            args=settings,
            train_dataset=Dataset.from_list(rows),
            loss=loss,
            callbacks=[TakeTurns(turns, loss)],
        ).train()


def teach(given: dict[str, Any], turns: Turns, workers: int) -> None:
    """Steps of ``CrossEncoderTrainer``."""
    model = CrossEncoder(given["model"], max_length=given["max_len"], model_kwargs=attention())
    rows = [
        {"query": query, "document": document, "label": label}
        for batch in given["batches"]
        for query, document, label in zip(batch["queries"], batch["documents"], batch["labels"], strict=True)
    ]
    loss = BinaryCrossEntropyLoss(model)
    with tempfile.TemporaryDirectory() as folder:
        CrossEncoderTrainer(
            model=model,
            args=CrossEncoderTrainingArguments(**common(given, folder, workers)),
            train_dataset=Dataset.from_list(rows),
            loss=loss,
            callbacks=[TakeTurns(turns, loss)],
        ).train()


def common(given: dict[str, Any], folder: str, workers: int) -> dict[str, Any]:
    """Arguments of both trainers."""
    return {
        "output_dir": folder,
        "per_device_train_batch_size": given["batch_size"],
        "max_steps": given["planned_steps"],
        "learning_rate": given["lr"],
        "weight_decay": 0.0,
        "bf16": given["precision"] == "bf16",
        "use_cpu": not torch.cuda.is_available(),  # it refuses bf16 on a CPU otherwise
        "batch_sampler": InOrder,
        "dataloader_num_workers": workers,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def score(given: dict[str, Any], turns: Turns) -> None:
    """Passes of ``CrossEncoder.predict`` over all pairs, weights in the precision wanted."""
    model = CrossEncoder(given["model"], max_length=given["max_len"], model_kwargs=attention() | reduced(given))
    pairs = list(zip(given["queries"], given["documents"], strict=True))
    turns.ready()
    while True:
        turns.begin()
        scores = model.predict(pairs, show_progress_bar=False, activation_fn=torch.nn.Sigmoid())
        turns.done()
        np.save(f"{given['results']}/sentence-transformers.npy", np.asarray(scores, dtype=np.float32))


def encode(given: dict[str, Any], turns: Turns, encode_document: bool) -> None:
    """Passes of ``SentenceTransformer.encode`` or ``encode_document`` over all documents."""
    model = SentenceTransformer(given["model"], model_kwargs=attention() | reduced(given))
    name = "encode_document" if encode_document else "encode"
    call: Any = getattr(model, name)
    arguments = {} if encode_document else {"prompt": given["prompts"][1]}
    turns.ready()
    while True:
        turns.begin()
        vectors = call(given["documents"], show_progress_bar=False, **arguments)
        turns.done()
        np.save(f"{given['results']}/{name}.npy", np.asarray(vectors, dtype=np.float32))


def reduced(given: dict[str, Any]) -> dict[str, str]:
    """Weights in half precision where it is wanted: what its documentation advises for inference."""
    return {"dtype": "bfloat16"} if given["precision"] == "bf16" else {}


if __name__ == "__main__":
    main()
