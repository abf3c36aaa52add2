"""Random negatives and pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bistill.data.records import Record
from bistill.evaluation.questions import Pairs, Questions, derangement, random_negatives


def record(query_id: int, positives: tuple[int, ...]) -> Record:
    return Record(query_id, "q", positives, (1.0,) * len(positives), (), ())


def texts(count: int) -> list[str]:
    return [f"document {number}" for number in range(count)]


def test_random_negatives_are_never_positives_and_reach_every_other_document() -> None:
    seen: set[int] = set()
    for query in range(200):
        chosen = random_negatives(record(query, (7, 0, 3, 9)), texts(10), seed=1)
        assert len(set(chosen)) == 4
        seen |= set(chosen)
    assert seen == {1, 2, 4, 5, 6, 8}


def test_random_negatives_depend_on_seed_and_query_only() -> None:
    corpus = texts(100)
    assert random_negatives(record(3, (1,)), corpus, seed=1) == random_negatives(record(3, (1,)), corpus, seed=1)
    assert random_negatives(record(3, (1,)), corpus, seed=1) != random_negatives(record(4, (1,)), corpus, seed=1)
    assert random_negatives(record(3, (1,)), corpus, seed=1) != random_negatives(record(3, (1,)), corpus, seed=2)


def test_fewer_random_negatives_where_there_are_fewer_documents() -> None:
    assert sorted(random_negatives(record(0, (1,)), texts(3), seed=1)) == [0, 2]
    assert random_negatives(record(0, (0,)), texts(1), seed=1) == []


def test_a_copy_of_a_positive_is_no_random_negative() -> None:
    corpus = ["Red is a colour", "red is  a COLOUR", "Ｒed is a colour", "blue is one", "green is one"]
    for query in range(20):
        assert sorted(random_negatives(record(query, (0,)), corpus, seed=1)) == [3, 4]
        assert random_negatives(record(query, (0,)), corpus, seed=1, count=1)[0] in (3, 4)


def test_pairs_are_cut_by_query() -> None:
    pairs = Pairs(np.array([0, 0, 2]), np.array([5, 6, 7]), np.ones(3))
    assert [part.tolist() for part in pairs.of_queries(pairs.documents, 4)] == [[5, 6], [], [7], []]


@pytest.mark.parametrize("count", [2, 3, 10, 101])
def test_a_derangement_is_one_cycle_through_all(count: int) -> None:
    for seed in range(20):
        moved = derangement(count, seed)
        place, seen = 0, []
        for _ in range(count):
            place = int(moved[place])
            seen.append(place)
        assert sorted(seen) == list(range(count))


def test_a_derangement_depends_on_the_seed_only() -> None:
    assert np.array_equal(derangement(50, 3), derangement(50, 3))
    assert not np.array_equal(derangement(50, 3), derangement(50, 4))
    assert {tuple(derangement(3, seed)) for seed in range(50)} == {(1, 2, 0), (2, 0, 1)}
    assert len(derangement(1, 0)) == len(derangement(0, 0)) == 0


def test_shuffled_pairs_keep_documents_and_leave_out_what_the_other_query_finds_relevant() -> None:
    records = [record(0, (5, 6)), record(1, (6,)), record(2, (7,))]
    pairs = Pairs(np.array([0, 0, 1, 2]), np.array([5, 6, 6, 7]), np.ones(4))
    nothing: Any = None
    asked = Questions(nothing, records, nothing, pairs, pairs, pairs, others=np.array([1, 2, 0]))
    found = asked.shuffled(pairs)
    # query 0 becomes 1, for which document 6 is relevant, too
    assert list(zip(found.queries.tolist(), found.documents.tolist(), strict=True)) == [(0, 7), (1, 5), (2, 6)]
    assert np.isnan(found.labels).all()
    alone = Questions(nothing, records[:1], nothing, pairs, pairs, pairs, others=np.empty(0, dtype=np.int64))
    assert len(alone.shuffled(pairs)) == 0
