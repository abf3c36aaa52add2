"""Queries without labels as an evaluation's questions: the teacher is the judge.

Every model whose ranking is measured gives its first documents to a query's pool, and the teacher reads all of them
(depth-k pooling, Sparck Jones and van Rijsbergen 1975): what only one model finds is judged like the rest. Lists and
grades are those of ``candidates.judging``, by which a training without labels chooses its weights, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bistill import artifacts
from bistill.arrays import Ints
from bistill.candidates.judging import judged
from bistill.candidates.lists import CandidateList
from bistill.candidates.mining.dense import DenseMiner
from bistill.candidates.mining.miner import Miner
from bistill.candidates.mining.miners import in_corpus
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import Dense, Lexical, Limits, MinerSettings, Promotion
from bistill.data.queries import choice
from bistill.data.records import Record
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.joining import join
from bistill.data.store.opening import load_log
from bistill.errors import DataError, OptionError
from bistill.evaluation import models
from bistill.evaluation.models import Companion
from bistill.evaluation.ranked import Further, MoreDocuments, TestData, further
from bistill.evaluation.settings import Asking
from bistill.models.settings import EncoderStart, Inference

# Documents that each model gives to a query's pool: as many as nDCG@10 looks at.
DEPTH: Final = 10


@dataclass(frozen=True)
class Judged:
    """Queries that a teacher has judged.

    Attributes:
        collection: they and the documents.
        more: the documents that are not the queries' own.
        records: of the queries for which it finds something relevant, by rising id: what it does not call irrelevant as
            positives, its relevance as labels; what else it has read as negatives.
        judge: who judged, how, and how many queries, as the report holds it.
    """

    collection: Collection
    more: Further
    records: list[Record]
    judge: dict[str, Any]


def is_meant(test: TestData, asking: Asking) -> bool:
    """Whether the teacher is the judge: where it is asked for, and of queries of a data version without labels."""
    if asking.judge is not None:
        return asking.judge == "teacher"
    if isinstance(test, Dataset):
        return not test.labelled and len(test.unlabelled) > 0
    return Path(test).name in artifacts.LOG_FILES.values()


def build(
    test: TestData,
    documents: MoreDocuments,
    named: tuple[Companion, Companion, Companion, Companion],
    student: str,
    *,
    asking: Asking,
    inference: Inference,
    begin: Callable[[], object] = lambda: None,
) -> Judged:
    """Have the teacher read what the models and BM25 find for each query.

    Args:
        test: a file of queries, or queries that are open already.
        documents: more to rank among, see ``ranked.further``.
        named: base model, its cut, teacher and second student.
        student: folder or hub name.
        asking: which queries.
        inference: how the models compute.
        begin: called when models and data have been found and no model is loaded yet.

    Raises:
        DataError: a file cannot be used, there are no documents, or the teacher finds nothing relevant.
        OptionError: there is no teacher.
        ModelError: a model cannot be loaded or gives NaN or infinite values.
    """
    base, cut, teacher, compared = named
    if teacher.name is None or teacher.reason:
        raise OptionError(
            f"queries without labels have the teacher as judge, and there is none: {teacher.reason}",
            where="`Beside.teacher`",
            found=teacher.name,
            todo="name a re-ranker or a Bi-Encoder that was not trained on these queries",
        )
    dataset, more = _opened(test, asking), further(test, documents)
    collection = Collection(dataset, Corpus(dataset.documents, more.texts))
    if not len(collection.corpus):
        raise DataError(
            "queries without labels, and no documents to rank",
            where=str(dataset.path),
            todo="give `documents` FILE, or the queries of a data version",
        )
    queries = choice.without_labels(dataset, asking.seed, "evaluation", asking.max_queries)
    starts = _starts(base, cut, student, compared, inference)
    limits, settings = Limits(), models.teacher_settings(teacher, student, inference)
    begin()
    with Teachers.open([teacher.name], (), settings) as teachers:
        lists = judged(
            collection,
            queries,
            teachers,
            miners=_miners(starts, collection, inference.batch_size),
            limits=limits,
            promotion=Promotion(),
            lexical=Lexical(DEPTH),
            start=next(iter(starts.values())),
            seed=asking.seed,
        )
        facts = {"path": teacher.name, **teachers.members[0].identity}
    counts = {"queries": len(lists), "queries_left_out": len(queries) - len(lists)}
    pooled = {"depth": DEPTH, "models": ["bm25", *starts], "irrelevant_below": limits.irrelevant_below}
    return Judged(collection, more, [_record(item, dataset) for item in lists], {**facts, **pooled, **counts})


def _opened(test: TestData, asking: Asking) -> Dataset:
    """The queries of a file as a data set without labels; other columns than those of a log are not read."""
    if isinstance(test, Dataset):
        return test
    log = load_log(Path(test), on_bad_rows=asking.on_bad_rows, rejected_to=asking.rejected_to)
    return join([], [], [log], [np.arange(len(log))])


def _starts(
    base: Companion, cut: Companion, student: str, compared: Companion, inference: Inference
) -> dict[str, EncoderStart]:
    """The Bi-Encoders that are measured, by role, each as it reads texts; a base model that the student's record alone
    names may be missing."""
    how: dict[str, Any] = {"precision": inference.precision, "trust_remote_code": inference.trust_remote_code}

    def reads(companion: Companion) -> dict[str, Any]:
        names = {"pooling_name": "pooling"}
        return {names.get(name, name): value for name, value in models.base_reading(companion, student).items()}

    found = {}
    if base.name is not None and not base.reason and models.is_there(base):
        found["base"] = EncoderStart(base.name, **reads(base), **how)
    if cut.name is not None and not cut.reason and models.is_there(cut):
        found["cut"] = EncoderStart(cut.name, layers=len(models.layers(student)), **reads(cut), **how)
    found["student"] = EncoderStart(student, **how)
    if compared.name is not None and not compared.reason:
        found["compared"] = EncoderStart(compared.name, **how)
    return found


def _miners(starts: dict[str, EncoderStart], collection: Collection, batch_size: int) -> list[MinerSettings | Miner]:
    """BM25 and the nearest documents for each model."""
    first, *others = starts.items()
    nearest = [_Nearest(role, collection, model, batch_size) for role, model in others]
    return [Lexical(DEPTH), Dense(DEPTH, model=first[1]), *nearest]


class _Nearest:
    """The documents nearest for a model beside the first, under the name of its role."""

    def __init__(self, name: str, collection: Collection, model: EncoderStart, batch_size: int) -> None:
        self.name, self._pool = name, collection.corpus.different()
        self._miner = DenseMiner(collection.dataset.queries, self._pool, model, batch_size=batch_size)

    def fingerprint(self) -> str:
        """Of model and settings."""
        return self._miner.fingerprint()

    def mine(self, query_ids: Ints, depth: int) -> Ints:
        """As ``Miner.mine``: ``DEPTH`` documents, one more where the query's own text may be among them."""
        found = in_corpus(self._miner.mine(query_ids, depth), self._pool)
        found[:, DEPTH + 1 :] = -1
        return found


def _record(item: CandidateList, dataset: Dataset) -> Record:
    documents, labels, split = item.documents.tolist(), item.labels.tolist(), item.positives
    return Record(
        item.query_id,
        dataset.queries[item.query_id],
        tuple(documents[:split]),
        tuple(labels[:split]),
        tuple(documents[split:]),
        tuple(labels[split:]),
    )
