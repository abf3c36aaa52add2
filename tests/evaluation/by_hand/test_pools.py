"""Depth-k pooling, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bistill.evaluation.by_hand.pools import fitting, pools, shuffled


def test_a_pool_holds_the_first_documents_of_each_ranking_once() -> None:
    first = np.array([[7, 2, 9], [4, 1, 0]])
    second = np.array([[2, 5, 8], [-1, -1, -1]])
    assert [pool.tolist() for pool in pools([first, second], 2)] == [[2, 5, 7], [1, 4]]
    assert [pool.tolist() for pool in pools([second, first], 2)] == [[2, 5, 7], [1, 4]]
    assert [pool.tolist() for pool in pools([first, second], 9)] == [[2, 5, 7, 8, 9], [0, 1, 4]]


@pytest.mark.parametrize(
    ("sizes", "number", "taken"),
    [
        ([3, 4, 2], 9, 3),
        ([3, 4, 2], 8, 2),
        ([3, 4, 1], 5, 1),  # the third alone would fit, but is not taken before the second
        ([6, 1], 5, 1),  # never none
        ([0, 0, 2], 2, 3),
    ],
)
def test_whole_pools_are_taken_while_they_fit(sizes: list[int], number: int, taken: int) -> None:
    assert fitting([np.arange(size) for size in sizes], number) == taken


def test_the_order_of_a_pool_follows_from_seed_and_query_alone() -> None:
    pool = np.arange(10, 30)
    orders = {shuffled(pool, seed, query).tobytes() for seed in (1, 2) for query in (0, 1)}
    assert len(orders) == 4
    assert shuffled(pool, 1, 0).tobytes() in orders and sorted(shuffled(pool, 1, 0)) == pool.tolist()
