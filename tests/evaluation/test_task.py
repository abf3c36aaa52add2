"""Random negatives and pairs."""

from __future__ import annotations

import numpy as np

from bistill.data.records import Record
from bistill.evaluation.task import Pairs, random_negatives


def record(query_id: int, positives: tuple[int, ...]) -> Record:
    return Record(query_id, "q", positives, (1.0,) * len(positives), (), ())


def test_random_negatives_are_never_positives_and_reach_every_other_document() -> None:
    seen: set[int] = set()
    for query in range(200):
        chosen = random_negatives(record(query, (7, 0, 3, 9)), 10, seed=1)
        assert len(set(chosen)) == 4
        seen |= set(chosen)
    assert seen == {1, 2, 4, 5, 6, 8}


def test_random_negatives_depend_on_seed_and_query_only() -> None:
    assert random_negatives(record(3, (1,)), 100, seed=1) == random_negatives(record(3, (1,)), 100, seed=1)
    assert random_negatives(record(3, (1,)), 100, seed=1) != random_negatives(record(4, (1,)), 100, seed=1)
    assert random_negatives(record(3, (1,)), 100, seed=1) != random_negatives(record(3, (1,)), 100, seed=2)


def test_fewer_random_negatives_where_there_are_fewer_documents() -> None:
    assert sorted(random_negatives(record(0, (1,)), 3, seed=1)) == [0, 2]
    assert random_negatives(record(0, (0,)), 1, seed=1) == []


def test_pairs_are_cut_by_query() -> None:
    pairs = Pairs(np.array([0, 0, 2]), np.array([5, 6, 7]), np.ones(3))
    assert [part.tolist() for part in pairs.of_queries(pairs.documents, 4)] == [[5, 6], [], [7], []]
