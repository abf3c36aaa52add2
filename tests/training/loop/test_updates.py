"""Samples, learning rates and seeds of updates by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import get_linear_schedule_with_warmup

from bistill.data.sampling import generator
from bistill.training.loop.updates import Updates, warmup_decay_factor
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


def test_rate_and_seed_follow_from_the_number_alone() -> None:
    updates, _ = made()
    # Six updates, of which a tenth, so one, warms up: 1/2, then 5/5, 4/5, ...
    assert [updates.rate(step) for step in (3, 0, 5)] == pytest.approx([3 / 5, 1 / 2, 1 / 5])
    assert updates.seed(4) == int(generator(5, "step", 4).integers(2**62))
    assert len({updates.seed(step) for step in range(6)}) == 6


def test_rises_to_one_and_falls_to_zero() -> None:
    factors = [warmup_decay_factor(step, 10, 0.2) for step in range(10)]
    expected = [1 / 3, 2 / 3, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]
    assert factors == pytest.approx(expected)


def test_without_warm_up_equals_transformers() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)
    schedule = get_linear_schedule_with_warmup(optimizer, 0, 7)
    expected = []
    for _ in range(7):
        expected.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert [3e-4 * warmup_decay_factor(step, 7, 0.0) for step in range(7)] == pytest.approx(expected)
