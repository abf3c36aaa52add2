"""What both stages measure on validation queries: ranking quality, then AUC, by which they choose their best weights,
and how far the scores of relevant and irrelevant documents lie apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bistill.arrays import Doubles, Floats, Ints, Number, Reals
from bistill.candidates.lists import CandidateList, for_validation
from bistill.data.queries import choice
from bistill.data.queries.copies import Copies, ranked_without_own
from bistill.data.sampling import generator
from bistill.data.store.dataset import Dataset
from bistill.evaluation.measures import bootstrap, exact, margins, ranking
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder

# A teacher re-ranks each query's own list, a student ranks the documents of all lists: two tasks, two names.
TEACHER_CRITERIA = ("rerank_ndcg_at_10", "auc")
STUDENT_CRITERIA = ("ndcg_at_10", "auc")
# nDCG@10 of held-out queries without labels against the teacher's relevance, beside a validation with labels.
JUDGED: Final = "judged_ndcg_at_10"
LIST_SIZE = 20
RANKING_DEPTH = 10
HISTOGRAM_BINS = 20


def difference(after: Doubles, before: Doubles, *, seed: int) -> bootstrap.Interval:
    """nDCG@10 of one validation minus that of another over the same queries, with its paired interval.

    Args:
        after: of each query with the weights that were trained, shape (queries,).
        before: likewise with the start.
        seed: of the run, decides the draws.
    """
    return bootstrap.paired(after[:, None], before[:, None], generator(seed, "beside start"))[0]


@dataclass(frozen=True)
class Measured:
    """What one validation found.

    Attributes:
        figures: by name.
        histograms: by kind of pairs, ``positive``, ``labelled_negative``, ``mined_negative`` or ``random_negative``,
            their number in each of ``HISTOGRAM_BINS`` equal parts of the score's range 0..1; a kind without pairs is
            missing.
        by_query: nDCG@10 of each query, float64 of shape (lists,): what the first figure is the mean of.
        logits: of a teacher, for the documents of each list.
        judged_by_query: what ``figures[JUDGED]`` is the mean of, float64; without that figure empty.
    """

    figures: dict[str, float]
    histograms: Mapping[str, list[int]] = field(default_factory=dict)
    by_query: Doubles = field(default_factory=lambda: np.empty(0))
    logits: Sequence[Floats] = ()
    judged_by_query: Doubles = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class ValidationLists:
    """Validation queries and the documents that each is ranked over.

    Attributes:
        queries: texts by id.
        documents: texts by id.
        lists: all positives, then negatives, of each query.
        further: documents that belong to no list and that a student must rank the positives above, too.
    """

    queries: Sequence[str]
    documents: Sequence[str]
    lists: list[CandidateList]
    further: frozenset[int] = frozenset()

    @classmethod
    def of(cls, dataset: Dataset, *, count: int, seed: int) -> ValidationLists:
        """Lists of ``count`` queries chosen by ``seed``, ``LIST_SIZE`` documents each where there are as many.

        Raises:
            DataError: no query has a positive.
        """
        chosen = choice.with_positive(dataset, seed, "valid", count)
        lists = [for_validation(dataset, int(query), size=LIST_SIZE, seed=seed) for query in chosen]
        return cls(dataset.queries, dataset.documents, lists)

    def among(self, corpus: Sequence[str], others: Iterable[CandidateList]) -> ValidationLists:
        """The same lists, to be ranked among the documents of other lists, too.

        Over the documents of a few hundred queries alone a well-trained student ranks nearly without fault, and what
        training changes is not seen; documents like those of the queries make it seen.

        Args:
            corpus: documents of both, those of these lists first.
            others: lists over the corpus.
        """
        further = frozenset(document for item in others for document in item.documents.tolist())
        return ValidationLists(self.queries, corpus, self.lists, further)

    @cached_property
    def pool(self) -> Pool:
        """The documents that a student ranks, found out once."""
        return Pool.of(self)

    def fingerprint(self) -> str:
        """SHA-256 of queries, documents and labels, by which best weights are chosen."""
        digest = hashlib.sha256()
        for item in self.lists:
            texts = [self.queries[item.query_id], *(self.documents[document] for document in item.documents)]
            kinds = (item.positives, int(item.labelled.sum()), int(item.mined.sum()))
            digest.update(json.dumps([*texts, item.labels.tolist(), *kinds]).encode("ascii"))
        for document in sorted(self.further):
            digest.update(json.dumps(self.documents[document]).encode("ascii"))
        return digest.hexdigest()

    def pairs(self) -> Ints:
        """(query id, document id) of every document of the lists: int64 of shape (pairs, 2)."""
        found = [(item.query_id, document) for item in self.lists for document in item.documents]
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    def by_list(self, values: npt.NDArray[Number]) -> list[npt.NDArray[Number]]:
        """One value a pair, of shape (pairs,), as one array a list."""
        return np.split(values, np.cumsum([len(item.documents) for item in self.lists])[:-1])

    def qrels(self, pool: Pool | None = None) -> dict[str, dict[str, int]]:
        """Gains of the positives by query and document, or by the document that stands for their text in a pool."""
        return {
            str(item.query_id): {
                str(document if pool is None else pool.documents[pool.place[document]]): gain
                for document, gain in zip(
                    item.documents[: item.positives], ranking.gains(item.labels[: item.positives]), strict=True
                )
            }
            for item in self.lists
        }


class Pool(NamedTuple):
    """Documents that a student ranks for every validation query, each text once.

    Attributes:
        documents: the first document of each text, rising ids: int64 of shape (texts,).
        place: in ``documents``, of the text of each document of the lists and of the further ones.
        own: place of each query's own text, which is left out of its ranking, int64 of shape (lists,); -1 where there
            is none, or where it is a positive.
    """

    documents: Ints
    place: dict[int, int]
    own: Ints

    @classmethod
    def of(cls, lists: ValidationLists) -> Pool:
        """The documents of all lists and the further ones."""
        used = sorted(lists.further.union(*(item.documents.tolist() for item in lists.lists)))
        copies = Copies([lists.documents[document] for document in used])
        place = dict(zip(used, copies.numbers(np.arange(len(used))).tolist(), strict=True))
        found = copies.find([lists.queries[item.query_id] for item in lists.lists])
        own = np.array([copies.numbers(first) if first >= 0 else -1 for first in found], dtype=np.int64)
        for row, item in enumerate(lists.lists):
            if own[row] in {place[document] for document in item.documents[: item.positives]}:
                own[row] = -1
        return cls(np.array(used, dtype=np.int64)[copies.different], place, own)


def measure_teacher(encoder: CrossEncoder, lists: ValidationLists) -> Measured:
    """``list_figures`` of the teacher's logits, and ``separated`` by its relevance."""
    pairs = [(lists.queries[query], lists.documents[document]) for query, document in lists.pairs()]
    own = lists.by_list(encoder.score(pairs, description="validation"))
    found = list_figures(lists, own)
    measured = separated(lists, found.figures, [margins.sigmoid(logits) for logits in own])
    return replace(measured, by_query=found.by_query, logits=own)


