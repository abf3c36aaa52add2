"""How large a model is and on what it runs, in words."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from bistill import artifacts, distributed
from bistill.errors import ArtifactError
from bistill.models.settings import Precision

MILLION: Final = 1e6
# Names of both in configurations of transformers.
SHAPE: Final = {
    "layers": ("num_hidden_layers", "n_layers", "num_layers"),
    "dimensions": ("hidden_size", "dim", "d_model"),
}


def of_model(model: nn.Module) -> str:
    """Layers, dimensions and weights of a loaded model: ``6 layers, 384 dimensions, 22.7 M weights, all trained``."""
    weights = sum(value.numel() for value in model.parameters())
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
    share = "all trained" if trained == weights else f"{_millions(trained)} of them trained"
    config = getattr(model, "config", None)
    return f"{_shape(config.to_dict() if config is not None else {})}{_millions(weights)} weights, {share}"


def of_folder(folder: Path) -> str:
    """Layers, dimensions and weights of a model on disk, by its ``config.json`` and the headers of its weights;
    "" where it has neither."""
    try:
        config = artifacts.read_json(folder / artifacts.CONFIG_FILE)
    except ArtifactError:
        config = {}
    weights = sum(_in_file(path) for path in sorted(folder.glob("*.safetensors")))
    counted = f"{_millions(weights)} weights" if weights else ""
    return f"{_shape(config)}{counted}".removesuffix(", ")


def machine(device: torch.device, precision: Precision) -> str:
    """Where and in which arithmetic a model runs: ``cpu, 2 threads, fp32``; in a run of several processes each."""
    several = f" in each of {distributed.processes()} processes" if distributed.processes() > 1 else ""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        return f"{device} ({torch.cuda.get_device_name(device)}, {memory:.0f} GiB), {precision}{several}"
    threads = torch.get_num_threads()
    return f"{device}, {threads} thread{'s' if threads > 1 else ''}, {precision}{several}"


def _shape(config: dict[str, Any]) -> str:
    """``6 layers, 384 dimensions, `` where a configuration says so."""
    found = {unit: next((config[name] for name in names if name in config), None) for unit, names in SHAPE.items()}
    return "".join(f"{number} {unit}, " for unit, number in found.items() if isinstance(number, int))


def _in_file(path: Path) -> int:
    """Numbers that a safetensors file holds, by its header: 8 bytes of its length, then JSON."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (OSError, ValueError):  # whoever loads the model says what is wrong with it
        return 0
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def _millions(count: int) -> str:
    return f"{count / MILLION:.{2 if count < MILLION else 1}f} M"
