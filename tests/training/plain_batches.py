"""Batches of teacher and student, beside the same written plainly: rows of one padded batch, losses by definition."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bistill.app import assembling
from bistill.app.config import DistillationOptions, TeacherOptions
from bistill.data.store.collection import Collection
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import load_split
from bistill.models import lora
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.training.loop.gradients import Batch
from bistill.training.student.list_task import ListTask, training_lists
from bistill.training.teacher.pairs import PairTask
from tests.assembled import built, list_task, opened

ALL = 10**6
QUERIES = np.array([7, 2, 9])

Numbers = dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Case:
    """A batch, its model, and the same written plainly.

    Attributes:
        batch: as the task makes it.
        model: of the task.
        rows: rows of the texts at some places by a copy of the model, in the type of its numbers.
        terms: loss terms of these rows by their definitions.
    """

    batch: Batch
    model: nn.Module
    rows: Callable[[nn.Module, np.ndarray], Tensor]
    terms: Callable[[Tensor, np.ndarray], Numbers]

    def budgets(self) -> list[int]:
        """From all texts at once down to one by one."""
        total, longest = int(self.batch.lengths.sum()), int(self.batch.lengths.max())
        return [ALL, total // 2, longest, 1]

    def alone(self, name: str) -> Case:
        """With one of the terms as the loss."""
        batch = dataclasses.replace(
            self.batch, terms=lambda rows, places: {"loss": self.batch.terms(rows, places)[name]}
        )
        return dataclasses.replace(
            self, batch=batch, terms=lambda rows, places: {"loss": self.terms(rows, places)[name]}
        )

    def double(self) -> Case:
        """Model and batch in double precision, by the plain rows and terms."""
        model = copy.deepcopy(self.model).double()
        for module in model.modules():
            module._forward_pre_hooks.clear()  # of a head that computes in float32
            module._forward_hooks.clear()
        batch = dataclasses.replace(self.batch, forward=lambda places: self.rows(model, places), terms=self.terms)
        return dataclasses.replace(self, batch=batch, model=model)


def teacher_case(data_root: Path, start: Path, *, use_lora: bool) -> Case:
    """A batch of 11 pairs.

    Args:
        data_root: with the version ``tiny``, of 12 queries.
        start: folder of the encoder that becomes the teacher.
        use_lora: train adapters.
    """
    options = TeacherOptions(data_version="tiny", data_root=str(data_root), use_lora=use_lora, lora_r=4)
    dataset = load_split(data_root / "tiny" / "train.csv")
    encoder = CrossEncoder.start(str(start), max_len=64, precision="fp32", seed=0)
    prepare(encoder, options)
    task = PairTask(encoder, dataset, np.arange(12), negatives_per_positive=4, seed=42)
    samples = task.order(3, 1)[:11]
    pairs = [task.pair(int(sample), 1) for sample in samples]

    def rows(model: nn.Module, places: np.ndarray) -> Tensor:
        texts = [pairs[place][0] for place in places]
        return model(**encoder.tokenizer(texts, padding=True, return_tensors="pt")).logits[:, 0]

    def terms(logits: Tensor, places: np.ndarray) -> Numbers:
        labels = torch.tensor([pairs[place][1] for place in places], dtype=logits.dtype)
        likelihood = labels * functional.logsigmoid(logits) + (1 - labels) * functional.logsigmoid(-logits)
        return {"loss": -likelihood.sum() / len(pairs)}

    return Case(task.batch(samples, 1), encoder.model, rows, terms)


def student_options(
    data_root: Path, start: Path, teacher: Path, *, use_lora: bool, in_batch: bool
) -> DistillationOptions:
    return DistillationOptions(
        data_version="tiny",
        data_root=str(data_root),
        teacher_path=str(teacher),
        output_dir="nowhere",
        student_name=str(start),
        K=5,
        epochs=2,
        max_negative_ratio=None,
        tau=0.2,
        contrastive_weight=0.3,
        negative_penalty_weight=0.4,
        use_lora=use_lora,
        lora_r=4,
        in_batch="floor" if in_batch else "never",
        info_nce_weight=0.0,
    )


def student_case(data_root: Path, start: Path, teacher: Path, *, use_lora: bool, in_batch: bool) -> Case:
    """A batch of the lists of ``QUERIES``.

    Args:
        data_root: with the version ``tiny``, of 12 queries.
        start: folder of the encoder that becomes the student.
        teacher: folder of the Cross-Encoder whose scores the lists have.
        use_lora: train adapters.
        in_batch: each list has the other lists' documents, too.
    """
    options = student_options(data_root, start, teacher, use_lora=use_lora, in_batch=in_batch)
    dataset = load_split(data_root / "tiny" / "train.csv")
    corpus = assembling.version(options).corpus(dataset)
    encoder = BiEncoder.load(str(start), max_len=64, precision="fp32")
    prepare(encoder, options)
    task = task_of(encoder, Collection(dataset, corpus), options)
    texts = plain_texts(task, dataset)

    def rows(model: nn.Module, places: np.ndarray) -> Tensor:
        words = [texts.words[place] for place in places]
        inputs = encoder.tokenizer(words, padding=True, return_tensors="pt")
        real = inputs["attention_mask"].unsqueeze(-1)
        vectors = (model(**inputs).last_hidden_state * real).sum(1) / real.sum(1)
        return vectors / vectors.norm(dim=1, keepdim=True)

    def terms(vectors: Tensor, _places: np.ndarray) -> Numbers:
        return plain_losses(texts.relevance, vectors, options.tau)

    return Case(task.batch(QUERIES, 1), encoder.model, rows, terms)


def task_of(encoder: BiEncoder, collection: Collection, options: DistillationOptions) -> ListTask:
    with opened(options.teacher_path, options) as teachers:
        pools = built(options, *collection, np.arange(12), teachers)
        task = list_task(options, encoder, collection, pools)
    own = training_lists(pools, assembling.lists(options), QUERIES, seed=options.seed, epoch=1)
    pairs = zip(own, task.lists(QUERIES, 1), strict=True)
    further = (len(extended.documents) > len(item.documents) for item, extended in pairs)
    assert set(further) == {options.in_batch == "floor"}
    return task


def prepare(encoder: Any, options: TeacherOptions | DistillationOptions) -> None:
    """Training mode, and weights that tell texts apart: in a fresh tiny model all vectors are nearly parallel, so that
    gradients are small differences of large numbers. Adapters are as after some updates (the gradients of untouched
    ones are half zero)."""
    random = torch.Generator().manual_seed(0)
    if (adapters := assembling.lora(options)) is not None:
        encoder.model = lora.apply(encoder.model, adapters, new_keys=getattr(encoder, "new_keys", []), seed=0)
    with torch.no_grad():
        for name, value in encoder.model.named_parameters():
            if "lora_B" in name:
                value.copy_(torch.randn(value.shape, generator=random) * 0.1)
            elif value.ndim > 1 and "lora_A" not in name:
                value.mul_(5)
    encoder.model.train()
    config = encoder.model.config
    assert config.hidden_dropout_prob == 0.1 == options.lora_dropout


@dataclasses.dataclass(frozen=True)
class Texts:
    """Words of the queries, then of the documents; teacher's relevance by document place of each query, positive
    first."""

    words: list[str]
    relevance: list[dict[int, float]]


def plain_texts(task: ListTask, dataset: Dataset) -> Texts:
    lists = task.lists(QUERIES, 1)
    documents = sorted({number for item in lists for number in item.documents})
    words = [dataset.queries[item.query_id] for item in lists] + [dataset.documents[number] for number in documents]
    relevance = []
    for item in lists:
        known = dict(zip(item.documents, item.relevance.tolist(), strict=True))
        relevance.append({len(lists) + documents.index(number): value for number, value in known.items()})
    return Texts(words, relevance)


def plain_losses(relevance: list[dict[int, float]], vectors: Tensor, tau: float) -> Numbers:
    """The three losses by their definitions: query by query, sums over what is there."""
    divergences, hinges, means, negatives = [], [], [], []
    for row, known in enumerate(relevance):
        scores = (vectors[list(known)] @ vectors[row] + 1) / 2
        target = torch.tensor(list(known.values()), dtype=scores.dtype).div(tau).softmax(0)
        divergences.append((target * (target.log() - (scores / tau).log_softmax(0))).sum())
        hinges.append((0.7 - (scores[0] - scores[1:].mean())).clamp(min=0))
        means.append((scores[1:].mean() - 0.15).clamp(min=0))
        negatives.append((scores[1:] - 0.15).clamp(min=0))
    divergence, hinge = torch.stack(divergences).mean(), torch.stack(hinges).mean()
    penalty = 0.5 * torch.cat(negatives).mean() + 0.5 * torch.stack(means).mean()
    return {
        "loss": divergence + 0.3 * hinge + 0.4 * penalty,
        "listwise_kl": divergence,
        "contrastive_hinge": hinge,
        "negative_penalty": penalty,
    }
