"""Single queries worth reading: those that the student answers best and worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bistill.arrays import Floats
from bistill.evaluation.measures import margins
from bistill.evaluation.questions import Pairs, Questions
from bistill.evaluation.scores import EncoderScores, RerankedScores

SHOWN: Final = 10


@dataclass(frozen=True)
class Example:
    """A query's best-scored positive and hardest negative.

    Attributes:
        query: row of the query among the questions.
        positive: row of the pair in ``asked.positives``.
        negative: row of the pair in ``asked.negatives`` or ``asked.random``.
        labelled: whether the negative is a labelled one.
        margin: student's score of the positive minus that of the negative, on the linear scale.
    """

    query: int
    positive: int
    negative: int
    labelled: bool
    margin: float

    def pairs(self, asked: Questions) -> list[tuple[int, int]]:
        """(query row, document id) of both."""
        negatives = asked.negatives if self.labelled else asked.random
        return [
            (self.query, int(asked.positives.documents[self.positive])),
            (self.query, int(negatives.documents[self.negative])),
        ]


def extremes(asked: Questions, student: EncoderScores, count: int = SHOWN) -> tuple[list[Example], list[Example]]:
    """The ``count`` best and the ``count`` worst queries by margin, the extreme first, none in both lists.

    A query's margin is that of its best-scored positive over its highest-scored labelled negative, over its
    highest-scored random document where it has no labelled negative; queries without any are passed over.
    """
    positive_rows = _best_rows(asked.positives, student.positives, len(asked.records))
    labelled_rows = _best_rows(asked.negatives, student.negatives, len(asked.records))
    random_rows = _best_rows(asked.random, student.random, len(asked.records))
    positives, negatives, random = (
        margins.linear_score(values) for values in (student.positives, student.negatives, student.random)
    )
    found: list[Example] = []
    for query, positive in positive_rows.items():
        labelled = query in labelled_rows
        row = labelled_rows.get(query, random_rows.get(query))
        if row is not None:
            score = negatives[row] if labelled else random[row]
            found.append(Example(query, positive, row, labelled, float(positives[positive] - score)))
    found.sort(key=lambda example: (-example.margin, example.query))
    best = found[: min(count, (len(found) + 1) // 2)]
    worst = found[len(best) :][::-1][:count]
    return best, worst


def report(
    example: Example,
    asked: Questions,
    student: EncoderScores,
    base: EncoderScores | None,
    teacher: RerankedScores | None,
) -> dict[str, Any]:
    """One example with texts, labels and every model's scores."""

    def document(pairs: Pairs, row: int, kind: str) -> dict[str, Any]:
        identity = int(pairs.documents[row])
        return {
            "document": asked.corpus[identity],
            "label": float(pairs.labels[row]),
            "student": float(margins.linear_score(getattr(student, kind)[row])),
            "base": float(margins.linear_score(getattr(base, kind)[row])) if base else None,
            "teacher": teacher.relevance.get((example.query, identity)) if teacher else None,
        }

    kind = "negatives" if example.labelled else "random"
    return {
        "query": asked.records[example.query].query,
        "margin": example.margin,
        "positive": document(asked.positives, example.positive, "positives"),
        "negative": {
            "source": "labelled" if example.labelled else "random",
            **document(getattr(asked, kind), example.negative, kind),
        },
    }


def _best_rows(pairs: Pairs, cosines: Floats, queries: int) -> dict[int, int]:
    """Query row -> row of its pair of highest cosine, the first of equal ones."""
    starts = pairs.of_queries(np.arange(len(pairs)), queries)
    return {query: int(rows[np.argmax(cosines[rows])]) for query, rows in enumerate(starts) if len(rows)}
