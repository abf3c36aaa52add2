"""What could flatter a student, measured: differences with their intervals, shuffled queries, and forgetting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from bistill.arrays import Doubles
from bistill.data.sampling import generator
from bistill.evaluation.measures import bootstrap, margins, ranking
from bistill.evaluation.measures.bootstrap import Interval
from bistill.evaluation.questions import Questions
from bistill.evaluation.scores import Answers, EncoderScores

# Every role whose ranking the student's is compared with.
OTHERS: Final = ("base", "cut", "teacher", "bm25", "compared")

ByQuery = Mapping[str, Mapping[str, float]]


def rankings(asked: Questions, answers: Answers) -> dict[str, ByQuery | None]:
    """Every measure of every query, by role, with those for files that were judged in part where this one was; None for
    a role that is left out."""
    qrels, judged = asked.qrels(), asked.judged() if asked.partly_judged else {}

    def figures(run: ranking.Rankings) -> ByQuery:
        plain = ranking.figures_by_query(qrels, run)
        further = ranking.figures_by_query(judged, run, ranking.PARTLY_JUDGED)
        return {query: {**values, **further.get(query, {})} for query, values in plain.items()}

    return {role: figures(found.run(asked)) if found else None for role, found in answers.ranked().items()}


def differences(found: Mapping[str, ByQuery | None], seed: int) -> dict[str, Any]:
    """Student minus every other role, measure by measure, and its share of the teacher's lead over the base.

    All are computed on the same resamples of the queries.
    """
    tables = {role: _table(by_query) for role, by_query in found.items() if by_query is not None}
    student, names = tables["student"], _names(found["student"] or {})
    figures: dict[str, Any] = {"resamples": bootstrap.RESAMPLES, "confidence": bootstrap.CONFIDENCE}
    for role in OTHERS:
        intervals = bootstrap.paired(student, tables[role], _draws(seed)) if role in tables else None
        figures[f"student_minus_{role}"] = (
            {name: difference(item) for name, item in zip(names, intervals, strict=True)} if intervals else None
        )
    closed = None
    if "base" in tables and "teacher" in tables:
        column = names.index("ndcg_at_10")
        base, distilled, teacher = (tables[role][:, column] for role in ("base", "student", "teacher"))
        closed = bootstrap.gap_closed(base, distilled, teacher, _draws(seed))
    figures["gap_closed"] = {"share": closed.value, "low": closed.low, "high": closed.high} if closed else None
    return figures


def forgetting(elsewhere: Sequence[Questions], answers: Answers, seed: int) -> list[dict[str, Any]]:
    """nDCG@10 of student and base on each data set that the student was not trained on, and their difference."""
    figures = []
    for number, asked in enumerate(elsewhere):
        student = answers.student.elsewhere[number]
        base = answers.base.elsewhere[number] if answers.base else None
        spread = bootstrap.paired(student[:, None], base[:, None], _draws(seed)) if base is not None else None
        figures.append(
            {
                "test": {
                    "path": asked.name,
                    "fingerprint": asked.dataset.fingerprint,
                    "notes": list(asked.dataset.notes),
                },
                "queries": asked.ranked,
                "documents": len(asked.corpus),
                "ndcg_at_10": {
                    "student": float(student.mean()),
                    "base": float(base.mean()) if base is not None else None,
                },
                "student_minus_base": difference(spread[0]) if spread else None,
            }
        )
    return figures


def shuffled_queries(asked: Questions, scores: EncoderScores) -> dict[str, Any] | None:
    """Margin and AUC of the same documents with shuffled queries, beside the true ones; None for a single query.

    Both sides of a margin are asked by the other query: what remains above 0 lies in the documents alone.
    """
    if not len(asked.others):
        return None
    own = {"positives": scores.positives, "negatives": scores.negatives, "random": scores.random}
    line = scores.calibration
    figures = {}
    for kind, negatives in (("labelled_negatives", "negatives"), ("random_negatives", "random")):
        side = {
            name: (found["positives"], found[negatives])
            for name, found in (("shuffled", scores.shuffled), ("true", own))
        }
        linear = {name: margins.separation(*map(margins.linear_score, pair)) for name, pair in side.items()}
        calibrated = {name: margins.separation(*map(line.apply, pair)).margin for name, pair in side.items() if line}
        figures[kind] = {
            "positives": linear["shuffled"].positives,
            "negatives": linear["shuffled"].negatives,
            "margin": linear["shuffled"].margin,
            "true_margin": linear["true"].margin,
            "auc": linear["shuffled"].auc,
            "true_auc": linear["true"].auc,
            "calibrated_margin": calibrated.get("shuffled"),
            "calibrated_true_margin": calibrated.get("true"),
        }
    return figures


def difference(found: Interval) -> dict[str, float]:
    """An interval as the report holds it."""
    return {"difference": found.value, "low": found.low, "high": found.high}


def _table(by_query: ByQuery) -> Doubles:
    """float64 of shape (queries, measures)."""
    return np.array([list(values.values()) for values in by_query.values()], dtype=np.float64)


def _names(by_query: ByQuery) -> list[str]:
    """Of the measures, in the order of a table's columns."""
    return list(next(iter(by_query.values())))


def _draws(seed: int) -> np.random.Generator:
    return generator(seed, "comparisons")
