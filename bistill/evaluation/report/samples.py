"""Single queries worth reading: those that the student answers best and worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bistill.evaluation.measures import margins
from bistill.evaluation.scores import EncoderScores, RerankedScores
from bistill.evaluation.task import Pairs, Task

SHOWN: Final = 10


@dataclass(frozen=True)
class Sample:
    """A query's best-scored positive and hardest negative.

    Attributes:
        query: row of the query in the task.
        positive: row of the pair in ``task.positives``.
        negative: row of the pair in ``task.negatives`` or ``task.random``.
        labelled: whether the negative is a labelled one.
        margin: student's score of the positive minus that of the negative, on the linear scale.
    """

    query: int
    positive: int
    negative: int
    labelled: bool
    margin: float

    def pairs(self, task: Task) -> list[tuple[int, int]]:
        """(query row, document id) of both."""
        negatives = task.negatives if self.labelled else task.random
        return [
            (self.query, int(task.positives.documents[self.positive])),
            (self.query, int(negatives.documents[self.negative])),
        ]


def choose(task: Task, student: EncoderScores, count: int = SHOWN) -> tuple[list[Sample], list[Sample]]:
    """The ``count`` best and the ``count`` worst queries by margin, the extreme first, none in both lists.

    A query's margin is that of its best-scored positive over its highest-scored labelled negative, over its
    highest-scored random document where it has no labelled negative; queries without any are passed over.
    """
    positive_rows = _best_rows(task.positives, student.positives, len(task.records))
    labelled_rows = _best_rows(task.negatives, student.negatives, len(task.records))
    random_rows = _best_rows(task.random, student.random, len(task.records))
    positives, negatives, random = (
        margins.linear_score(values) for values in (student.positives, student.negatives, student.random)
    )
    samples: list[Sample] = []
    for query, positive in positive_rows.items():
        labelled = query in labelled_rows
        row = labelled_rows.get(query, random_rows.get(query))
        if row is not None:
            score = negatives[row] if labelled else random[row]
            samples.append(Sample(query, positive, row, labelled, float(positives[positive] - score)))
    samples.sort(key=lambda sample: (-sample.margin, sample.query))
    best = samples[: min(count, (len(samples) + 1) // 2)]
    worst = samples[len(best) :][::-1][:count]
    return best, worst


def report(
    sample: Sample, task: Task, student: EncoderScores, base: EncoderScores | None, teacher: RerankedScores | None
) -> dict[str, Any]:
    """One sample with texts, labels and every model's scores."""

    def document(pairs: Pairs, row: int, kind: str) -> dict[str, Any]:
        identity = int(pairs.documents[row])
        return {
            "document": task.corpus[identity],
            "label": float(pairs.labels[row]),
            "student": float(margins.linear_score(getattr(student, kind)[row])),
            "base": float(margins.linear_score(getattr(base, kind)[row])) if base else None,
            "teacher": teacher.relevance.get((sample.query, identity)) if teacher else None,
        }

    kind = "negatives" if sample.labelled else "random"
    return {
        "query": task.records[sample.query].query,
        "margin": sample.margin,
        "positive": document(task.positives, sample.positive, "positives"),
        "negative": {
            "source": "labelled" if sample.labelled else "random",
            **document(getattr(task, kind), sample.negative, kind),
        },
    }


def _best_rows(pairs: Pairs, cosines: np.ndarray, queries: int) -> dict[int, int]:
    """Query row -> row of its pair of highest cosine, the first of equal ones."""
    starts = pairs.of_queries(np.arange(len(pairs)), queries)
    return {query: int(rows[np.argmax(cosines[rows])]) for query, rows in enumerate(starts) if len(rows)}
