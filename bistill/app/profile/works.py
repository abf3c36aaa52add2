"""The four works that are measured: each through the code that the commands use, on the user's own texts."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from torch import nn

from bistill.app import assembling
from bistill.app.config import BenchOptions, DistillationOptions, ScoringOptions, TeacherOptions
from bistill.app.profile.arithmetic import Weights
from bistill.app.profile.measuring import UNTIMED, MeasuredWork, Outcome, Watch, repeated
from bistill.app.profile.meters import PeakMemory, TokenMeter, token_weights
from bistill.arrays import Floats, Ints
from bistill.candidates.lists import CandidateList, negatives_of
from bistill.candidates.pools import Counts, ScoredPools
from bistill.data.queries import choice
from bistill.data.sampling import subset
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.errors import DataError
from bistill.models import rerankers
from bistill.models.bi_encoder import BiEncoder
from bistill.models.causal_reranker import CausalReranker
from bistill.models.compute.precision import default_device
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.files import loading
from bistill.training.loop.engine import Engine, Task
from bistill.training.settings import Loop
from bistill.training.student import train as distillation
from bistill.training.student.list_task import ListTask
from bistill.training.teacher import train as teacher
from bistill.training.teacher.pairs import PairTask

T = TypeVar("T", TeacherOptions, DistillationOptions)


@dataclass
class WorkLists:
    """Queries with a positive and K - 1 negatives each, and what the teacher says of these pairs as far as it is known.

    Attributes:
        query_ids: of the queries, shape (n,).
        documents: of each query, the positive first.
        logits: of all pairs one after the other, float32; nan where the teacher has not read the pair.
    """

    query_ids: list[int]
    documents: list[tuple[int, ...]]
    logits: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.logits = np.full(sum(map(len, self.documents)), np.nan, dtype=np.float32)

    def pairs(self) -> Ints:
        """(query id, document id) of all pairs, int64 of shape (pairs, 2)."""
        rows = zip(self.query_ids, self.documents, strict=True)
        return np.array([(query, document) for query, own in rows for document in own], dtype=np.int64)

    def pools(self) -> ScoredPools:
        """As distillation takes them; every pair has been scored."""
        ends = np.cumsum([0, *map(len, self.documents)])
        pools = []
        for row, (query, documents) in enumerate(zip(self.query_ids, self.documents, strict=True)):
            item = CandidateList.unscored(query, documents[:1], dict.fromkeys(documents[1:], 0))
            pools.append(dataclasses.replace(item, logits=self.logits[ends[row] : ends[row + 1]]))
        return ScoredPools(pools, Counts())


def draw_lists(dataset: Dataset, options: BenchOptions) -> WorkLists:
    """Lists of as many queries as the updates need, or of all there are: labelled negatives, then random documents.

    Raises:
        DataError: no query has a positive, or none a negative.
    """
    wanted = options.batch_size * (options.steps + UNTIMED)
    chosen = choice.with_positive(dataset, options.seed, "train", min(wanted, options.max_samples or wanted))
    query_ids, documents = [], []
    for record in (dataset[int(query)] for query in chosen):
        negatives, _ = negatives_of(record, dataset.documents, count=options.K - 1, seed=options.seed, epoch=0)
        if negatives:
            query_ids.append(record.query_id)
            documents.append((record.positives[0], *negatives))
    if not query_ids:
        raise DataError("no query has a document beside its positives", where=str(dataset.path))
    return WorkLists(query_ids, documents)


def train_teacher(dataset: Dataset, lists: WorkLists, options: BenchOptions) -> Outcome:
    """Updates of a teacher on labelled pairs."""
    with PeakMemory(default_device()) as memory:
        own = _options(TeacherOptions, options, model_name=options.teacher_path)
        training = assembling.teacher_training(own)
        encoder = teacher.start(training)
        pair = (dataset.queries[lists.query_ids[0]], dataset.documents[lists.documents[0][0]])
        weights = token_weights(encoder.model, lambda: encoder.logits([pair]))
        own_negatives = training.negatives_per_positive
        task = PairTask(
            encoder, dataset, np.array(lists.query_ids), negatives_per_positive=own_negatives, seed=options.seed
        )
        measured = _updates(task, encoder, training.loop, options.steps)
    return Outcome(measured, weights, memory.mib)


def score(dataset: Dataset, lists: WorkLists, options: BenchOptions) -> Outcome:
    """The teacher's reading of pairs; what it says is kept in the lists."""
    pairs = lists.pairs()
    size = options.pairs or options.batch_size * options.K
    with PeakMemory(default_device()) as memory:
        encoder, body = _reranker(options)

        def run(number: int) -> int:
            rows = np.arange(number * size, (number + 1) * size) % len(pairs)
            lists.logits[rows] = _logits(encoder, dataset, pairs[rows])
            return size

        weights = token_weights(body, lambda: _logits(encoder, dataset, pairs[:1]))
        measured = repeated(run, body, steps=options.steps, device=encoder.device)
    return Outcome(measured, weights, memory.mib)


