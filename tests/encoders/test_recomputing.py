"""Layers that are computed twice give the same bits: same masks, same row; and they keep less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from bistill.encoders import packing
from bistill.encoders.dropout import text_dropout
from bistill.encoders.recomputing import recompute
from tests.encoders.test_packing import FAMILIES, LENGTHS, batch, built


def gradients(model: Any, packed: bool) -> tuple[list[Tensor], int]:
    """Gradients of one pass in training, and how many numbers the graph keeps."""
    kept: list[int] = []

    def keep(value: Tensor) -> Tensor:
        kept.append(value.numel())
        return value

    model.zero_grad()
    inputs = batch()
    weight = inputs["attention_mask"].unsqueeze(-1) * torch.linspace(-1, 1, 32)
    context = packing.packed(model, LENGTHS) if packed else torch.enable_grad()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        with text_dropout(7, np.arange(6)), context:
            hidden = model(**inputs).last_hidden_state
        loss = (hidden.sin() * weight).sum()
    numbers = sum(kept)
    loss.backward()
    return [value.grad.clone() for value in model.parameters() if value.grad is not None], numbers


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("family", ["bert", "modernbert", "qwen3"])
def test_gradients_are_the_same_bits(family: str, packed: bool) -> None:
    config = type(FAMILIES[family])(**{**FAMILIES[family].to_dict(), "mlp_dropout": 0.2})
    model = built(config).train()
    expected, whole = gradients(model, packed)
    again, _ = gradients(model, packed)
    assert all(map(torch.equal, again, expected))
    assert recompute(model)
    found, less = gradients(model, packed)
    assert len(found) == len(expected) > 10
    assert all(map(torch.equal, found, expected))
    assert less < whole / 2
    assert not recompute(model)  # it does so already


def test_a_model_without_such_layers_says_so() -> None:
    class Plain(transformers.BertModel):
        supports_gradient_checkpointing = False

    assert not recompute(Plain(FAMILIES["bert"]))
