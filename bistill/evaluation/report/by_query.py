"""A table of all ranked queries, for a spreadsheet: where each model ranks the first relevant document of each."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bistill import artifacts
from bistill.arrays import Doubles
from bistill.evaluation.questions import Questions
from bistill.evaluation.report import failing
from bistill.evaluation.scores import Answers


def write(path: Path, asked: Questions, answers: Answers) -> None:
    """Write the table atomically: UTF-8 with a mark at its start, by which spreadsheets know it.

    Args:
        path: the file.
        asked: what was asked.
        answers: what the models answered.
    """
    with artifacts.atomic_path(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows(rows(asked, answers))


def rows(asked: Questions, answers: Answers) -> Iterator[list[str]]:
    """The header, then a row a query in the order of ``failing.failures``, the worst first; "" where nothing is.

    ``docs/evaluation.md`` names the columns.
    """
    student = answers.student
    figures = failing.ndcg(asked, student)
    ranks = {role: failing.first_ranks(asked, found.ids) for role, found in answers.ranked().items() if found}
    yield [
        "query",
        "ndcg_at_10",
        *(f"rank_{role}" for role in ranks),
        *("positive", "positive_score", "best_document", "best_score", "best_is_positive"),
    ]
    for row in failing.worst_first(figures, ranks["student"]).tolist():
        positive = failing.expected(asked, student.ids, row, ranks["student"][row])
        best = int(student.ids[row, 0])
        yield [
            asked.records[row].query,
            f"{figures[row]:.4f}",
            *(_rank(found, row) for found in ranks.values()),
            *_document(asked, answers, row, positive),
            *_document(asked, answers, row, best),
            "" if best < 0 else "yes" if best in asked.records[row].positives else "no",
        ]


def _document(asked: Questions, answers: Answers, row: int, document: int) -> tuple[str, str]:
    """Text and score of a document; both "" where it is none."""
    if document < 0:
        return "", ""
    found = failing.score(asked, answers.student, row, document)
    return asked.corpus[document], "" if found is None else f"{found:.4f}"


def _rank(ranks: Doubles, row: int) -> str:
    return "" if np.isnan(ranks[row]) else str(int(ranks[row]))
