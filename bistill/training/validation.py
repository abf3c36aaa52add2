"""Figures by which both stages choose their best weights: ranking quality, then AUC, on validation queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bistill import metrics
from bistill.candidates.lists import CandidateList, for_validation
from bistill.data.dataset import Dataset
from bistill.data.sampling import subset
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.cross_encoder import CrossEncoder

# A teacher re-ranks each query's own list, a student ranks the documents of all lists: two tasks, two names.
TEACHER_CRITERIA = ("rerank_ndcg_at_10", "auc")
STUDENT_CRITERIA = ("ndcg_at_10", "auc")
LIST_SIZE = 20
RANKING_DEPTH = 10


@dataclass(frozen=True)
class ValidationLists:
    """Validation queries and the documents that each is ranked over.

    Attributes:
        dataset: texts of the ids.
        lists: all positives, then negatives, of each query.
    """

    dataset: Dataset
    lists: list[CandidateList]

    @classmethod
    def of(cls, dataset: Dataset, *, count: int, seed: int) -> ValidationLists:
        """Lists of ``count`` queries chosen by ``seed``, ``LIST_SIZE`` documents each where there are as many."""
        chosen = subset(seed, "valid", len(dataset), count)
        return cls(dataset, [for_validation(dataset, int(query), size=LIST_SIZE, seed=seed) for query in chosen])

    def qrels(self) -> dict[str, dict[str, int]]:
        """Gains of the positives by query and document."""
        return {
            str(item.query_id): {
                str(document): gain
                for document, gain in zip(
                    item.documents[: item.positives], metrics.gains(item.labels[: item.positives]), strict=True
                )
            }
            for item in self.lists
        }


def teacher_figures(encoder: CrossEncoder, lists: ValidationLists) -> dict[str, float]:
    """nDCG@10 of each query's list re-ranked by the teacher, and AUC of positives against negatives."""
    dataset = lists.dataset
    pairs = [(dataset.queries[item.query_id], dataset.documents[doc]) for item in lists.lists for doc in item.documents]
    scores = np.split(
        encoder.score(pairs, description="validation"), np.cumsum([len(item.documents) for item in lists.lists])[:-1]
    )
    run = {
        str(item.query_id): dict(zip(map(str, item.documents), own.tolist(), strict=True))
        for item, own in zip(lists.lists, scores, strict=True)
    }
    ranking = metrics.ranking_metrics(lists.qrels(), run)
    return {"rerank_ndcg_at_10": ranking["ndcg_at_10"], "auc": _auc(lists, scores)}


def student_figures(encoder: BiEncoder, lists: ValidationLists) -> dict[str, float]:
    """nDCG@10 over the documents of all lists together, and AUC of each query's positives against its negatives."""
    dataset = lists.dataset
    pool = sorted({document for item in lists.lists for document in item.documents})
    place = {document: number for number, document in enumerate(pool)}
    queries = encoder.encode_queries([dataset.queries[item.query_id] for item in lists.lists])
    documents = encoder.encode_documents(dataset.documents.take(pool), description="validation")
    ids, scores = metrics.top_documents(queries, documents, RANKING_DEPTH)
    run = {
        str(item.query_id): {str(pool[row]): score for row, score in zip(rows, found, strict=True)}
        for item, rows, found in zip(lists.lists, ids.tolist(), scores.tolist(), strict=True)
    }
    own = [
        documents[[place[document] for document in item.documents]] @ query
        for query, item in zip(queries, lists.lists, strict=True)
    ]
    ranking = metrics.ranking_metrics(lists.qrels(), run)
    return {"ndcg_at_10": ranking["ndcg_at_10"], "auc": _auc(lists, own)}


def _auc(lists: ValidationLists, scores: list[np.ndarray]) -> float:
    """AUC over all lists from the scores of each list's documents."""
    positive = np.concatenate([own[: item.positives] for own, item in zip(scores, lists.lists, strict=True)])
    negative = np.concatenate([own[item.positives :] for own, item in zip(scores, lists.lists, strict=True)])
    return metrics.auc(positive, negative)
