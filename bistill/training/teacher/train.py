"""Stage 1: a Cross-Encoder teacher trained with binary cross-entropy on (query, document) pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bistill import console, losses
from bistill.candidates.lists import negatives_of
from bistill.candidates.scores import scoring
from bistill.candidates.scores.cache import ScoreCache
from bistill.config import TeacherOptions, assembling
from bistill.data.queries import choice
from bistill.data.records import Record
from bistill.data.sampling import permutation
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.texts import keys_of
from bistill.errors import ArtifactError, shown
from bistill.journal import Journal
from bistill.models import lora, rerankers
from bistill.models.compute import batching
from bistill.models.cross_encoder import CrossEncoder, Pair
from bistill.models.files import loading
from bistill.training.hard_lists import affordable, hard_lists
from bistill.training.loop.batch import Batch, Terms
from bistill.training.loop.engine import peak_lr
from bistill.training.loop.schedule import Rates
from bistill.training.run import finished, stage
from bistill.training.run.hooks import Validate
from bistill.training.validation import TEACHER_CRITERIA, Measured, ValidationLists, measure_teacher


class PairTask:
    """Labelled pairs: every positive of every query, and ``negatives_per_positive`` negatives for each, redrawn each
    epoch. Of a query without a positive these are its labelled negatives alone, as many as of one with a positive.

    Args:
        encoder: the teacher in training.
        dataset: queries and documents.
        query_ids: queries trained on.
        options: negatives and seed.
    """

    def __init__(self, encoder: CrossEncoder, dataset: Dataset, query_ids: np.ndarray, options: TeacherOptions) -> None:
        self._encoder, self._dataset, self._query_ids, self._options = encoder, dataset, query_ids, options
        self._texts = len(np.unique(keys_of(dataset.documents)))
        self._drawn: tuple[tuple[int, int], tuple[tuple[int, ...], tuple[float, ...]]] | None = None
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

    @property
    def without_positive(self) -> int:
        """Those of them whose query has no positive."""
        rows = np.isin(self._query_ids, self._dataset.without_positive, assume_unique=True)
        return int(np.diff(self._ends, prepend=0)[rows].sum())

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Queries shuffled, the pairs of a query together: a batch holds what is relevant beside what is not.

        Pairs shuffled one by one learned far more slowly on small data (``docs/experiments.md``).
        """
        starts = np.concatenate([[0], self._ends[:-1]])
        rows = permutation(seed, epoch, len(self._ends))
        return np.concatenate([np.arange(starts[row], self._ends[row]) for row in rows])

    def batch(self, samples: np.ndarray, epoch: int) -> Batch:
        """Binary cross-entropy of pairs: a mean, so each pair adds its share by itself."""
        pairs, labels = zip(*(self.pair(int(sample), epoch) for sample in samples), strict=True)
        return pair_batch(self._encoder, pairs, labels, lambda place: f"pair {samples[place]}")

    def pair(self, sample: int, epoch: int) -> tuple[tuple[str, str], float]:
        """((query, document), label) of one sample: first a query's positives, then its negatives."""
        row = int(np.searchsorted(self._ends, sample, side="right"))
        place = sample - (int(self._ends[row - 1]) if row else 0)
        record = self._dataset[int(self._query_ids[row])]
        if place < len(record.positives):
            return (record.query, self._dataset.documents[record.positives[place]]), record.positive_labels[place]
        documents, labels = self._negatives(record, epoch)
        number = place - len(record.positives)
        return (record.query, self._dataset.documents[documents[number]]), labels[number]

    def _negatives(self, record: Record, epoch: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Negatives of a query; the last ones drawn are kept, since the pairs of a query follow each other.

        What is kept is replaced as a whole, so that threads which ask at once each get what they asked for.
        """
        key, kept = (record.query_id, epoch), self._drawn
        if kept is not None and kept[0] == key:
            return kept[1]
        count = self._wanted(record)
        drawn = negatives_of(record, self._dataset.documents, count=count, seed=self._options.seed, epoch=epoch)
        self._drawn = (key, drawn)
        return drawn

    def _wanted(self, record: Record) -> int:
        """Negatives of a query; where nothing is relevant random documents would teach nothing about the query."""
        own = self._options.negatives_per_positive
        return len(record.positives) * own if record.positives else min(own, len(record.negatives))

    def _size(self, query_id: int) -> int:
        record = self._dataset[query_id]
        wanted = self._wanted(record)
        if wanted < self._texts - len(record.positives):  # one of them may be the query's own text
            return len(record.positives) + wanted
        # A small data set may have fewer: as many in every epoch, whichever they are.
        negatives, _ = negatives_of(record, self._dataset.documents, count=wanted, seed=0, epoch=0)
        return len(record.positives) + len(negatives)


def pair_batch(
    encoder: CrossEncoder, pairs: Sequence[Pair], labels: Sequence[float], name: Callable[[int], str]
) -> Batch:
    """Binary cross-entropy of labelled pairs: a mean, so each pair adds its share by itself.

    Args:
        encoder: the teacher in training.
        pairs: (query, document) texts.
        labels: relevance in 0..1 of each.
        name: what a person calls the pair at a place.
    """
    encodings = encoder.tokenize(pairs)
    targets = torch.tensor(labels)

    def terms(logits: Tensor, places: np.ndarray) -> Terms:
        own = targets[places].to(logits.device)
        return {"loss": losses.pointwise_bce(logits, own) * (len(places) / len(pairs))}

    return Batch(
        lengths=batching.lengths(encodings),
        forward=lambda places: encoder.forward([encodings[place] for place in places]),
        terms=terms,
        separable=True,
        packed=encoder.packs,
        describe=lambda place: f"{name(place)} ({shown(pairs[place][0])}, {shown(pairs[place][1])})",
    )


def train(options: TeacherOptions) -> dict[str, Any]:
    """Train a teacher and write its folder; one of the same options, data and start that is there is kept.

    Returns:
        The record also written to ``bistill.json``.

    Raises:
        OptionError: a model of others is there, and ``overwrite`` is not given.
        BistillError: data or model cannot be used.
    """
    stage.refuse_overwriting(options.output_dir, [options.model_name], "the teacher would overwrite its start")
    if (there := finished.model_of("teacher", options)) is not None:
        return there
    with stage.recorded("teacher", options) as journal:
        return _train(options, journal)


def _train(options: TeacherOptions, journal: Journal) -> dict[str, Any]:
    dataset, valid = stage.load_data(options, journal)
    query_ids = choice.queries(dataset, options.seed, "train", options.max_samples)
    console.say(f"teacher: {choice.chosen(dataset, query_ids)}")
    encoder = start(options)
    task = PairTask(encoder, dataset, query_ids, options)
    alone = f", {task.without_positive} of them of queries without a positive" if task.without_positive else ""
    weights = lora.trainable_parameters(encoder.model)
    console.say(f"teacher: {task.samples} pairs an epoch{alone}, {weights} weights to train")
    documents = assembling.version(options).corpus(valid)
    lists = _validation_lists(task, valid, documents, options, at_first=not encoder.new_keys)
    validation = Validate(
        encoder.model,
        lambda: measure_teacher(encoder, lists),
        criteria=TEACHER_CRITERIA,
        every=options.eval_steps,
        journal=journal,
        at_first=not encoder.new_keys,
        patience=options.patience,
    )
    lr = peak_lr(options)
    record = stage.fit(
        "teacher",
        task,
        encoder,
        options,
        validation,
        journal,
        rates=Rates(lr, options.head_lr_factor * lr, encoder.new_head()),
        base_model=loading.portable(options.model_name),
        inputs=finished.inputs_of(options),
        run={
            "data": {"train": dataset.fingerprint, "valid": valid.fingerprint},
            "models": {"start": loading.model_fingerprint(encoder.source)},
            "validation": {"lists": lists.fingerprint()},
        },
    )
    if validation.measured_best is not None:  # None in a run that went on behind its best weights
        _keep_scores(options, lists, validation.measured_best)
    return record


def _validation_lists(
    task: PairTask, valid: Dataset, documents: Corpus, options: TeacherOptions, *, at_first: bool
) -> ValidationLists:
    """The hard lists of so many validation queries that all validations of the run read a small part of the pairs that
    it trains on, with one validation an epoch, and one ``at_first``."""
    hard = hard_lists(valid, documents, options)
    count = affordable(hard, task.samples * options.epochs // (options.epochs + at_first))
    return ValidationLists(valid.queries, documents, hard[:count])


def _keep_scores(options: TeacherOptions, lists: ValidationLists, measured: Measured) -> None:
    """What the best weights gave the validation pairs goes into the cache of the saved teacher, where the gate of the
    next command finds it. Adapters are merged in the folder, which changes a score by rounding at most."""
    logits = np.concatenate(measured.logits)
    if not np.isfinite(logits).all():
        return
    identity = rerankers.identity(
        options.output_dir, precision=options.precision, trust_remote_code=options.trust_remote_code
    )
    try:
        with ScoreCache.open(identity) as cache:
            scoring.keep(cache, lists.queries, lists.documents, lists.pairs(), logits)
    except ArtifactError as error:
        console.say(f"the scores of the validation pairs are not kept: {error}")


def start(options: TeacherOptions) -> CrossEncoder:
    """The Cross-Encoder that a teacher starts as, with adapters where these are wanted.

    Raises:
        ModelError: it cannot be loaded, or is a classifier with several outputs.
    """
    encoder = CrossEncoder.start(
        options.model_name,
        max_len=options.max_len,
        precision=options.precision,
        seed=options.seed,
        trust_remote_code=options.trust_remote_code,
    )
    if encoder.new_keys:
        console.say(f"{options.model_name} has no relevance head yet: {', '.join(encoder.new_keys)} start at random")
    if (adapters := assembling.lora(options)) is not None:
        encoder.model = lora.apply(encoder.model, adapters, new_keys=encoder.new_keys, seed=options.seed)
    return encoder
