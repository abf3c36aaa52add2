"""The two libraries' linear layers agree, and the context changes nothing but which one runs."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from bistill.models.compute import products
from bistill.models.compute.precision import resolve_precision
from tests.conftest import pin_products

CPU = torch.device("cpu")


@pytest.fixture
def onednn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """oneDNN taken whatever this machine prefers; the list counts its calls."""
    calls: list[int] = []
    linear = products.onednn_linear
    monkeypatch.setattr(products, "fastest", lambda: products.Fastest(True, True, False))
    monkeypatch.setattr(products, "onednn_linear", lambda *args: calls.append(1) or linear(*args))
    return calls


@pytest.mark.parametrize("shape", [(7, 24), (3, 5, 24), (1, 24)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_layers_agree(onednn: list[int], shape: tuple[int, ...], with_bias: bool) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(24, 40, bias=with_bias)
    x = torch.randn(*shape)
    with torch.inference_mode():
        expected = layer(x)
        with products.fast_products(CPU):
            torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)
    assert onednn == [1]


@pytest.mark.parametrize("shape", [(7, 24), (3, 5, 24)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_gradients_equal_those_in_float64(onednn: list[int], shape: tuple[int, ...], with_bias: bool) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(24, 40, bias=with_bias)
    x = torch.randn(*shape, requires_grad=True)
    exact, exact_x = torch.nn.Linear(24, 40, bias=with_bias).double(), x.detach().double().requires_grad_()
    exact.load_state_dict(layer.state_dict())
    with products.fast_products(CPU):
        layer(x).sin().sum().backward()
    exact(exact_x).sin().sum().backward()
    assert len(onednn) == 3  # the product and two gradients
    for own, other in zip([x, *layer.parameters()], [exact_x, *exact.parameters()], strict=True):
        torch.testing.assert_close(own.grad.double(), other.grad, atol=1e-5, rtol=1e-5)


def test_a_frozen_weight_costs_no_gradient(onednn: list[int]) -> None:
    layer, x = torch.nn.Linear(8, 4).requires_grad_(False), torch.ones(2, 8, requires_grad=True)
    with products.fast_products(CPU):
        layer(x).sum().backward()
    assert len(onednn) == 2
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(2, 8))


def test_other_types_and_autocast_stay_with_torch(onednn: list[int]) -> None:
    layer, x = torch.nn.Linear(8, 4), torch.ones(2, 8)
    with products.fast_products(CPU), torch.no_grad():
        assert functional.linear(x.double(), layer.weight.double(), None).dtype == torch.float64
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
        assert layer(x[:0]).shape == (0, 4)
    assert onednn == []


def test_the_other_library_may_make_the_weights_gradient(monkeypatch: pytest.MonkeyPatch, onednn: list[int]) -> None:
    monkeypatch.setattr(products, "fastest", lambda: products.Fastest(True, False, False))
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(24, 40), torch.randn(7, 24)
    with products.fast_products(CPU):
        layer(x).sin().sum().backward()
    assert len(onednn) == 1  # the product alone: x needs no gradient, and the weight's is torch's own
    own = layer.weight.grad
    layer.weight.grad = None
    layer(x).sin().sum().backward()
    torch.testing.assert_close(own, layer.weight.grad, atol=1e-5, rtol=1e-5)


def test_of_a_frozen_layer_the_inputs_are_not_kept(onednn: list[int]) -> None:
    layer, x = torch.nn.Linear(8, 4), torch.ones(2, 8, requires_grad=True)
    with products.fast_products(CPU):
        assert [value is None for value in layer(x).grad_fn.saved_tensors] == [False, False]
        layer.requires_grad_(False)
        assert [value is None for value in layer(x).grad_fn.saved_tensors] == [True, False]


def test_the_choice_is_measured_once_a_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "empty"))
    measured = [products.Fastest(True, False, True), products.Fastest(False, True, False)]
    answers = iter([*measured, measured[0]])
    monkeypatch.setattr(products, "measured_here", lambda: next(answers))
    found = []
    for threads in (1, 1, 2):
        products.fastest.cache_clear()  # as a new process
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        found.append(products.fastest())
    monkeypatch.undo()
    products.fastest.cache_clear()
    pin_products(tmp_path)
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path))
    assert products.fastest() == products.Fastest(False, False, False)  # pinned again for the tests that follow
    assert found == [measured[0], measured[0], measured[1]]


def test_without_a_cache_the_choice_is_measured_by_each_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(products, "measured_here", lambda: products.Fastest(False, True, False))
    assert products.fastest.__wrapped__() == products.Fastest(False, True, False)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_all_is_measured_in_whatever_mode_the_first_to_ask_is(mode: Any) -> None:
    with mode():
        found = products.measured_here()
    assert all(type(value) is bool for value in found)


def test_what_is_slow_in_bfloat16_is_not_tried_on_a_large_product(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    def slow(*given: Any) -> float:
        shapes.append(given[:3])
        return 0.01

    monkeypatch.setattr(products, "gain_of_bfloat16", slow)
    assert products.measured_here().bfloat16 is False
    assert shapes == [products.TINY]


def test_auto_is_bfloat16_where_it_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    for faster, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(products, "fastest", lambda faster=faster: products.Fastest(False, False, faster))
        assert resolve_precision("auto", CPU) == expected


def test_what_a_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = products.CAPACITIES
    monkeypatch.setenv(first, "7")
    monkeypatch.delenv(second, raising=False)
    products.bound_caches()
    assert (os.environ[first], os.environ[second]) == ("7", str(products.ENTRIES))


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
            products.onednn_linear(torch.ones(rows, 64), weight, None)
        return allocated_mib()

    with torch.inference_mode():
        filled = multiply(1, 2 * products.ENTRIES)
        assert multiply(1000, 1000 + products.ENTRIES) - filled < 5
