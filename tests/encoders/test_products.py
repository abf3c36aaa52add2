"""The two libraries' linear layers agree, and the context changes nothing but which one runs."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from bistill.encoders import products

CPU = torch.device("cpu")


@pytest.fixture
def onednn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """oneDNN taken whatever this machine prefers; the list counts its calls."""
    calls: list[int] = []
    linear = products._linear
    monkeypatch.setattr(products, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(products, "_linear", lambda *args: calls.append(1) or linear(*args))
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


def test_the_choice_is_measured_once_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, False, False])
    monkeypatch.setattr(products, "_measured", lambda: next(answers))
    found = []
    for threads in (1, 1, 2):
        products.onednn_is_faster.cache_clear()  # as a new process
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        found.append(products.onednn_is_faster())
    products.onednn_is_faster.cache_clear()
    assert found == [True, True, False]


def test_both_libraries_can_be_measured() -> None:
    assert isinstance(products._measured(), bool)
