"""The figures of an evaluation as one JSON object; ``docs/evaluation.md`` explains every key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bistill import artifacts, journal
from bistill.candidates.lists import RANDOM_NEGATIVES
from bistill.data.store import opening as store
from bistill.evaluation import comparisons, separation
from bistill.evaluation.measures import ranking
from bistill.evaluation.questions import Questions
from bistill.evaluation.report import examples, failing, moved
from bistill.evaluation.report.examples import Example
from bistill.evaluation.scores import RANKING_DEPTH, Answers

SCHEMA: Final = "bistill.evaluation/1"
ROLES: Final = ("base", "cut", "bm25", "teacher", "student", "compared")

# Title -> kind of negatives and key of one separation figure, for tables and pictures.
SEPARATION_TITLES: Final = {
    "mean positive": ("random_negatives", "mean_positive"),
    "mean labelled negative": ("labelled_negatives", "mean_negative"),
    "mean random negative": ("random_negatives", "mean_negative"),
    "margin, labelled": ("labelled_negatives", "margin"),
    "margin, random": ("random_negatives", "margin"),
    "ceiling of margin, random": ("random_negatives", "ceiling"),
    "uniformity, labelled": ("labelled_negatives", "uniformity"),
    "uniformity, random": ("random_negatives", "uniformity"),
    "AUC, labelled": ("labelled_negatives", "auc"),
    "AUC, random": ("random_negatives", "auc"),
}


def compose(
    asked: Questions,
    elsewhere: Sequence[Questions],
    models: Mapping[str, dict[str, Any]],
    answers: Answers,
    chosen: tuple[list[Example], list[Example]],
    *,
    before: Mapping[str, Any],
    given: Mapping[str, Any],
    seed: int,
) -> dict[str, Any]:
    """The whole report; numbers that do not exist (no negatives, no teacher) are None.

    Args:
        asked: what was asked.
        elsewhere: the questions of data that the student was not trained on.
        models: description of each role, or why it is left out.
        answers: what the models answered.
        chosen: best and worst examples.
        before: what the student's record says of the validation queries (``models.before``).
        given: what the command was given, as the record holds it.
        seed: of the intervals.
    """
    best, worst = (
        [examples.report(example, asked, answers.student, answers.base, answers.teacher) for example in group]
        for group in chosen
    )
    ranked = comparisons.rankings(asked, answers)
    result = {
        "schema": SCHEMA,
        "versions": journal.versions(),
        "options": dict(given),
        "models": {role: models[role] for role in ROLES},
        "data": _data(asked),
        "counts": _counts(asked),
        **_of_encoders(asked, answers),
        "thresholds": separation.cuts(asked, answers.student, seed),
        "moved": moved.moved(asked, answers.student, answers.base, seed),
        "ranking": {
            "depth": min(RANKING_DEPTH, len(asked.corpus)),
            **{role: ranking.means(found) if found is not None else None for role, found in ranked.items()},
        },
        "matryoshka": {role: found.by_dimension if found else None for role, found in answers.encoders().items()},
        "comparisons": comparisons.differences(ranked, seed),
        "forgetting": comparisons.forgetting(elsewhere, answers, seed),
        "failures": failing.report(asked, answers),
        "samples": {"best": best, "worst": worst},
        **before,
    }
    report: dict[str, Any] = journal.finite(result)
    return report


def _of_encoders(asked: Questions, answers: Answers) -> dict[str, Any]:
    """Figures of every model with cosines, by role; None for a role that is left out."""
    figures = {
        "separation": separation.linear,
        "calibrated": separation.calibrated,
        "shuffled_queries": comparisons.shuffled_queries,
    }
    return {
        name: {role: measure(asked, found) if found else None for role, found in answers.encoders().items()}
        for name, measure in figures.items()
    }


def _data(asked: Questions) -> dict[str, Any]:
    file = Path(asked.name)
    return {
        "test": {
            "path": asked.name,
            "sha256": artifacts.sha256_of_file(file) if file.is_file() else None,
            "fingerprint": asked.dataset.fingerprint,
            "notes": list(asked.dataset.notes),
        },
        "judge": asked.judge,
        "corpus": asked.more.record(),
        "documents_fingerprint": asked.corpus.fingerprint(),
    }


def _counts(asked: Questions) -> dict[str, int]:
    return {
        "queries": asked.ranked,
        "queries_without_positive": len(asked.records) - asked.ranked,
        "queries_in_file": len(asked.dataset),
        "rejected_rows": asked.dataset.rejected,
        "documents": len(asked.corpus),
        "documents_of_test_data": asked.of_test_data,
        "documents_of_corpus_data": len(asked.corpus) - asked.of_test_data,
        "copies_left_out": asked.copies,
        "queries_among_documents": asked.among_documents,
        "labelled_positives": len(asked.positives),
        "labelled_negatives": len(asked.negatives),
        "random_negatives": len(asked.random),
        "random_negatives_per_query": RANDOM_NEGATIVES,
        **store.left_out(asked.dataset),
    }
