"""What is asked of the variable-length kernel on CUDA, answered on a CPU by attention from its definition.

The kernel itself runs on CUDA alone. Its place is taken by a reference of the same signature, bound to that of the
installed torch, so that a wrong argument, layout, window or head is seen without a GPU.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.nn.attention import varlen

from bistill.models.compute import packable, packing
from bistill.models.compute import varlen as ours
from bistill.models.compute.packing import PackedLayout
from tests.models.compute.test_packing import CPU, FAMILIES, LENGTHS, batch, built

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

    @functools.wraps(varlen.varlen_attn)
    def noted(*given: Any, **named: Any) -> Tensor:
        asked.append(named)
        return by_definition(*given, **named)

    monkeypatch.setattr(varlen, "varlen_attn", noted)
    monkeypatch.setattr(packing, "by_runs", ours.attention)
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
    layout = PackedLayout(LENGTHS, CPU)
    random = torch.Generator().manual_seed(1)
    rows = [torch.randn(layout.tokens, heads, 8, generator=random) for heads in (4, 2, 2)]
    found = ours.attention(layout, rows, True, 5, 0.3)
    exact = by_definition(*(row.double() for row in rows), layout.ends, layout.ends, layout.longest, layout.longest,
                          scale=0.3, window_size=(4, 0), enable_gqa=True)  # fmt: skip
    assert found.dtype == torch.get_autocast_dtype("cuda") == torch.float16
    torch.testing.assert_close(found.double(), exact, atol=5e-3, rtol=5e-3)


def kernel_of_torch_2_11(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_q: Tensor, cu_seq_k: Tensor, max_q: int, max_k: int, *,
    return_aux: Any = None, scale: float | None = None, window_size: tuple[int, int] = (-1, -1),
) -> Tensor:  # fmt: skip
    return by_definition(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, scale=scale, window_size=window_size)


def kernel_of_torch_2_10(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_q: Tensor, cu_seq_k: Tensor, max_q: int, max_k: int,
    is_causal: bool = False, return_aux: Any = None,
) -> Tensor:  # fmt: skip
    window = (-1, 0 if is_causal else -1)
    return by_definition(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, window_size=window)


def kernel_of_torch_2_13(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_q: Tensor, cu_seq_k: Tensor | None, max_q: int, max_k: int, *,
    return_aux: Any = None, scale: float | None = None, window_size: tuple[int, int] = (-1, -1),
    enable_gqa: bool = False, seqused_k: Any = None, block_table: Any = None, num_splits: int | None = None,
) -> Tensor:  # fmt: skip
    named = {"scale": scale, "window_size": window_size, "enable_gqa": enable_gqa}
    return by_definition(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, **named)


@pytest.mark.parametrize("own", [kernel_of_torch_2_10, kernel_of_torch_2_11, kernel_of_torch_2_13])
@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("heads", [(4, 4, 4), (4, 2, 2)])
def test_the_kernel_of_each_torch_is_called_with_the_arguments_that_it_has(
    monkeypatch: pytest.MonkeyPatch, own: Any, window: int | None, causal: bool, heads: tuple[int, int, int]
) -> None:
    """Without enable_gqa the heads of keys are repeated, without scale the queries are scaled."""
    monkeypatch.setattr(varlen, "varlen_attn", own)
    layout, random = PackedLayout(LENGTHS, CPU), torch.Generator().manual_seed(1)
    rows = [torch.randn(layout.tokens, count, 8, generator=random).double() for count in heads]
    if own is kernel_of_torch_2_10 and window is not None:
        with pytest.raises(ValueError, match="no sliding window"):
            ours.attention(layout, rows, causal, window, 0.3)
        return
    for scaling in (None, 0.3):
        found = ours.attention(layout, rows, causal, window, scaling)
        torch.testing.assert_close(found, packing.by_runs(layout, rows, causal, window, scaling))


@pytest.mark.parametrize("lacks", ["the module", "an argument"])
def test_a_kernel_that_cannot_be_called_is_said_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lacks: str
) -> None:
    def other(query: Tensor, *, window_size: Any) -> Tensor:
        return query

    monkeypatch.setattr(packing, "by_runs", ours.attention)
    if lacks == "the module":
        monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", None)
    else:
        monkeypatch.setattr(varlen, "varlen_attn", other)
    assert not packable.packs(built(FAMILIES["bert"]), "fp32")
    reason = {
        "the module": f"ModuleNotFoundError of torch {torch.__version__}: import of torch.nn.attention.varlen halted",
        "an argument": f"TypeError of torch {torch.__version__}: ",
    }[lacks]
    said = capsys.readouterr().err
    assert f"runs padded, which can cost half of the speed where texts differ in length: {reason}" in said


def test_on_cuda_the_kernel_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tensors that only say that they are on CUDA."""
    asked: list[str] = []

    def noted(name: str, rows: Any) -> Tensor:
        asked.append(f"{name} {rows[0].device.type}")
        return rows[0]

    monkeypatch.setattr(ours, "attention", lambda _, rows, *__: noted("kernel", rows))
    monkeypatch.setattr(packing, "by_runs", lambda _, rows, *__: noted("runs", rows))
    monkeypatch.setattr(packing.active, "layout", PackedLayout(LENGTHS, CPU))
    tokens = int(LENGTHS.sum())
    with FakeTensorMode() as mode:
        for device in ("cuda", "cpu"):
            row = FakeTensor(mode, torch.empty(1, 4, tokens, 8, device="meta"), torch.device(device))
            found, _ = packing.attention(torch.nn.Module(), row, row, row, None)
            assert found.shape == (1, tokens, 4, 8) and found.device.type == device
    assert asked == ["kernel cuda", "runs cpu"]
