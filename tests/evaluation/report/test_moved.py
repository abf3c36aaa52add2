"""Where the first relevant document stands, beside the base model."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from bistill.evaluation.questions import Questions
from bistill.evaluation.report import moved
from tests.evaluation.conftest import Evaluated

CORPUS = ["a", "b", "c", "d"]
# Query -> relevant documents with their labels; the last query has none and is not ranked.
RELEVANT = {"one": ([0], [1.0]), "two": ([1, 2], [0.5, 1.0]), "three": ([3], [1.0]), "nothing": ([], [])}
RECORDS = [
    SimpleNamespace(query=query, positives=ids, positive_labels=labels) for query, (ids, labels) in RELEVANT.items()
]


def questions(records: list[Any], ranked: int) -> Any:
    asked: Any = SimpleNamespace(records=records, ranked=ranked, corpus=CORPUS)
    asked.most_relevant = partial(Questions.most_relevant, asked)
    return asked


ASKED = questions(RECORDS, 3)
BASE: Any = SimpleNamespace(ids=np.array([[1, 0, 2], [3, 2, 1], [0, 1, 2], [0, 1, 2]]))
STUDENT: Any = SimpleNamespace(ids=np.array([[0, 1, 2], [3, 0, 1], [1, 0, 2], [0, 1, 2]]))


def test_ranks_by_hand() -> None:
    assert moved.first_ranks(ASKED, BASE.ids).tolist() == [2, 2, 4]  # the third is below the depth
    assert moved.first_ranks(ASKED, STUDENT.ids).tolist() == [1, 3, 4]


def test_counts_and_an_example_of_each_kind() -> None:
    found = moved.moved(ASKED, STUDENT, BASE, 42)
    assert found == {
        "higher": 1,
        "lower": 1,
        "equal": 1,
        "examples": {
            "higher": {"query": "one", "expected": "a", "rank_base": 2, "rank_student": 1},
            "lower": {"query": "two", "expected": "c", "rank_base": 2, "rank_student": 3},
            "equal": {"query": "three", "expected": "d", "rank_base": None, "rank_student": None},
        },
    }
    assert moved.moved(ASKED, STUDENT, None, 42) is None


def test_examples_follow_the_seed_alone() -> None:
    records = [SimpleNamespace(query=str(row), positives=[0], positive_labels=[1.0]) for row in range(50)]
    many = questions(records, 50)
    ids: Any = SimpleNamespace(ids=np.zeros((50, 1), dtype=np.int64))
    chosen = [moved.moved(many, ids, ids, seed)["examples"]["equal"]["query"] for seed in (1, 1, 2, 3)]  # type: ignore[index]
    assert chosen[0] == chosen[1] and len(set(chosen)) == 3


def test_what_is_said() -> None:
    example = {"query": "a  b", "expected": "x" * 80, "rank_base": None, "rank_student": 2}
    lines = moved.sentences({"higher": 1, "lower": 0, "equal": 4, "examples": {"higher": example}})
    assert lines[0] == (
        "Of 5 queries the student ranks the first relevant document higher than the base model in 1, lower in 0, at "
        "the same rank in 4. One of each by chance:"
    )
    assert lines[1:] == [f"  higher: a b | {'x' * 59}… | rank below the ranking -> 2"]
    assert moved.sentences(None) == []


def test_an_evaluation_has_them(everything: Evaluated) -> None:
    found = everything.result["moved"]
    assert sum(found[kind] for kind in moved.KINDS) == everything.result["counts"]["queries"]
