from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from bistill.models import lora, sizes
from bistill.models.bi_encoder import BiEncoder
from bistill.models.settings import Lora


def test_a_loaded_model_says_what_is_trained_of_it(tiny_encoder: Path) -> None:
    encoder = BiEncoder.load(str(tiny_encoder), precision="fp32")
    config, count = encoder.model.config, sum(value.numel() for value in encoder.model.parameters())
    shape = f"{config.num_hidden_layers} layers, {config.hidden_size} dimensions, "
    assert sizes.of_model(encoder.model) == f"{shape}{count / 1e6:.2f} M weights, all trained"
    adapted = lora.apply(encoder.model, Lora(rank=2), new_keys=[], seed=1)
    trained = sum(value.numel() for value in adapted.parameters() if value.requires_grad)
    assert 0 < trained < count
    assert sizes.of_model(adapted) == (
        f"{shape}{(count + trained) / 1e6:.2f} M weights, {trained / 1e6:.2f} M of them trained"
    )
    assert sizes.of_model(nn.Linear(1000, 2000)) == "2.0 M weights, all trained"


def test_a_model_on_disk_is_measured_without_loading_it(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = BiEncoder.load(str(tiny_encoder), precision="fp32")
    whole = sizes.of_model(encoder.model).removesuffix(", all trained")
    assert sizes.of_folder(tiny_encoder) == whole
    assert sizes.of_folder(tmp_path) == ""
    (tmp_path / "config.json").write_text(json.dumps({"n_layers": 6, "dim": 768}))
    assert sizes.of_folder(tmp_path) == "6 layers, 768 dimensions"
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    assert sizes.of_folder(tmp_path) == "6 layers, 768 dimensions"


def test_where_a_model_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert sizes.machine(torch.device("cpu"), "fp32") == "cpu, 2 threads, fp32"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert sizes.machine(torch.device("cpu"), "bf16") == "cpu, 1 thread, bf16"
