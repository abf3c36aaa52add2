"""What is asked of the variable-length kernel on CUDA, answered on a CPU by attention from its definition.

The kernel itself runs on CUDA alone. Its place is taken by a reference of the same signature, bound to that of the
installed torch, so that a wrong argument, layout, window or head is seen without a GPU.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import varlen

from bistill.encoders import packing
from bistill.encoders.packing import Layout
from tests.encoders.test_packing import CPU, FAMILIES, LENGTHS, batch, built

SIGNATURE = inspect.signature(varlen.varlen_attn)


def by_definition(*given: Any, **named: Any) -> Tensor:
    """softmax(scale * Q K^T) V, text by text and head by head, over the places that the window leaves."""
    bound = SIGNATURE.bind(*given, **named)
    bound.apply_defaults()
    asked = bound.arguments
    query, key, value, ends = (asked[name] for name in ("query", "key", "value", "cu_seq_q"))
    assert ends.dtype == torch.int32 and torch.equal(ends, asked["cu_seq_k"])
    assert asked["max_q"] == asked["max_k"] == int(ends.diff().max())
    assert asked["enable_gqa"] == (query.shape[1] != key.shape[1])
    left, right = asked["window_size"]
    scale = query.shape[-1] ** -0.5 if asked["scale"] is None else asked["scale"]
    group = query.shape[1] // key.shape[1]
    found = torch.empty_like(query)
    for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        places = torch.arange(end - start)
        away = places - places.unsqueeze(1)  # how far behind a token the other one stands
        seen = ((away >= -left) | (left < 0)) & ((away <= right) | (right < 0))
        for head in range(query.shape[1]):
            own = slice(start, end), head // group
            scores = scale * query[start:end, head] @ key[own].T
            found[start:end, head] = scores.masked_fill(~seen, -torch.inf).softmax(-1) @ value[own]
    return found


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Attention as on CUDA; what each layer asks for."""
    asked: list[dict[str, Any]] = []

    def noted(*given: Any, **named: Any) -> Tensor:
        asked.append(named)
        return by_definition(*given, **named)

    monkeypatch.setattr(varlen, "varlen_attn", noted)
    monkeypatch.setattr(packing, "_by_runs", packing._by_kernel)
    return asked


@pytest.mark.parametrize("family", FAMILIES)
def test_token_vectors_are_those_of_the_padded_batch(family: str, kernel: list[dict[str, Any]]) -> None:
    model, inputs = built(FAMILIES[family]).double(), batch()
    real = inputs["attention_mask"].bool()
    with torch.inference_mode():
        expected = model(**inputs).last_hidden_state
        assert not kernel
        with packing.packed(model, LENGTHS):
            found = model(**inputs).last_hidden_state
    assert len(kernel) == FAMILIES[family].num_hidden_layers
    torch.testing.assert_close(found[real], expected[real], atol=1e-10, rtol=1e-8)


def test_windows_are_those_of_each_layer(kernel: list[dict[str, Any]]) -> None:
    windows = {}
    for family in ("bert", "modernbert", "qwen3", "qwen3-sliding"):
        kernel.clear()
        model = built(FAMILIES[family]).double()
        with torch.inference_mode(), packing.packed(model, LENGTHS):
            model(**batch())
        windows[family] = [named["window_size"] for named in kernel]
    everything, causal = (-1, -1), (-1, 0)
    assert windows["bert"] == [everything] * 3
    # Every second layer sees all; the others up to local_attention / 2 places to each side.
    assert windows["modernbert"] == [everything, (8, 8), everything]
    assert windows["qwen3"] == [causal] * 3
    # A sliding window of 8 is the token itself and seven before it; the first layer has none.
    assert windows["qwen3-sliding"] == [causal, (7, 0), (7, 0)]


def test_numbers_of_32_bits_reach_the_kernel_in_half_precision(kernel: list[dict[str, Any]]) -> None:
    layout = Layout(LENGTHS, CPU)
    random = torch.Generator().manual_seed(1)
    rows = [torch.randn(layout.tokens, heads, 8, generator=random) for heads in (4, 2, 2)]
    found = packing._by_kernel(layout, rows, True, 5, 0.3)
    exact = by_definition(*(row.double() for row in rows), layout.ends, layout.ends, layout.longest, layout.longest,
                          scale=0.3, window_size=(4, 0), enable_gqa=True)  # fmt: skip
    assert found.dtype == torch.get_autocast_dtype("cuda") == torch.float16
    torch.testing.assert_close(found.double(), exact, atol=5e-3, rtol=5e-3)
