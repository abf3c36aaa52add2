"""What each of several models ranks first for the queries of a sheet."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from bistill.arrays import Ints
from bistill.candidates.mining.dense import DenseMiner
from bistill.candidates.mining.lexical import LexicalMiner
from bistill.candidates.mining.miner import Miner
from bistill.candidates.scores.teachers import CachedTeacher
from bistill.candidates.settings import TeacherReading
from bistill.data.queries.copies import Selection, without_own
from bistill.data.store.corpus import Corpus
from bistill.errors import OptionError
from bistill.evaluation.models import ONLY_IMPORTED
from bistill.models.settings import Inference

BM25 = "bm25"


@dataclass(frozen=True)
class Rankers:
    """The models of a sheet.

    Attributes:
        searching: those that search all documents: BM25 and Bi-Encoders.
        rerankers: those that re-rank what these found.
    """

    searching: list[Miner]
    rerankers: list[CachedTeacher]


def opened(
    names: Sequence[str],
    queries: Sequence[str],
    documents: Corpus | Selection,
    inference: Inference,
    opening: ExitStack,
) -> Rankers:
    """Find the models; their weights stay on disk until they rank.

    Args:
        names: folders, hub names, "bm25".
        queries: texts by id.
        documents: what is ranked, no two of them the same text.
        inference: how the models compute.
        opening: closes them at its end.

    Raises:
        OptionError: no model, one twice, one that is imported scores, or re-rankers alone.
        ModelError: one is not there, or is neither a Bi-Encoder nor a re-ranker.
    """
    if repeated := [name for name in names if names.count(name) > 1]:
        raise OptionError("a model is named twice", where="`models`", found=repeated[0], todo="name each once")
    precision, trusted = inference.precision, inference.trust_remote_code
    reading = TeacherReading(precision=precision, batch_size=inference.batch_size, trust_remote_code=trusted)
    found = Rankers([], [])
    for name in names:
        if name == BM25:
            found.searching.append(LexicalMiner(queries, documents))
            continue
        model = opening.enter_context(CachedTeacher.open(name, reading))
        if model.imported:
            raise OptionError(ONLY_IMPORTED, where="`models`", found=name, todo="leave it out")
        if model.encoder is None:
            found.rerankers.append(model)
        else:
            found.searching.append(DenseMiner(queries, documents, model.encoder, batch_size=inference.batch_size))
    if not found.searching:
        what = "no model that searches: a re-ranker only re-ranks what others find"
        raise OptionError(what, where="`models`", found=names, todo="name bm25 or a Bi-Encoder, too")
    return found


def searched(models: Sequence[Miner], query_ids: Ints, own: Ints, depth: int) -> list[Ints]:
    """The ranking of each model that searches.

    Args:
        models: BM25 and Bi-Encoders.
        query_ids: of the queries asked, int64 of shape (queries,).
        own: the document that is the text of each and is left out, int64 of shape (queries,); -1 where there is none.
        depth: documents of each query.

    Returns:
        Document ids, int64 of shape (queries, depth), -1 at the end of a row that has fewer.
    """
    return [without_own(model.mine(query_ids, depth + 1), own, depth)[0] for model in models]


def reranked(
    model: CachedTeacher, queries: Sequence[str], documents: Sequence[str], query_ids: Ints, read: Sequence[Ints]
) -> Ints:
    """What a re-ranker makes of the documents that it reads.

    Args:
        model: the re-ranker.
        queries: texts by id.
        documents: texts by id.
        query_ids: of the queries asked, int64 of shape (queries,).
        read: rising ids of the documents read of each, int64.

    Returns:
        Document ids, int64 of shape (queries, longest of ``read``), falling score, equal ones by lower id, -1 at the
        end of a row that has fewer.

    Raises:
        ModelError: a score is NaN or infinite.
    """
    lengths = [len(row) for row in read]
    pairs = np.stack([np.repeat(query_ids, lengths), np.concatenate(read)], axis=1)
    logits = model.logits(queries, documents, pairs, f"pairs of {model.name}").logits
    ranked = np.full((len(read), max(lengths)), -1, dtype=np.int64)
    for row, (ids, scores) in enumerate(zip(read, np.split(logits, np.cumsum(lengths)[:-1]), strict=True)):
        ranked[row, : len(ids)] = ids[np.argsort(-scores, kind="stable")]
    return ranked
