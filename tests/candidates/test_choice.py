from __future__ import annotations

import numpy as np
import pytest

from bistill.candidates.choice import choose_negatives
from bistill.candidates.settings import Choice

RELEVANCE = np.array([0.1, 0.9, 0.5, 0.7, 0.2, 0.05, 0.3, 0.6], dtype=np.float32)
NONE = np.zeros(8, dtype=bool)


def pick(count: int, how: Choice, labelled: np.ndarray = NONE, **keys: int) -> list[int]:
    settings = {"seed": 0, "epoch": 0, "query_id": 3, **keys}
    return choose_negatives(RELEVANCE, labelled, count, how=how, **settings).tolist()


def test_stratified_takes_one_of_each_quantile() -> None:
    ranks = np.argsort(np.argsort(-RELEVANCE))
    for epoch in range(20):
        chosen = pick(4, "stratified", epoch=epoch)
        assert [int(ranks[place]) // 2 for place in chosen] == [0, 1, 2, 3]
    assert len({tuple(pick(4, "stratified", epoch=epoch)) for epoch in range(20)}) > 5
    assert sorted(pick(8, "stratified")) == list(range(8))
    assert sorted(pick(30, "stratified")) == list(range(8))


def test_every_member_of_a_stratum_is_drawn_alike() -> None:
    counts = np.zeros(8)
    for query in range(4000):
        counts[pick(3, "stratified", query_id=query)] += 1
    # Strata of 3, 2 and 3 of the 8 ranks: 1/3, 1/2 and 1/3 of the draws each.
    ranked = counts[np.argsort(-RELEVANCE)] / 4000
    np.testing.assert_allclose(ranked, [1 / 3] * 3 + [1 / 2] * 2 + [1 / 3] * 3, atol=0.03)


def test_random_takes_labelled_ones_first_and_repeats_nothing_before_all_came() -> None:
    labelled = np.isin(np.arange(8), [2, 5])
    epochs = [pick(4, "random", labelled, epoch=epoch) for epoch in range(3)]
    assert all(set(chosen[:2]) == {2, 5} for chosen in epochs)
    others = [place for chosen in epochs for place in chosen[2:]]
    assert sorted(others) == [0, 1, 3, 4, 6, 7]


def test_stratified_takes_labelled_ones_first_and_strata_of_the_others() -> None:
    labelled = np.isin(np.arange(8), [2, 5])
    # The others by falling score: 1, 3 and 7; 6, 4 and 0.
    for epoch in range(20):
        chosen = pick(4, "stratified", labelled, epoch=epoch)
        assert set(chosen[:2]) == {2, 5} and chosen[2] in {1, 3, 7} and chosen[3] in {6, 4, 0}
    assert {pick(1, "stratified", labelled, epoch=epoch)[0] for epoch in range(20)} == {2, 5}


@pytest.mark.parametrize("how", ["random", "stratified"])
def test_a_choice_depends_on_seed_epoch_and_query_alone(how: Choice) -> None:
    assert pick(3, how, epoch=2) == pick(3, how, epoch=2)
    assert pick(0, how) == []
    empty = choose_negatives(RELEVANCE[:0], NONE[:0], 3, how=how, seed=0, epoch=0, query_id=0)
    assert empty.tolist() == []
    assert len({tuple(pick(3, how, query_id=query)) for query in range(30)}) > 10
