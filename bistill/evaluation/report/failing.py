"""Queries that a student ranks worst: what was expected, and what stands first instead."""

from __future__ import annotations

from typing import Any

import numpy as np

from bistill.evaluation.measures import ranking
from bistill.evaluation.questions import Questions
from bistill.evaluation.scores import EncoderScores


def failures(asked: Questions, student: EncoderScores, count: int) -> list[dict[str, Any]]:
    """The ``count`` queries of lowest nDCG@10, the worst first, equal ones in the order of the file.

    Returns:
        Of each: ``query``, ``ndcg_at_10``, ``rank`` of its first relevant document from 1 on (NaN below the depth of
        the ranking), ``expected``, the text of its most relevant document, and ``found``, of the document that stands
        first; "" where none does.
    """
    by_query = ranking.figures_by_query(asked.qrels(), student.run(asked))
    figures = np.array([by_query[str(query)]["ndcg_at_10"] for query in asked.query_ids()])
    return [
        _failure(asked, student, int(row), float(figures[row])) for row in np.argsort(figures, kind="stable")[:count]
    ]


def _failure(asked: Questions, student: EncoderScores, row: int, figure: float) -> dict[str, Any]:
    record, ids = asked.records[row], student.ids[row]
    places = np.flatnonzero(np.isin(ids, record.positives))
    best = record.positives[int(np.argmax(record.positive_labels))]
    first = int(ids[0]) if len(ids) else -1
    return {
        "query": record.query,
        "ndcg_at_10": figure,
        "rank": float(places[0] + 1) if len(places) else np.nan,
        "expected": asked.corpus[best],
        "found": asked.corpus[first] if first >= 0 else "",
    }
