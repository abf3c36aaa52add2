"""The figures of an evaluation as JSON and as a table; ``docs/evaluation.md`` explains every key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from bistill import console, journal, metrics
from bistill.candidates.lists import RANDOM_NEGATIVES
from bistill.config import EvaluationOptions
from bistill.evaluation import samples
from bistill.evaluation.samples import Sample
from bistill.evaluation.scores import RANKING_DEPTH, EncoderScores, RerankedScores
from bistill.evaluation.task import Task

SCHEMA: Final = "bistill.evaluation/1"
HISTOGRAM_BINS: Final = 50
ROLES: Final = ("base", "teacher", "student")

RANKING_TITLES: Final = {
    "ndcg_at_10": "nDCG@10",
    "mrr_at_10": "MRR@10",
    "map": "MAP",
    "recall_at_1": "Recall@1",
    "recall_at_10": "Recall@10",
    "recall_at_100": "Recall@100",
}

# Title -> kind of negatives and key of one separation figure, for the table and the picture.
SEPARATION_TITLES: Final = {
    "mean positive": ("random_negatives", "mean_positive"),
    "mean labelled negative": ("labelled_negatives", "mean_negative"),
    "mean random negative": ("random_negatives", "mean_negative"),
    "margin, labelled": ("labelled_negatives", "margin"),
    "margin, random": ("random_negatives", "margin"),
    "ceiling of margin, random": ("random_negatives", "ceiling"),
    "AUC, labelled": ("labelled_negatives", "auc"),
    "AUC, random": ("random_negatives", "auc"),
}


def compose(
    options: EvaluationOptions,
    task: Task,
    models: Mapping[str, dict[str, Any]],
    student: EncoderScores,
    base: EncoderScores | None,
    teacher: RerankedScores | None,
    chosen: tuple[list[Sample], list[Sample]],
    gate: dict[str, Any] | None,
) -> dict[str, Any]:
    """The whole report; numbers that do not exist (no negatives, no teacher) are None.

    Args:
        options: of the command.
        task: what was asked.
        models: description of each role, or why it is left out.
        student: its answers.
        base: the untouched model's answers.
        teacher: the teacher's answers.
        chosen: best and worst samples.
        gate: teacher and untouched student on validation queries before distilling; None where nobody measured it.
    """
    encoders = {"base": base, "student": student}
    answers = {"base": base, "teacher": teacher, "student": student}
    qrels = task.qrels()
    best, worst = ([samples.report(sample, task, student, base, teacher) for sample in group] for group in chosen)
    result = {
        "schema": SCHEMA,
        "versions": journal.versions(),
        "options": asdict(options),
        "models": {role: models[role] for role in ROLES},
        "data": _data(options, task),
        "counts": _counts(task),
        "separation": {role: separation(task, scores) if scores else None for role, scores in encoders.items()},
        "ranking": {
            "depth": min(RANKING_DEPTH, len(task.corpus)),
            **{
                role: metrics.ranking_metrics(qrels, scores.run(task)) if scores else None
                for role, scores in answers.items()
            },
        },
        "samples": {"best": best, "worst": worst},
        "teacher_gate": gate,
    }
    report: dict[str, Any] = journal.finite(result)
    return report


def separation(task: Task, scores: EncoderScores) -> dict[str, Any]:
    """Separation figures, per-query margins and histograms of one encoder's linear scores."""
    positives = metrics.linear_score(scores.positives)
    against = {
        "labelled_negatives": (metrics.linear_score(scores.negatives), task.negatives),
        "random_negatives": (metrics.linear_score(scores.random), task.random),
    }
    figures: dict[str, Any] = {}
    for kind, (negatives, pairs) in against.items():
        margins = query_margins(task, positives, negatives, pairs.queries)
        figures[kind] = {**asdict(metrics.separation(positives, negatives)), "query_margins": _spread(margins)}
    mean_cosine = float(np.mean(scores.random)) if len(scores.random) else np.nan
    figures["random_negatives"]["mean_negative_cosine"] = mean_cosine
    figures["random_negatives"]["ceiling"] = metrics.margin_ceiling(mean_cosine)
    figures["histogram"] = {
        "edges": np.linspace(0, 1, HISTOGRAM_BINS + 1).tolist(),
        "positives": _histogram(positives),
        **{kind: _histogram(negatives) for kind, (negatives, _) in against.items()},
    }
    return figures


def query_margins(task: Task, positives: np.ndarray, negatives: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Margin of each query that has both sides: float64 of shape (at most queries,).

    Args:
        task: what was asked.
        positives: scores of ``task.positives``.
        negatives: scores of negative pairs.
        queries: query rows of these pairs, rising.
    """
    count = len(task.records)
    ends = np.searchsorted(queries, np.arange(1, count), side="left")
    margins = metrics.query_margins(task.positives.of_queries(positives, count), np.split(negatives, ends))
    return margins[~np.isnan(margins)]


def print_summary(result: Mapping[str, Any]) -> None:
    """Print the figures of a report, one column a model."""
    counts = result["counts"]
    rows = [
        [title, *(_shown((result["ranking"][role] or {}).get(key)) for role in ROLES)]
        for key, title in RANKING_TITLES.items()
    ]
    for title, (kind, key) in SEPARATION_TITLES.items():
        by_role = [(result["separation"].get(role) or {}).get(kind, {}).get(key) for role in ROLES]
        rows.append([title, *map(_shown, by_role)])
    title = f"{counts['queries']} queries, {counts['documents']} documents; scores are (cosine + 1) / 2"
    console.table(["", *ROLES], rows, title=title)
    teacher = result["models"]["teacher"]
    if "reranks" in teacher:
        print(f"The teacher re-ranks the first {teacher['depth']} documents of the {teacher['reranks']} model.")
    if gate := result.get("teacher_gate"):
        before = {role: gate[role]["rerank_ndcg_at_10"] for role in ("teacher", "student")}
        print(
            f"Before distilling, nDCG@10 on the lists of {gate['queries']} validation queries: "
            f"teacher {before['teacher']:.4f}, untouched student {before['student']:.4f}."
        )


def _data(options: EvaluationOptions, task: Task) -> dict[str, Any]:
    corpus = {"path": options.corpus_data} if options.corpus_data else None
    return {
        "test": {"path": options.test_data, "fingerprint": task.dataset.fingerprint, "notes": list(task.dataset.notes)},
        "corpus": corpus,
        "documents_fingerprint": task.corpus.fingerprint(),
    }


def _counts(task: Task) -> dict[str, int]:
    return {
        "queries": len(task.records),
        "queries_in_file": len(task.dataset),
        "rejected_rows": task.dataset.rejected,
        "documents": len(task.corpus),
        "documents_of_test_data": len(task.corpus.own),
        "documents_of_corpus_data": len(task.corpus) - len(task.corpus.own),
        "labelled_positives": len(task.positives),
        "labelled_negatives": len(task.negatives),
        "random_negatives": len(task.random),
        "random_negatives_per_query": RANDOM_NEGATIVES,
    }


def _spread(values: np.ndarray) -> dict[str, Any]:
    names = ("mean", "std", "minimum", "median", "maximum")
    if not len(values):
        return {"queries": 0, **dict.fromkeys(names)}
    figures = (np.mean(values), np.std(values), np.min(values), np.median(values), np.max(values))
    return {"queries": len(values), **dict(zip(names, map(float, figures), strict=True))}


def _histogram(scores: np.ndarray) -> list[int]:
    return [int(count) for count in np.histogram(scores, bins=HISTOGRAM_BINS, range=(0, 1))[0]]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
