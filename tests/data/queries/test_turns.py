"""How often an epoch comes to each query."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from bistill.data.queries.turns import Turns
from bistill.data.sampling import permutation


def test_without_groups_every_query_has_one_turn_in_the_order_of_the_seed() -> None:
    turns = Turns(np.ones(7, dtype=np.int64))
    assert (turns.samples, turns.most, turns.said()) == (7, 1, "")
    assert turns.order(3, 1).tolist() == permutation(3, 1, 7).tolist()
    rows, places, epochs = turns.of(np.arange(7), epoch=5)
    assert (rows.tolist(), places.tolist(), epochs.tolist()) == (list(range(7)), [0] * 7, [5] * 7)


def test_the_samples_of_a_turn_stay_together() -> None:
    sizes = np.array([2, 1, 3])
    order = Turns(sizes).order(42, 0)
    starts = {0: [0, 1], 1: [2], 2: [3, 4, 5]}
    assert order.tolist() == [sample for row in permutation(42, 0, 3) for sample in starts[int(row)]]
    rows, places, _ = Turns(sizes).of(np.arange(6), 0)
    assert (rows.tolist(), places.tolist()) == ([0, 0, 1, 2, 2, 2], [0, 1, 0, 0, 1, 2])


def test_every_group_has_as_many_turns_as_the_largest() -> None:
    groups = np.array([0] * 10 + [1] * 4 + [2] * 5)
    turns = Turns(np.ones(19, dtype=np.int64), groups)
    assert (turns.samples, turns.most) == (30, 3)
    assert turns.said() == "; 10 queries of each of 3 data versions"
    extra = []
    for epoch in range(6):
        samples = turns.order(42, epoch)
        assert len(samples) == len(set(samples.tolist())) == 30
        seen = Counter(turns.of(samples, epoch)[0].tolist())
        assert {row: seen[row] for row in range(10)} == dict.fromkeys(range(10), 1)
        assert sorted(seen[row] for row in range(10, 14)) == [2, 2, 3, 3]  # 10 of 4: two each, and two by chance
        assert {row: seen[row] for row in range(14, 19)} == dict.fromkeys(range(14, 19), 2)
        extra.append(frozenset(row for row in range(10, 14) if seen[row] == 3))
    assert len(set(extra)) > 1  # others each epoch
    assert turns.order(42, 4).tolist() == turns.order(42, 4).tolist() != turns.order(43, 4).tolist()


def test_no_two_turns_of_a_query_have_the_same_epoch_of_their_own() -> None:
    turns = Turns(np.ones(5, dtype=np.int64), np.array([0, 0, 0, 0, 1]))
    own = []
    for epoch in range(3):
        rows, _, epochs = turns.of(turns.order(1, epoch), epoch)
        own += epochs[rows == 4].tolist()
    assert sorted(own) == list(range(12))


@pytest.mark.parametrize("seed", range(5))
def test_epochs_have_the_same_number_of_samples_where_turns_have_several(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes, groups = rng.integers(1, 6, 40), np.array([0] * 23 + [1] * 9 + [2] * 8)
    turns = Turns(sizes, groups)
    whole = sizes[:23].sum() + 2 * sizes[23:].sum()  # 23 of 9 and of 8: two turns each, and 5 and 7 more
    shares = [int(sizes[23:32].sum() * 5 / 9), int(sizes[32:].sum() * 7 / 8)]
    assert turns.samples == whole + sum(shares)
    for epoch in range(4):
        rows, places, epochs = turns.of(turns.order(seed, epoch), epoch)
        assert len(rows) == turns.samples
        assert [int(((groups[rows] == group) & (epochs == 3 * epoch + 2)).sum()) for group in (1, 2)] == shares
        assert len(set(zip(rows.tolist(), places.tolist(), epochs.tolist(), strict=True))) == turns.samples
        assert (places < sizes[rows]).all()


def test_a_query_without_a_sample_has_no_place_in_an_epoch() -> None:
    turns = Turns(np.array([0, 2, 0, 1, 0]), np.array([0, 0, 0, 1, 1]))
    assert turns.samples == 2 + 1 + 0  # half a sample is none
    rows, _, _ = turns.of(turns.order(42, 0), 0)
    assert sorted(rows.tolist()) == [1, 1, 3]
