"""Queries that a student ranks worst: what was expected, and what stands above it instead."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from bistill.arrays import Doubles, Ints
from bistill.evaluation.measures import margins, ranking
from bistill.evaluation.questions import Questions
from bistill.evaluation.report import moved
from bistill.evaluation.scores import Answers, EncoderScores

# Queries in the report, and documents above the first relevant one of each.
SHOWN: Final = 10
ABOVE: Final = 3


def failures(asked: Questions, student: EncoderScores, count: int) -> list[dict[str, Any]]:
    """The ``count`` queries of lowest nDCG@10, the worst first, of equal ones that of the deepest relevant document.

    Returns:
        Of each: ``query``, ``ndcg_at_10``, ``rank`` of its first relevant document from 1 on (NaN below the depth of
        the ranking), ``expected``, the text of its most relevant document, and ``found``, of the document that stands
        first; "" where none does.
    """
    figures, ranks = ndcg(asked, student), first_ranks(asked, student.ids)
    return [
        {
            "query": asked.records[row].query,
            "ndcg_at_10": float(figures[row]),
            "rank": float(ranks[row]),
            "expected": asked.corpus[asked.most_relevant(row)],
            "found": asked.corpus[int(student.ids[row, 0])] if student.ids[row, 0] >= 0 else "",
        }
        for row in worst_first(figures, ranks)[:count].tolist()
    ]


def report(asked: Questions, answers: Answers, count: int = SHOWN) -> dict[str, Any]:
    """The worst queries with the documents that stand above their first relevant one, as the report holds them.

    Returns:
        ``queries``, how many have such documents, and ``worst``, the first ``count`` of them in the order of
        ``failures``; ``docs/evaluation.md`` names the keys of each.
    """
    figures = ndcg(asked, answers.student)
    ranks = {role: first_ranks(asked, found.ids) for role, found in answers.ranked().items() if found}
    own = ranks["student"]
    rows = [row for row in worst_first(figures, own).tolist() if own[row] != 1]
    return {
        "queries": len(rows),
        "worst": [
            {
                "query": asked.records[row].query,
                "ndcg_at_10": float(figures[row]),
                "ranks": {role: None if np.isnan(found[row]) else int(found[row]) for role, found in ranks.items()},
                **_outranked(asked, answers, row, own[row]),
            }
            for row in rows[:count]
        ],
    }


def ndcg(asked: Questions, student: EncoderScores) -> Doubles:
    """nDCG@10 of each ranked query: float64 of shape (queries,)."""
    by_query = ranking.figures_by_query(asked.qrels(), student.run(asked))
    return np.array([by_query[str(query)]["ndcg_at_10"] for query in asked.query_ids()], dtype=np.float64)


def first_ranks(asked: Questions, ids: Ints) -> Doubles:
    """Rank of each query's first relevant document from 1 on: float64 of shape (queries,), NaN where none is ranked.

    Args:
        asked: what was asked.
        ids: ranked documents of each query, shape (queries, depth), -1 where there are no more.
    """
    ranks = moved.first_ranks(asked, ids)
    return np.where(ranks > ids.shape[1], np.nan, ranks)


def worst_first(figures: Doubles, ranks: Doubles) -> Ints:
    """Rows by rising nDCG@10, equal ones by falling rank (none at all is the deepest), then as in the file."""
    return np.lexsort((-np.nan_to_num(ranks, nan=np.inf), figures))


def expected(asked: Questions, ids: Ints, row: int, rank: float) -> int:
    """The relevant document that stands first in a query's ranking; where none does, its most relevant one."""
    return asked.most_relevant(row) if np.isnan(rank) else int(ids[row, int(rank) - 1])


def score(asked: Questions, student: EncoderScores, row: int, document: int) -> float | None:
    """The student's linear score of a query and a document that it ranked, or a positive; else None."""
    if len(places := np.flatnonzero(student.ids[row] == document)):
        cosine = student.cosines[row, places[0]]
    elif len(pairs := np.flatnonzero((asked.positives.queries == row) & (asked.positives.documents == document))):
        cosine = student.positives[pairs[0]]
    else:
        return None
    return float(margins.linear_score(cosine))


def _outranked(asked: Questions, answers: Answers, row: int, rank: float) -> dict[str, Any]:
    """A query's first relevant document, and the first ones above it."""
    record, ids = asked.records[row], answers.student.ids
    labels = dict(zip(record.negatives, record.negative_labels, strict=True))

    def described(document: int) -> dict[str, Any]:
        return {
            "document": asked.corpus[document],
            "student": score(asked, answers.student, row, document),
            "teacher": answers.teacher.relevance.get((row, document)) if answers.teacher else None,
        }

    last = ABOVE if np.isnan(rank) else min(ABOVE, int(rank) - 1)
    above = [document for document in ids[row, :last].tolist() if document >= 0]
    return {
        "positive": described(expected(asked, ids, row, rank)),
        "above": [
            {"rank": place, **described(document), "label": labels.get(document)}
            for place, document in enumerate(above, start=1)
        ],
    }
