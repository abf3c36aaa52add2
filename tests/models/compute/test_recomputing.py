"""Layers that are computed twice give the same bits: same masks, same row; and they keep less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from bistill.models.compute import packing, products
from bistill.models.compute.dropout import text_dropout
from bistill.models.compute.recomputing import keep, recompute
from tests.models.compute.test_packing import FAMILIES, LENGTHS, batch, built


def gradients(model: Any, packed: bool) -> tuple[list[Tensor], int]:
    """Gradients of one pass in training, and how many numbers the graph keeps."""
    kept: list[int] = []

    def note(value: Tensor) -> Tensor:
        kept.append(value.numel())
        return value

    model.zero_grad()
    inputs = batch()
    weight = inputs["attention_mask"].unsqueeze(-1) * torch.linspace(-1, 1, 32)
    context = packing.packed(model, LENGTHS) if packed else torch.enable_grad()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
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
    keep(model)
    found, again_whole = gradients(model, packed)
    assert all(map(torch.equal, found, expected)) and again_whole == whole
    assert recompute(model)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has one library alone")
@pytest.mark.parametrize("by_tensor", [True, False])
def test_products_by_the_other_library_are_computed_twice_by_it(
    monkeypatch: pytest.MonkeyPatch, by_tensor: bool
) -> None:
    """The backward pass may stand within the context of fast products or be started by a tensor, which leaves it."""
    used: list[str] = []
    linear = products.onednn_linear
    monkeypatch.setattr(products, "fastest", lambda: products.Fastest(True, False, False))
    monkeypatch.setattr(products, "onednn_linear", lambda *args: used.append("oneDNN") or linear(*args))

    def run(model: Any) -> tuple[list[Tensor], int]:
        used.clear()
        model.zero_grad()
        with products.fast_products(torch.device("cpu")):
            with text_dropout(7, np.arange(6)), packing.packed(model, LENGTHS):
                loss = model(**batch()).last_hidden_state.sin().sum()
            loss.backward() if by_tensor else torch.autograd.backward(loss)
        return [value.grad.clone() for value in model.parameters() if value.grad is not None], len(used)

    model = built(FAMILIES["bert"]).train()
    expected, once = run(model)
    assert recompute(model)
    found, more = run(model)
    assert len(found) == len(expected) > 10
    assert all(map(torch.equal, found, expected))
    assert (once, more) == (37, 55)  # six in each of three layers, forward and backward, and the pooler; forward again


def test_a_model_without_such_layers_says_so() -> None:
    class Plain(transformers.BertModel):
        supports_gradient_checkpointing = False

    assert not recompute(Plain(FAMILIES["bert"]))
