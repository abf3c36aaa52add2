"""Stage 2: a Bi-Encoder student that learns its teacher's scores over candidate lists."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bistill import artifacts, console, losses
from bistill.candidates.building import build
from bistill.candidates.in_batch import InBatchNegatives
from bistill.candidates.mining.miners import parse
from bistill.candidates.pools import ScoredPools, TrainingList
from bistill.candidates.teacher_scores.teachers import IMPORTED, Teachers
from bistill.config import DistillationOptions
from bistill.data.corpus import Corpus
from bistill.data.dataset import Dataset
from bistill.data.sampling import permutation, subset
from bistill.data.version import corpus_of
from bistill.encoders import batching, loading, lora
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.tokens import cached_tokens
from bistill.errors import OptionError, shown
from bistill.journal import Journal
from bistill.training import gate, stage
from bistill.training.batch import Batch, Terms
from bistill.training.engine import batches
from bistill.training.hooks import Validate
from bistill.training.validation import STUDENT_CRITERIA, ValidationLists, student_figures


class ListTask:
    """Candidate lists of queries, with the teacher's scores and all texts' tokens at hand.

    Tokens of every text that a list may hold are made first, or found in the cache: no epoch tokenizes anything.

    Args:
        encoder: the student in training.
        dataset: queries.
        corpus: documents of the lists.
        pools: scored candidates of the queries trained on.
        options: size of the lists, loss settings and seed.
        in_batch: which documents of the other queries are negatives, too; None: lists hold own documents alone.
    """

    def __init__(
        self,
        encoder: BiEncoder,
        dataset: Dataset,
        corpus: Corpus,
        pools: ScoredPools,
        options: DistillationOptions,
        in_batch: InBatchNegatives | None = None,
    ) -> None:
        self._encoder, self._dataset, self._corpus = encoder, dataset, corpus
        self._pools, self._options, self._in_batch = pools, options, in_batch
        tokenizer, max_len, prompts = encoder.tokenizer, encoder.max_len, encoder.prompts
        self._queries = cached_tokens(
            tokenizer,
            dataset.queries,
            pools.query_ids,
            prompt=prompts.query,
            max_len=max_len,
            description="tokens: queries",
        )
        self._documents = cached_tokens(
            tokenizer,
            corpus,
            pools.document_ids(),
            prompt=prompts.document,
            max_len=max_len,
            description="tokens: documents",
        )

    @property
    def model(self) -> nn.Module:
        """The student's transformer."""
        model: nn.Module = self._encoder.model
        return model

    @property
    def samples(self) -> int:
        """Queries of one epoch."""
        return len(self._pools)

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Queries shuffled."""
        return permutation(seed, epoch, self.samples)

    def fingerprints(self) -> dict[str, str]:
        """What the lists are made from: an interrupted run goes on only with the same."""
        in_batch = {} if self._in_batch is None else {"in_batch": self._in_batch.fingerprint()}
        return {"pools": self._pools.fingerprint(), **in_batch}

    def lists(self, samples: np.ndarray, epoch: int) -> list[TrainingList]:
        """The candidate lists of a batch: each query's own documents, then those that others of the batch brought."""
        own = training_lists(self._pools, self._options, samples, epoch)
        return own if self._in_batch is None else self._in_batch.extended(own, epoch)

    def batch(self, samples: np.ndarray, epoch: int) -> Batch:
        """The three losses of a batch of queries on the linear score.

        Scores form a (queries, different documents of the batch) matrix, so that a document of several lists is encoded
        once; the mask holds what is no candidate of a query. Texts are the queries, then the documents.
        """
        options, encoder = self._options, self._encoder
        lists = self.lists(samples, epoch)
        documents = np.unique(np.concatenate([item.documents for item in lists]))
        queries = [item.query_id for item in lists]
        encodings = self._queries.encodings(queries) + self._documents.encodings(documents)
        targets = self._targets(lists, documents)

        def terms(vectors: Tensor, _places: np.ndarray) -> Terms:
            teacher, positive, mask = (value.to(vectors.device) for value in targets)
            student = losses.linear_score(vectors[: len(lists)] @ vectors[len(lists) :].T)
            return losses.distillation(
                teacher,
                student,
                positive,
                mask,
                tau=options.tau,
                contrastive_weight=options.contrastive_weight,
                negative_penalty_weight=options.negative_penalty_weight,
            )

        def describe(place: int) -> str:
            if place < len(lists):
                return f"query {queries[place]} {shown(self._dataset.queries[queries[place]])}"
            number = int(documents[place - len(lists)])
            return f"document {number} {shown(self._corpus.take([number])[0])}"

        return Batch(
            lengths=batching.lengths(encodings),
            forward=lambda places: encoder.forward([encodings[place] for place in places]),
            terms=terms,
            separable=False,
            packed=encoder.packs,
            describe=describe,
        )

    def _targets(self, lists: list[TrainingList], documents: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Teacher's relevance, positives and mask, each (queries, documents)."""
        teacher = np.full((len(lists), len(documents)), np.nan, dtype=np.float32)
        positive = np.zeros(teacher.shape, dtype=bool)
        for row, item in enumerate(lists):
            own = np.searchsorted(documents, item.documents)
            teacher[row, own] = item.relevance
            positive[row, own[0]] = True
        mask = ~np.isnan(teacher)
        return torch.from_numpy(np.nan_to_num(teacher)), torch.from_numpy(positive), torch.from_numpy(mask)


def training_lists(
    pools: ScoredPools, options: DistillationOptions, samples: np.ndarray, epoch: int
) -> list[TrainingList]:
    """The candidate lists of a batch of queries, given by their rows in the pools."""
    return [pools.training_list(int(row), options, seed=options.seed, epoch=epoch) for row in samples]


def train(options: DistillationOptions) -> dict[str, Any]:
    """Distil the teacher into a student and write its folder.

    Returns:
        The record also written to ``bistill.json``.

    Raises:
        BistillError: data or a model cannot be used.
    """
    output_dir = Path(options.output_dir)
    teachers = [name for name in (options.teacher_path, *options.more_teachers) if not name.startswith(IMPORTED)]
    if output_dir.resolve() in {Path(loading.resolve(name)).resolve() for name in teachers}:
        raise OptionError("the student would overwrite its teacher", where="--output_dir", found=options.output_dir)
    with stage.recorded("distillation", options) as journal:
        return _train(options, journal)


def _train(options: DistillationOptions, journal: Journal) -> dict[str, Any]:
    parse(options)  # a wrong miner is said before anything is read
    dataset, valid = stage.load_data(options, Path(options.output_dir), journal)
    corpus = corpus_of(options, dataset)
    encoder = student(options)
    with Teachers.open(options.teacher_path, options, options.precision) as teachers:
        teachers.calibrate(valid, seed=options.seed)
        figures = gate.measure(teachers, encoder, valid, corpus_of(options, valid), options)
        if figures is not None:
            journal.write("gate", figures=figures)
            gate.check(figures, allow_weak_teacher=options.allow_weak_teacher)
        task = _task(options, encoder, dataset, corpus, teachers, journal)
        identities = teachers.identities()
    lists = ValidationLists.of(valid, count=options.valid_samples, seed=options.seed)
    validation = Validate(
        encoder.model,
        lambda: student_figures(encoder, lists),
        criteria=STUDENT_CRITERIA,
        every=options.eval_steps,
        journal=journal,
        at_first=True,
        patience=options.patience,
    )
    record = stage.fit(
        "student",
        task,
        encoder,
        options,
        validation,
        journal,
        base_model=loading.portable(options.student_name),
        teacher_path=_portable(options.teacher_path),
        teachers=identities,
        teacher_gate=figures,
        run={
            "data": {"train": dataset.fingerprint, "valid": valid.fingerprint},
            "models": {"start": loading.model_fingerprint(encoder.source)},
            "candidates": task.fingerprints(),
        },
    )
    _warn_if_worse(validation)
    return record


def _task(
    options: DistillationOptions,
    encoder: BiEncoder,
    dataset: Dataset,
    corpus: Corpus,
    teachers: Teachers,
    journal: Journal,
) -> ListTask:
    """Scored candidates of all epochs; afterwards no teacher is needed any more."""
    query_ids = subset(options.seed, "train", len(dataset), options.max_samples)
    pools = build(options, dataset, corpus, query_ids, teachers)
    counts = dataclasses.asdict(pools.counts)
    in_batch = None
    if options.in_batch or options.own_documents is not None:
        order = partial(permutation, size=len(pools))
        planned = (
            (epoch, training_lists(pools, options, samples, epoch)) for epoch, samples in batches(order, options)
        )
        kept = Path(options.output_dir) / artifacts.CHECKPOINTS_FOLDER / artifacts.IN_BATCH_SCORES
        in_batch = InBatchNegatives(dataset, corpus, pools, options, planned, teachers, kept)
        counts["in_batch"] = in_batch.counts
    journal.write("candidates", **counts)
    return ListTask(encoder, dataset, corpus, pools, options, in_batch)


def student(options: DistillationOptions) -> BiEncoder:
    """The Bi-Encoder that a student starts as, with adapters where these are wanted.

    Raises:
        ModelError: it cannot be loaded, or has modules that a student cannot have.
    """
    encoder = BiEncoder.load(
        options.student_name,
        max_len=options.max_len,
        precision=options.precision,
        query_prompt=options.query_prompt,
        document_prompt=options.document_prompt,
        trust_remote_code=options.trust_remote_code,
    )
    if options.use_lora:
        encoder.model = lora.apply(encoder.model, options, new_keys=[], seed=options.seed)
    console.say(
        f"student: {lora.trainable_parameters(encoder.model)} weights to train, prompts {tuple(encoder.prompts)}"
    )
    return encoder


def _portable(teacher: str) -> str:
    return teacher if teacher.startswith(IMPORTED) else loading.portable(teacher)


def _warn_if_worse(validation: Validate) -> None:
    before, after = validation.first["ndcg_at_10"], validation.figures["ndcg_at_10"]
    if after < before:
        console.say(
            f"the student ranks worse than before distillation on the validation queries "
            f"(nDCG@10 {after:.4f}, untouched {before:.4f}): look at the teacher's figures, or lower --lr"
        )
