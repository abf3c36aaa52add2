"""What the generators of the process hold decides nothing, so a checkpoint need not hold their states."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bistill import artifacts
from bistill.app.commands.distill import train as distil
from bistill.app.commands.teacher import train as train_teacher
from tests.training.conftest import distillation_options
from tests.training.teacher.test_train import options as teacher_options


def states() -> tuple[Any, ...]:
    """Of Python's and NumPy's generators, in a form that compares."""
    name, words, *position = np.random.get_state(legacy=True)
    return random.getstate(), name, words.tobytes(), *position


@pytest.mark.slow
@pytest.mark.parametrize("use_lora", [False, True])
def test_a_run_is_the_same_whatever_the_generators_hold_and_draws_nothing(
    data_root: Path, tiny_encoder: Path, use_lora: bool
) -> None:
    lora = {"use_lora": use_lora, "lora_r": 4, "lora_dropout": 0.1}
    found = []
    for number in range(2):
        random.seed(number)
        np.random.seed(number)
        torch.manual_seed(number)
        before = states()
        folders = [data_root.parent / f"{stage}-{number}" for stage in ("teacher", "student")]
        train_teacher(teacher_options(data_root, tiny_encoder, epochs=1, output_dir=str(folders[0]), **lora))
        distil(distillation_options(data_root, folders[0], tiny_encoder, epochs=1, output_dir=str(folders[1]), **lora))
        assert states() == before
        found.append([artifacts.sha256_of_file(folder / "model.safetensors") for folder in folders])
    assert found[0] == found[1]
