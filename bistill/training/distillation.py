"""Stage 2: a Bi-Encoder student that learns its teacher's scores over candidate lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bistill import console, losses
from bistill.candidates.lists import CandidateList, for_distillation
from bistill.candidates.teacher_scores import TeacherScores
from bistill.config import DistillationOptions
from bistill.data.dataset import Dataset
from bistill.data.sampling import permutation, subset
from bistill.encoders import loading, lora
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.errors import OptionError
from bistill.journal import Journal
from bistill.training import stage
from bistill.training.hooks import Validate
from bistill.training.validation import STUDENT_CRITERIA, ValidationLists, student_figures


class ListTask:
    """Candidate lists of queries, with the teacher's scores at hand.

    Args:
        encoder: the student in training.
        dataset: queries and documents.
        query_ids: queries trained on.
        scores: the teacher's scores of every list of every epoch.
        options: size of the lists, loss settings and seed.
    """

    def __init__(
        self,
        encoder: BiEncoder,
        dataset: Dataset,
        query_ids: np.ndarray,
        scores: TeacherScores,
        options: DistillationOptions,
    ) -> None:
        self._encoder, self._dataset, self._query_ids = encoder, dataset, query_ids
        self._scores, self._options = scores, options

    @property
    def model(self) -> nn.Module:
        """The student's transformer."""
        model: nn.Module = self._encoder.model
        return model

    @property
    def samples(self) -> int:
        """Queries of one epoch."""
        return len(self._query_ids)

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Queries shuffled."""
        return permutation(seed, epoch, self.samples)

    def losses(self, samples: np.ndarray, epoch: int) -> dict[str, Tensor]:
        """The three losses of a batch of queries on the linear score."""
        options = self._options
        lists = [
            for_distillation(
                self._dataset, int(self._query_ids[sample]), size=options.K, seed=options.seed, epoch=epoch
            )
            for sample in samples
        ]
        student = losses.linear_score(self._cosines(lists))
        teacher, positive, mask = (value.to(student.device) for value in self._targets(lists))
        return losses.distillation(
            teacher,
            student,
            positive,
            mask,
            tau=options.tau,
            contrastive_weight=options.contrastive_weight,
            negative_penalty_weight=options.negative_penalty_weight,
        )

    def _cosines(self, lists: list[CandidateList]) -> Tensor:
        """(queries, longest list) cosines; a document that several lists hold is encoded once."""
        width = max(len(item.documents) for item in lists)
        distinct = sorted({document for item in lists for document in item.documents})
        place = {document: number for number, document in enumerate(distinct)}
        columns = [
            [place[document] for document in item.documents] + [0] * (width - len(item.documents)) for item in lists
        ]
        queries = self._encoder.embed_queries([self._dataset.queries[item.query_id] for item in lists])
        documents = self._encoder.embed_documents(self._dataset.documents.take(distinct))
        return (queries @ documents.T).gather(1, torch.tensor(columns, device=queries.device))

    def _targets(self, lists: list[CandidateList]) -> tuple[Tensor, Tensor, Tensor]:
        """Teacher scores, positives and mask, each (queries, longest list)."""
        shape = (len(lists), max(len(item.documents) for item in lists))
        teacher = torch.zeros(shape)
        positive = torch.zeros(shape, dtype=torch.bool)
        mask = torch.zeros(shape, dtype=torch.bool)
        for row, item in enumerate(lists):
            teacher[row, : len(item.documents)] = torch.from_numpy(self._scores.of(item))
            positive[row, : item.positives] = True
            mask[row, : len(item.documents)] = True
        return teacher, positive, mask


def train(options: DistillationOptions) -> dict[str, Any]:
    """Distil the teacher into a student and write its folder.

    Returns:
        The record also written to ``bistill.json``.

    Raises:
        BistillError: data or a model cannot be used.
    """
    output_dir = Path(options.output_dir)
    if output_dir.resolve() == Path(loading.resolve(options.teacher_path)).resolve():
        raise OptionError("the student would overwrite its teacher", where="--output_dir", found=options.output_dir)
    with stage.recorded(output_dir, "distillation", options) as journal:
        return _train(options, journal)


def _train(options: DistillationOptions, journal: Journal) -> dict[str, Any]:
    dataset, valid = stage.load_data(options, Path(options.output_dir), journal)
    query_ids = subset(options.seed, "train", len(dataset), options.max_samples)
    encoder = _student(options)
    scores = teacher_scores(options, dataset, query_ids)
    journal.write("teacher_scores", requested=scores.requested, scored=scores.scored)
    lists = ValidationLists.of(valid, count=options.valid_samples, seed=options.seed)
    validation = Validate(
        encoder.model,
        lambda: student_figures(encoder, lists),
        criteria=STUDENT_CRITERIA,
        every=options.eval_steps,
        journal=journal,
        at_first=True,
    )
    record = stage.fit(
        "student",
        ListTask(encoder, dataset, query_ids, scores, options),
        encoder,
        options,
        validation,
        journal,
        base_model=loading.portable(options.student_name),
        teacher_path=loading.portable(options.teacher_path),
        data={"train": dataset.fingerprint, "valid": valid.fingerprint},
    )
    _warn_if_worse(validation)
    return record


def teacher_scores(options: DistillationOptions, dataset: Dataset, query_ids: np.ndarray) -> TeacherScores:
    """Scores of the pairs of all epochs, each different pair scored once; the teacher is freed afterwards."""
    teacher = CrossEncoder.load(options.teacher_path, precision=options.precision)
    settings = lora.read_config(Path(teacher.source))
    if settings.get("use_lora"):
        console.say(f"teacher {teacher.source}: LoRA rank {settings['lora_r']}, alpha {settings['lora_alpha']}, merged")
    lists = (
        for_distillation(dataset, int(query_id), size=options.K, seed=options.seed, epoch=epoch)
        for epoch in range(options.epochs)
        for query_id in query_ids
    )
    scores = TeacherScores.compute(teacher, dataset, lists)
    console.say(f"teacher scores: {scores.requested} wanted, {scores.scored} different pairs scored")
    return scores


def _student(options: DistillationOptions) -> BiEncoder:
    encoder = BiEncoder.load(
        options.student_name,
        max_len=options.max_len,
        precision=options.precision,
        query_prompt=options.query_prompt,
        document_prompt=options.document_prompt,
    )
    if options.use_lora:
        encoder.model = lora.apply(encoder.model, options, new_keys=[], seed=options.seed)
    console.say(
        f"student: {lora.trainable_parameters(encoder.model)} weights to train, prompts {tuple(encoder.prompts)}"
    )
    return encoder


def _warn_if_worse(validation: Validate) -> None:
    before, after = validation.first["ndcg_at_10"], validation.best["ndcg_at_10"]
    if after < before:
        console.say(
            f"the student ranks worse than before distillation on the validation queries "
            f"(nDCG@10 {after:.4f}, untouched {before:.4f}): look at the teacher's figures, or lower --lr"
        )
