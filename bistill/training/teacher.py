"""Stage 1: a Cross-Encoder teacher trained with binary cross-entropy on (query, document) pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bistill import console, losses
from bistill.candidates.lists import negatives_of
from bistill.config import TeacherOptions
from bistill.data.dataset import Dataset
from bistill.data.sampling import permutation, subset
from bistill.encoders import loading, lora
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.training import stage
from bistill.training.engine import Engine
from bistill.training.hooks import ShowProgress, Validate, WriteJournal
from bistill.training.validation import CRITERIA, ValidationLists, teacher_figures


class PairTask:
    """Labelled pairs: every positive of every query, and ``negatives_per_positive`` negatives for each, redrawn each
    epoch.

    Args:
        encoder: the teacher in training.
        dataset: queries and documents.
        query_ids: queries trained on.
        options: negatives and seed.
    """

    def __init__(self, encoder: CrossEncoder, dataset: Dataset, query_ids: np.ndarray, options: TeacherOptions) -> None:
        self._encoder, self._dataset, self._query_ids, self._options = encoder, dataset, query_ids, options
        self._ends = np.cumsum([self._size(int(query_id)) for query_id in query_ids])

    @property
    def model(self) -> nn.Module:
        """The Cross-Encoder's transformer and head."""
        model: nn.Module = self._encoder.model
        return model

    @property
    def samples(self) -> int:
        """Pairs of one epoch."""
        return int(self._ends[-1])

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Queries shuffled, the pairs of a query together: a batch holds what is relevant beside what is not.

        Pairs shuffled one by one learned far more slowly on small data (``docs/experiments.md``).
        """
        starts = np.concatenate([[0], self._ends[:-1]])
        rows = permutation(seed, epoch, len(self._ends))
        return np.concatenate([np.arange(starts[row], self._ends[row]) for row in rows])

    def losses(self, samples: np.ndarray, epoch: int) -> dict[str, Tensor]:
        """Binary cross-entropy of a batch of pairs."""
        pairs, labels = zip(*(self.pair(int(sample), epoch) for sample in samples), strict=True)
        logits = self._encoder.logits(pairs)
        return {"loss": losses.pointwise_bce(logits, torch.tensor(labels, device=logits.device))}

    def pair(self, sample: int, epoch: int) -> tuple[tuple[str, str], float]:
        """((query, document), label) of one sample: first a query's positives, then its negatives."""
        row = int(np.searchsorted(self._ends, sample, side="right"))
        place = sample - (int(self._ends[row - 1]) if row else 0)
        record = self._dataset[int(self._query_ids[row])]
        if place < len(record.positives):
            return (record.query, self._dataset.documents[record.positives[place]]), record.positive_labels[place]
        count = len(record.positives) * self._options.negatives_per_positive
        documents, labels = negatives_of(self._dataset, record, count=count, seed=self._options.seed, epoch=epoch)
        number = place - len(record.positives)
        return (record.query, self._dataset.documents[documents[number]]), labels[number]

    def _size(self, query_id: int) -> int:
        record = self._dataset[query_id]
        available = len(self._dataset.documents) - len(record.positives)
        return len(record.positives) + min(len(record.positives) * self._options.negatives_per_positive, available)


def train(options: TeacherOptions) -> dict[str, Any]:
    """Train a teacher and write its folder.

    Returns:
        The record also written to ``bistill.json``.

    Raises:
        BistillError: data or model cannot be used.
    """
    output_dir = Path(options.output_dir)
    dataset, valid = stage.load_data(options, output_dir)
    encoder = CrossEncoder.start(
        options.model_name, max_len=options.max_len, precision=options.precision, seed=options.seed
    )
    if encoder.new_keys:
        console.say(f"{options.model_name} has no relevance head yet: {', '.join(encoder.new_keys)} start at random")
    if options.use_lora:
        encoder.model = lora.apply(encoder.model, options, new_keys=encoder.new_keys, seed=options.seed)
    task = PairTask(encoder, dataset, subset(options.seed, "train", len(dataset), options.max_samples), options)
    console.say(f"teacher: {task.samples} pairs an epoch, {lora.trainable_parameters(encoder.model)} weights to train")
    fingerprints = {"train": dataset.fingerprint, "valid": valid.fingerprint}
    with stage.recorded(output_dir, "teacher", options, data=fingerprints, model=encoder.source) as journal:
        lists = ValidationLists.of(valid, count=options.valid_samples, seed=options.seed)
        validation = Validate(
            encoder.model,
            lambda: teacher_figures(encoder, lists),
            criteria=CRITERIA,
            every=options.eval_steps,
            journal=journal,
        )
        hooks = [ShowProgress("training teacher"), WriteJournal(journal), validation]
        engine = Engine(
            task,
            options,
            precision=encoder.precision,
            hooks=hooks,
            head=encoder.new_head(),
            head_lr_factor=options.head_lr_factor,
        )
        progress = engine.run()
        encoder.save(output_dir, options)
        journal.write("saved", path=str(output_dir), step=validation.best_step)
        record = stage.write_record(
            output_dir,
            "teacher",
            options,
            base_model=loading.portable(options.model_name),
            data=fingerprints,
            updates=progress.step,
            best_step=validation.best_step,
            validation=validation.best,
        )
    console.say(f"teacher of step {validation.best_step} written to {output_dir}")
    return record
