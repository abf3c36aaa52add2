"""A run's state at any step, two checkpoints of it, and what is seen of them on disk."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch

from bistill.training.run.checkpoint import Checkpoints, State

FILES = (
    "weights.safetensors",
    "best.safetensors",
    "optimizer.safetensors",
    "schedule.json",
    "hooks.json",
    "manifest.json",
)


def state(step: int, **changes: object) -> State:
    base = State(
        step=step,
        run={"options": {"lr": 5e-05, "이름": "실험"}, "order": {10: "a", 9: "b"}},
        weights={"linear.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3), "count": torch.tensor(step)},
        best={},
        best_step=0,
        optimizer={"0.exp_avg": torch.tensor([0.1, -0.0], dtype=torch.bfloat16)},
        schedule={"last_epoch": step, "scale": 1.0},
        hooks={"validate": {"best": None, "passes": [0.25, 0.5]}},
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


class Damages(list[tuple[str, str]]):
    def __call__(self, path: Path, reason: str) -> None:
        assert path.is_dir()
        self.append((path.name, reason))


def two(tmp_path: Path) -> tuple[Checkpoints, Damages]:
    damages = Damages()
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2, on_damage=damages)
    checkpoints.write(state(50))
    checkpoints.write(state(100))
    return checkpoints, damages


def assert_same(found: State | None, wanted: State) -> None:
    assert found is not None
    for field in ("weights", "best", "optimizer"):
        ours, theirs = getattr(found, field), getattr(wanted, field)
        assert ours.keys() == theirs.keys()
        for name, tensor in theirs.items():
            assert (ours[name].dtype, ours[name].shape) == (tensor.dtype, tensor.shape)
            flat = tensor.contiguous().reshape(-1).view(torch.uint8)
            assert torch.equal(ours[name].reshape(-1).view(torch.uint8), flat), name
    for field in ("step", "best_step", "schedule", "hooks"):
        assert getattr(found, field) == getattr(wanted, field)
    assert found.run == json.loads(json.dumps(wanted.run))
