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

CRITERIA = ("ndcg_at_10", "auc")
LIST_SIZE = 20


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
    scores = np.split(encoder.score(pairs), np.cumsum([len(item.documents) for item in lists.lists])[:-1])
    return _figures(lists, scores, scores, [item.documents for item in lists.lists])


def student_figures(encoder: BiEncoder, lists: ValidationLists) -> dict[str, float]:
    """nDCG@10 over the documents of all lists together, and AUC of each query's positives against its negatives."""
    dataset = lists.dataset
    pool = sorted({document for item in lists.lists for document in item.documents})
    place = {document: number for number, document in enumerate(pool)}
    queries = encoder.encode_queries([dataset.queries[item.query_id] for item in lists.lists])
    cosines = queries @ encoder.encode_documents(dataset.documents.take(pool)).T
    own = [
        row[[place[document] for document in item.documents]] for row, item in zip(cosines, lists.lists, strict=True)
    ]
    return _figures(lists, own, list(cosines), [tuple(pool)] * len(lists.lists))


def _figures(
    lists: ValidationLists, own: list[np.ndarray], ranked: list[np.ndarray], documents: list[tuple[int, ...]]
) -> dict[str, float]:
    """Figures from the scores of each query's own list and those of the documents it is ranked over."""
    run = {
        str(item.query_id): {str(document): float(score) for document, score in zip(ids, scores, strict=True)}
        for item, ids, scores in zip(lists.lists, documents, ranked, strict=True)
    }
    positive = np.concatenate([scores[: item.positives] for item, scores in zip(lists.lists, own, strict=True)])
    negative = np.concatenate([scores[item.positives :] for item, scores in zip(lists.lists, own, strict=True)])
    ranking = metrics.ranking_metrics(lists.qrels(), run)
    return {"ndcg_at_10": ranking["ndcg_at_10"], "auc": metrics.auc(positive, negative)}
