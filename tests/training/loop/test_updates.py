"""Samples of updates by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bistill.training.loop.updates import Updates
from bistill.training.settings import Loop


def made(batch_size: int = 3) -> tuple[Updates, list[tuple[int, int]]]:
    """Updates of seven samples, in falling order in the first epoch and in rising order in the second, and the orders
    that were asked for."""
    asked: list[tuple[int, int]] = []

    def order(seed: int, epoch: int) -> np.ndarray:
        asked.append((seed, epoch))
        return np.arange(7)[:: 1 if epoch else -1]

    return Updates(order, 7, Loop(epochs=2, batch_size=batch_size, seed=5)), asked


def test_each_epoch_is_cut_by_itself_and_ends_with_what_is_left() -> None:
    updates, asked = made()
    assert (len(updates), updates.of_an_epoch) == (6, 3)
    assert [(epoch, samples.tolist()) for epoch, samples in updates] == [
        (0, [6, 5, 4]),
        (0, [3, 2, 1]),
        (0, [0]),
        (1, [0, 1, 2]),
        (1, [3, 4, 5]),
        (1, [6]),
    ]
    assert asked == [(5, 0), (5, 1)]


def test_an_update_is_the_same_whatever_was_asked_before() -> None:
    updates, _ = made()
    in_order = [samples.tolist() for _, samples in updates]
    assert [updates[step][1].tolist() for step in (4, 0, 5, 2)] == [in_order[step] for step in (4, 0, 5, 2)]


def test_one_update_holds_a_whole_epoch_that_is_no_larger() -> None:
    updates, _ = made(batch_size=7)
    assert [len(samples) for _, samples in updates] == [7, 7]


@pytest.mark.parametrize("step", [-1, 6])
def test_there_are_no_others(step: int) -> None:
    with pytest.raises(AssertionError):
        made()[0][step]
