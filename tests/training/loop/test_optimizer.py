"""AdamW against torch's plain one, its memory, and its numbers taken and put back."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bistill.training.loop import optimizer
from bistill.training.loop.optimizer import Rates, parameter_groups, peak_lr
from bistill.training.loop.update import set_rate, updates_done


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 2))
    model[1].bias.requires_grad_(False)
    return model


def groups_of(model: nn.Module) -> list[dict[str, Any]]:
    return parameter_groups(model, Rates(0.01, 0.03, {"2.weight", "2.bias"}), weight_decay=0.1)


def update(model: nn.Module, used: torch.optim.Optimizer, number: int) -> None:
    inputs = torch.randn(4, 5, generator=torch.Generator().manual_seed(number))
    used.zero_grad()
    model(inputs).square().mean().backward()
    used.step()


def numbers(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def test_updates_equal_torchs_plain_adamw() -> None:
    model = network()
    plain = copy.deepcopy(model)
    used = optimizer.adamw(groups_of(model))
    reference = torch.optim.AdamW(groups_of(plain), foreach=False, fused=False)
    for number in range(8):
        factor = (8 - number) / 8
        assert set_rate(used, factor) == pytest.approx(0.01 * factor)
        for group in reference.param_groups:
            group["lr"] = factor * (0.03 if any(value.shape[0] == 2 for value in group["params"]) else 0.01)
        update(model, used, number)
        update(plain, reference, number)
    expected = numbers(plain)
    for name, value in numbers(model).items():
        torch.testing.assert_close(value, expected[name], atol=1e-7, rtol=0)
        assert torch.equal(value, numbers(network())[name]) is (name == "1.bias")


def test_moments_are_there_before_the_first_update_and_stay_where_they_are() -> None:
    model = network()
    used = optimizer.adamw(groups_of(model))
    trained = [value for value in model.parameters() if value.requires_grad]
    before = {id(value): dict(used.state[value]) for value in trained}
    assert all(set(found) == {"step", "exp_avg", "exp_avg_sq"} for found in before.values())
    assert all(not tensor.any() for found in before.values() for tensor in found.values())
    for number in range(2):
        update(model, used, number)
    for value in trained:
        assert used.state[value].keys() == before[id(value)].keys()
        for key, tensor in used.state[value].items():
            assert tensor is before[id(value)][key] and tensor.any()
    assert len(used.state) == len(trained) == 5


def test_updates_are_counted_over_all_parameters() -> None:
    model = network()
    used = optimizer.adamw(groups_of(model))
    assert updates_done(used) == 0
    update(model, used, 0)
    assert updates_done(used) == 5
    used.state[model[0].weight]["step"] += 1  # one parameter was changed, then memory ran out
    assert updates_done(used) == 6


def test_a_state_put_back_gives_the_same_bits_again() -> None:
    model = network()
    used = optimizer.adamw(groups_of(model))
    for number in range(3):
        update(model, used, number)
    saved, weights = optimizer.state(model, used, copied=True), numbers(model)
    names = ["0.weight", "0.bias", "1.weight", "2.weight", "2.bias"]
    assert set(saved) == {f"{key}/{name}" for name in names for key in ("step", "exp_avg", "exp_avg_sq")}
    kept = {name: value.clone() for name, value in saved.items()}
    for number in range(3, 6):
        update(model, used, number)
    expected = numbers(model)
    assert all(torch.equal(saved[name], value) for name, value in kept.items())  # copies: untouched by the updates

    other = network()
    other.load_state_dict(weights)
    resumed = optimizer.adamw(groups_of(other))
    optimizer.restore(other, resumed, saved)
    again = optimizer.state(other, resumed, copied=True)
    assert all(torch.equal(again[name], value) for name, value in saved.items())
    for number in range(3, 6):
        update(other, resumed, number)
    assert all(torch.equal(value, expected[name]) for name, value in numbers(other).items())
    assert all(torch.equal(saved[name], value) for name, value in kept.items())  # the optimizer took copies
    assert updates_done(resumed) == 6 * 5
    assert [group["peak_lr"] for group in resumed.param_groups] == [0.01, 0.01, 0.03, 0.03]


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


def test_default_learning_rates() -> None:
    assert peak_lr(None) == 2e-5
    assert peak_lr(None, lora=True) == 2e-4
    assert peak_lr(1e-3, lora=True) == 1e-3