def list_figures(lists: ValidationLists, scores: Sequence[Reals]) -> Measured:
    """nDCG@10 of each query's own list by ``scores``, and AUC of positives against negatives.

    Args:
        lists: queries and documents.
        scores: of each list's documents, shape (documents,) each.
    """
    run = ranking.Rankings((item.query_id for item in lists.lists), [item.documents for item in lists.lists], scores)
    ndcg, by_query = _ndcg(lists, run)
    return Measured({"rerank_ndcg_at_10": ndcg, "auc": _auc(lists, scores)}, by_query=by_query)


def measure_student(encoder: BiEncoder, lists: ValidationLists, *, description: str = "validation") -> Measured:
    """nDCG@10 over the documents of all lists and the further ones together (each text once, no query's own text), AUC
    of each query's positives against its negatives, and ``separated`` by the linear score.

    Args:
        encoder: the student.
        lists: queries and documents.
        description: of the work, whose progress is shown; "" shows nothing.
    """
    pool = lists.pool
    queries = encoder.encode_queries([lists.queries[item.query_id] for item in lists.lists])
    texts = [lists.documents[document] for document in pool.documents]
    documents = encoder.encode_documents(texts, description=description)
    ids, scores = ranked_without_own(partial(exact.top_documents, queries, documents), pool.own, RANKING_DEPTH)
    found = np.where(ids >= 0, pool.documents[ids], -1)
    run = ranking.Rankings((item.query_id for item in lists.lists), found, scores)
    own = [
        documents[[pool.place[document] for document in item.documents]] @ query
        for query, item in zip(queries, lists.lists, strict=True)
    ]
    ndcg, by_query = _ndcg(lists, run, pool)
    measured = separated(
        lists, {"ndcg_at_10": ndcg, "auc": _auc(lists, own)}, [margins.linear_score(cosines) for cosines in own]
    )
    return replace(measured, by_query=by_query)


