"""Generators that go on where they were."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bistill.training.loop import random_state


def draws() -> list[object]:
    """Of every generator; Gaussians come in pairs, of which the second is kept for the next call."""
    return [
        random.random(),
        random.gauss(0, 1),
        random.randrange(10**30),
        *np.random.rand(3).tolist(),
        np.random.randn(),
        torch.rand(3).tolist(),
        torch.randn(7).tolist(),
        torch.randperm(9).tolist(),
    ]


@pytest.mark.parametrize("gaussians", [0, 1, 2])
@pytest.mark.parametrize("on_disk", [False, True])
def test_what_is_drawn_after_a_restore_is_what_was_drawn_before(gaussians: int, on_disk: bool, tmp_path: Path) -> None:
    random.seed(3)
    np.random.seed(4)
    torch.manual_seed(5)
    for _ in range(gaussians):
        random.gauss(0, 1)
        np.random.randn()
    torch.rand(1)
    states = random_state.capture()
    assert len(states["python_gauss"]) == gaussians % 2
    assert states["numpy_position"][1] == gaussians % 2
    expected = [draws(), draws()]
    if on_disk:
        save_file(states, tmp_path / "random.safetensors")
        states = load_file(tmp_path / "random.safetensors")
    random.seed(99)
    random.gauss(0, 1)
    np.random.seed(99)
    torch.manual_seed(99)
    assert draws() != expected[0]
    random_state.restore(states)
    assert [draws(), draws()] == expected


def test_capturing_draws_nothing() -> None:
    random.seed(3)
    np.random.seed(4)
    torch.manual_seed(5)
    expected = draws()
    random.seed(3)
    np.random.seed(4)
    torch.manual_seed(5)
    random_state.capture()
    assert draws() == expected
