"""Rows of few sizes, and caches that stay small however many sizes there are."""

from __future__ import annotations

import ctypes
import os

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from bistill.models.compute import packing, primitives, products
from bistill.models.compute.primitives import row_size
from tests.conftest import bert_config


@pytest.mark.parametrize(
    ("tokens", "expected"),
    # Multiples of 1, 2, 4, 16, 32, 64: a 32nd of the power of two below.
    [(1, 1), (63, 63), (64, 64), (65, 66), (129, 132), (700, 704), (1023, 1024), (1025, 1056), (2049, 2112)],
)
def test_sizes_by_hand(tokens: int, expected: int) -> None:
    assert row_size(tokens) == expected


def test_few_sizes_hardly_longer() -> None:
    tokens = np.arange(1, 8193)
    sizes = np.array([row_size(int(count)) for count in tokens])
    assert (sizes >= tokens).all() and (sizes <= tokens * (33 / 32)).all()
    assert (np.diff(sizes) >= 0).all()
    assert [row_size(int(size)) for size in sizes] == sizes.tolist()  # a size is its own
    for power in range(6, 13):
        assert len(set(sizes[2**power : 2 ** (power + 1)].tolist())) == 32
    assert (sizes / tokens)[511:].mean() < 1.015


def test_products_of_a_packed_model_meet_few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    linear = products._linear

    def note(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        seen.add(x.numel() // x.shape[-1])
        return linear(x, weight, bias)

    monkeypatch.setattr(products, "fastest", lambda: products.Fastest(True, True, False))
    monkeypatch.setattr(products, "_linear", note)
    model = transformers.BertModel(bert_config(num_hidden_layers=1), add_pooling_layer=False).eval()
    with torch.inference_mode(), products.fast_products(torch.device("cpu")):
        for tokens in range(512, 768, 3):
            lengths = np.append(np.full(tokens // 64, 64), tokens % 64 or 64)
            ids = torch.ones(len(lengths), 64, dtype=torch.int64)
            with packing.packed(model, lengths):
                model(input_ids=ids, attention_mask=ids)
    assert seen == {row_size(size) for size in seen} and len(seen) <= 21


def test_what_a_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = primitives.CAPACITIES
    monkeypatch.setenv(first, "7")
    monkeypatch.delenv(second, raising=False)
    primitives.bound_caches()
    assert (os.environ[first], os.environ[second]) == ("7", str(primitives.ENTRIES))


class MallInfo(ctypes.Structure):
    """What glibc's ``mallinfo2`` answers."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "used", "free", "keepcost")
    )


def allocated_mib() -> float:
    """MiB that the process has allocated, in use."""
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        pytest.skip("the C library does not tell")
    mallinfo.restype = MallInfo
    found = mallinfo()
    return float((found.used + found.hblkhd) / 2**20)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_products_of_ever_new_sizes_keep_no_memory() -> None:
    """Each of them keeps a tenth of a MiB or more; the caches hold 1,024 where nobody bounds them."""
    weight = torch.ones(64, 64)

    def multiply(first: int, last: int) -> float:
        for rows in range(first, last):
            products._linear(torch.ones(rows, 64), weight, None)
        return allocated_mib()

    with torch.inference_mode():
        filled = multiply(1, 2 * primitives.ENTRIES)
        assert multiply(1000, 1000 + primitives.ENTRIES) - filled < 5
