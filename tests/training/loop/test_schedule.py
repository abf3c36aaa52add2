from __future__ import annotations

import pytest
import torch
from transformers import get_linear_schedule_with_warmup

from bistill.training.loop.schedule import Rates, parameter_groups, warmup_decay_factor


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


def test_only_trainable_matrices_decay_and_the_head_learns_at_its_own_rate() -> None:
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 1), torch.nn.Linear(1, 4)
    )
    model[2].requires_grad_(False)
    groups = parameter_groups(model, Rates(0.1, 0.5, {"3.weight", "3.bias"}), weight_decay=0.01)
    found = {
        (group["lr"], group["weight_decay"]): [tuple(parameter.shape) for parameter in group["params"]]
        for group in groups
    }
    assert found == {
        (0.1, 0.01): [(3, 2)],
        (0.1, 0.0): [(3,), (3,), (3,)],
        (0.5, 0.01): [(4, 1)],
        (0.5, 0.0): [(4,)],
    }
