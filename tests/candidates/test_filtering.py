from __future__ import annotations

import numpy as np
import pytest

from bistill.candidates.filtering import Verdict, judge, refusal
from bistill.candidates.settings import Limits
from bistill.data.records import Record

RELEVANCE = np.array([0.90, 0.76, 0.7599, 0.20, 0.99], dtype=np.float32)
LABELLED = np.array([False, False, False, False, True])


@pytest.mark.parametrize(
    ("ratio", "score", "irrelevant", "expected"),
    [
        (0.95, None, 0.0, [1, 1, 0, 0, 0]),  # the limit is 0.95 * 0.7999 = 0.7599
        (None, None, 0.0, [0, 0, 0, 0, 0]),
        (None, 0.75, 0.0, [2, 2, 2, 0, 0]),
        (0.95, 0.1, 0.5, [1, 1, 2, 2, 0]),
        (0.0, None, 0.0, [1, 1, 1, 1, 0]),
        (0.0, None, 0.5, [1, 1, 1, 0, 0]),
        (0.95, None, 0.8, [1, 0, 0, 0, 0]),
    ],
)
def test_limits_spare_only_what_is_below_them_or_labelled(
    ratio: float | None, score: float | None, irrelevant: float, expected: list[int]
) -> None:
    verdicts = judge(RELEVANCE, LABELLED, 0.7999, Limits(ratio, score, irrelevant))
    assert verdicts.tolist() == expected
    assert verdicts.dtype == np.uint8
    assert (Verdict.KEPT, Verdict.RATIO, Verdict.ABSOLUTE) == (0, 1, 2)


def test_refused_are_the_texts_of_positives_of_the_query_of_others_and_of_what_was_drawn() -> None:
    corpus = ["Read a file", "read  a FILE", "Close a file", "Ｒead a file", "read a tree", "close a  file", "How to?"]

    def refused(positives: tuple[int, ...], others: tuple[int, ...] = (), query: str = "how to?") -> list[bool]:
        refuses = refusal(Record(0, query, positives, (1.0,) * len(positives), (), ()), corpus, others)
        return [refuses(document) for document in range(7)]

    assert refused((0,)) == [True, True, False, True, False, True, True]
    assert refused((2, 4), query="") == [False, True, True, True, True, True, False]
    assert refused((), others=(4, 5)) == [False, True, True, True, True, True, True]
    assert refused((6,), query="READ A TREE") == [False, True, False, True, True, True, True]