def distil(dataset: Dataset, lists: WorkLists, options: BenchOptions) -> Outcome:
    """Updates of a student on the lists; pairs that the teacher has not read yet are scored first, untimed."""
    _score_rest(dataset, lists, options)
    with PeakMemory(default_device()) as memory:
        own = _options(DistillationOptions, options)
        training = assembling.student_training(own)
        encoder = distillation.start(training)
        weights = _student_weights(encoder, dataset)
        collection = Collection(dataset, Corpus(dataset.documents))
        of_lists, objective = training.candidates.lists, training.objective
        task = ListTask(encoder, collection, lists.pools(), of_lists, objective, seed=options.seed)
        measured = _updates(task, encoder, training.loop, options.steps)
    return Outcome(measured, weights, memory.mib)


def encode(dataset: Dataset, _lists: WorkLists, options: BenchOptions) -> Outcome:
    """Vectors of documents, as evaluation and search make them."""
    size = options.documents
    chosen = subset(options.seed, "documents", len(dataset.documents), size * (options.steps + UNTIMED))
    with PeakMemory(default_device()) as memory:
        own = _options(DistillationOptions, options, use_lora=False)
        encoder = distillation.start(assembling.student_training(own))

        def run(number: int) -> int:
            rows = np.arange(number * size, (number + 1) * size) % len(chosen)
            encoder.encode_documents(dataset.documents.take(chosen[rows]))
            return size

        weights = _student_weights(encoder, dataset)
        measured = repeated(run, encoder.model, steps=options.steps, device=encoder.device)
    return Outcome(measured, weights, memory.mib)


WORKS = {"teacher": train_teacher, "scoring": score, "distillation": distil, "encoding": encode}
ITEMS = {"teacher": "pairs", "scoring": "pairs", "distillation": "queries", "encoding": "texts"}


def _updates(task: Task, encoder: CrossEncoder | BiEncoder, loop: Loop, steps: int) -> MeasuredWork:
    """Updates through the engine, as many epochs as they take; nothing is written."""
    size, samples = loop.batch_size, task.samples
    per_epoch = math.ceil(samples / size)
    loop = dataclasses.replace(loop, epochs=math.ceil((steps + UNTIMED) / per_epoch))

    def items(step: int) -> int:
        return min(size, samples - (step - 1) % per_epoch * size)

    with TokenMeter(encoder.model) as meter:
        watch = Watch(meter, steps, encoder.device, items)
        Engine(task, loop, precision=encoder.precision, hooks=[watch]).run()
    assert watch.measured is not None
    return watch.measured


def _reranker(options: BenchOptions) -> tuple[rerankers.Reranker, nn.Module]:
    """The teacher as it scores, and its module that reads tokens; a missing head is drawn, since it alters no time."""
    name, trusted = options.teacher_path, options.trust_remote_code
    name = loading.local_folder(name, "start")
    config = loading.load_config(name, trust_remote_code=trusted)
    settings: dict[str, Any] = {
        "max_len": options.max_len,
        "precision": options.precision,
        "trust_remote_code": trusted,
    }
    if rerankers.is_causal(config, name, None):
        causal = CausalReranker.load(name, **settings)
        return causal, causal.model.get_decoder()
    encoder = CrossEncoder.start(name, seed=options.seed, **settings)
    return encoder, encoder.model


def _logits(encoder: rerankers.Reranker, dataset: Dataset, pairs: Ints) -> Floats:
    texts = [(dataset.queries[int(query)], dataset.documents[int(document)]) for query, document in pairs]
    return encoder.score(texts, batch_size=ScoringOptions().score_batch_size)


def _score_rest(dataset: Dataset, lists: WorkLists, options: BenchOptions) -> None:
    rest = np.flatnonzero(np.isnan(lists.logits))
    if len(rest):
        encoder, _ = _reranker(options)
        lists.logits[rest] = _logits(encoder, dataset, lists.pairs()[rest])


def _student_weights(encoder: BiEncoder, dataset: Dataset) -> Weights:
    text = encoder.tokenize_documents([dataset.documents[0]])
    return token_weights(encoder.model, lambda: encoder.forward(text))


def _options(kind: type[T], options: BenchOptions, **changes: Any) -> T:
    """Options of a stage: those of the same names, and the stage's own defaults."""
    names = {item.name for item in dataclasses.fields(kind)} & {item.name for item in dataclasses.fields(options)}
    return kind(**{**{name: getattr(options, name) for name in names}, **changes})