def measure_beside(
    encoder: BiEncoder, lists: ValidationLists, judged: ValidationLists | None, *, description: str = "validation"
) -> Measured:
    """``measure_student``; where there are further lists, whose grades are a teacher's, with their nDCG@10 as a figure
    that nothing is chosen by.

    Args:
        encoder: the student.
        lists: by which the best weights are chosen.
        judged: further lists, ranked among documents of their own.
        description: of the work, whose progress is shown; "" shows nothing.
    """
    measured = measure_student(encoder, lists, description=description)
    if judged is None:
        return measured
    beside = measure_student(encoder, judged, description="")
    figures = {**measured.figures, JUDGED: beside.figures[STUDENT_CRITERIA[0]]}
    return replace(measured, figures=figures, judged_by_query=beside.by_query)


def separated(lists: ValidationLists, figures: dict[str, float], scores: Sequence[Reals]) -> Measured:
    """Add ``margin``, the mean score of the positives minus that of all negatives, and histograms of the scores.

    Args:
        lists: queries and documents.
        figures: that are already known.
        scores: in 0..1, of each list's documents, shape (documents,) each.
    """
    kinds: dict[str, list[Reals]] = {
        "positive": [],
        "labelled_negative": [],
        "mined_negative": [],
        "random_negative": [],
    }
    for own, item in zip(scores, lists.lists, strict=True):
        positive, labelled, mined = np.arange(len(own)) < item.positives, item.labelled, item.mined
        masks = (positive, labelled, mined, ~(positive | labelled | mined))
        for found, mask in zip(kinds.values(), masks, strict=True):
            found.append(own[mask])
    relevant, *others = (np.concatenate(found) for found in kinds.values())
    margin = margins.separation(relevant, np.concatenate(others)).margin
    histograms = {
        kind: margins.histogram(values, HISTOGRAM_BINS)
        for kind, values in zip(kinds, (relevant, *others), strict=True)
        if len(values)
    }
    return Measured({**figures, "margin": margin}, histograms)


def _ndcg(lists: ValidationLists, run: ranking.Rankings, pool: Pool | None = None) -> tuple[float, Doubles]:
    """nDCG@10 of the rankings: the mean, and each query's, float64 of shape (lists,)."""
    found = ranking.figures_by_query(lists.qrels(pool), run)
    by_query = np.array([found[str(item.query_id)]["ndcg_at_10"] for item in lists.lists])
    return ranking.means(found)["ndcg_at_10"], by_query


def _auc(lists: ValidationLists, scores: Sequence[Reals]) -> float:
    """AUC over all lists from the scores of each list's documents."""
    positive = np.concatenate([own[: item.positives] for own, item in zip(scores, lists.lists, strict=True)])
    negative = np.concatenate([own[item.positives :] for own, item in zip(scores, lists.lists, strict=True)])
    return margins.auc(positive, negative)
