"""What a student never overwrites, and teachers that are not there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bistill.app.commands.distill import train
from bistill.errors import ModelError, OptionError
from tests.training.conftest import distillation_options as options


def test_a_student_never_overwrites_its_teacher(data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    with pytest.raises(OptionError, match="the student would overwrite its teacher"):
        train(options(data_root, tiny_teacher, tiny_encoder, output_dir=str(tiny_teacher)))


def test_a_student_never_overwrites_its_start_nor_its_miner(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, tmp_path: Path
) -> None:
    before = (tiny_encoder / "model.safetensors").read_bytes()
    with pytest.raises(OptionError, match="the student would overwrite its start"):
        train(options(data_root, tiny_teacher, tiny_encoder, output_dir=str(tiny_encoder)))
    assert (tiny_encoder / "model.safetensors").read_bytes() == before
    miner = tmp_path / "miner"
    shutil.copytree(tiny_encoder, miner)
    with pytest.raises(OptionError, match="the student would overwrite its miner"):
        train(
            options(
                data_root, tiny_teacher, tiny_encoder, output_dir=str(miner), miner_model=str(miner), miners=("dense",)
            )
        )


def test_a_missing_teacher_is_an_error(data_root: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        train(options(data_root, tmp_path / "nowhere", tiny_encoder))


def test_a_student_never_overwrites_a_further_teacher(data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    changes = {"output_dir": str(tiny_teacher), "more_teachers": (str(tiny_teacher),)}
    with pytest.raises(OptionError, match="the student would overwrite its teacher"):
        train(options(data_root, "scores:bought", tiny_encoder, **changes))
