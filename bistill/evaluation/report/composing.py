"""The figures of an evaluation as one JSON object; ``docs/evaluation.md`` explains every key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bistill import artifacts, journal
from bistill.candidates.lists import RANDOM_NEGATIVES
from bistill.config import EvaluationOptions
from bistill.data.store import opening as store
from bistill.evaluation import comparisons, separation
from bistill.evaluation.measures import ranking
from bistill.evaluation.report import samples
from bistill.evaluation.report.samples import Sample
from bistill.evaluation.scores import RANKING_DEPTH, Answers
from bistill.evaluation.task import Task

SCHEMA: Final = "bistill.evaluation/1"
ROLES: Final = ("base", "bm25", "teacher", "student", "compared")

# Title -> kind of negatives and key of one separation figure, for tables and pictures.
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
    elsewhere: Sequence[Task],
    models: Mapping[str, dict[str, Any]],
    answers: Answers,
    chosen: tuple[list[Sample], list[Sample]],
    before: Mapping[str, Any],
) -> dict[str, Any]:
    """The whole report; numbers that do not exist (no negatives, no teacher) are None.

    Args:
        options: of the command.
        task: what was asked.
        elsewhere: the tasks of ``--forgetting_data``.
        models: description of each role, or why it is left out.
        answers: what the models answered.
        chosen: best and worst samples.
        before: what the student's record says of the validation queries (``models.before``).
    """
    best, worst = (
        [samples.report(sample, task, answers.student, answers.base, answers.teacher) for sample in group]
        for group in chosen
    )
    ranked = comparisons.rankings(task, answers)
    result = {
        "schema": SCHEMA,
        "versions": journal.versions(),
        "options": asdict(options),
        "models": {role: models[role] for role in ROLES},
        "data": _data(options, task),
        "counts": _counts(task),
        **_of_encoders(task, answers),
        "thresholds": separation.cuts(task, answers.student, options.seed),
        "ranking": {
            "depth": min(RANKING_DEPTH, len(task.corpus)),
            **{role: ranking.means(found) if found is not None else None for role, found in ranked.items()},
        },
        "matryoshka": {role: found.by_dimension if found else None for role, found in answers.encoders().items()},
        "comparisons": comparisons.differences(ranked, options.seed),
        "forgetting": comparisons.forgetting(options, elsewhere, answers),
        "samples": {"best": best, "worst": worst},
        **before,
    }
    report: dict[str, Any] = journal.finite(result)
    return report


def _of_encoders(task: Task, answers: Answers) -> dict[str, Any]:
    """Figures of every model with cosines, by role; None for a role that is left out."""
    figures = {
        "separation": separation.linear,
        "calibrated": separation.calibrated,
        "shuffled_queries": comparisons.shuffled_queries,
    }
    return {
        name: {role: measure(task, found) if found else None for role, found in answers.encoders().items()}
        for name, measure in figures.items()
    }


def _data(options: EvaluationOptions, task: Task) -> dict[str, Any]:
    corpus = {"path": options.corpus_data} if options.corpus_data else None
    return {
        "test": {
            "path": options.test_data,
            "sha256": artifacts.sha256_of_file(Path(options.test_data)),
            "fingerprint": task.dataset.fingerprint,
            "notes": list(task.dataset.notes),
        },
        "corpus": corpus,
        "documents_fingerprint": task.corpus.fingerprint(),
    }


def _counts(task: Task) -> dict[str, int]:
    return {
        "queries": task.ranked,
        "queries_without_positive": len(task.records) - task.ranked,
        "queries_in_file": len(task.dataset),
        "rejected_rows": task.dataset.rejected,
        "documents": len(task.corpus),
        "documents_of_test_data": task.of_test_data,
        "documents_of_corpus_data": len(task.corpus) - task.of_test_data,
        "copies_left_out": task.copies,
        "queries_among_documents": task.among_documents,
        "labelled_positives": len(task.positives),
        "labelled_negatives": len(task.negatives),
        "random_negatives": len(task.random),
        "random_negatives_per_query": RANDOM_NEGATIVES,
        **store.left_out(task.dataset),
    }
