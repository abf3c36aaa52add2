"""Least work, shares and sentences, by hand."""

from __future__ import annotations

import pytest

from bistill.app.profile import arithmetic
from bistill.app.profile.arithmetic import ATTENTION, COPIES, ELEMENT_WISE, OPTIMIZER, PRODUCTS, REST, Weights


def test_least_work_of_a_token_by_hand() -> None:
    assert arithmetic.training_flops(Weights(100), 7) == 6 * 100 * 7
    assert arithmetic.training_flops(Weights(100, adapters=10), 7) == (4 * 100 + 6 * 10) * 7
    assert arithmetic.inference_flops(Weights(100, adapters=10), 7) == 2 * 110 * 7


def test_utilization_and_padding() -> None:
    assert arithmetic.utilization(6e9, seconds=2.0, rate=4e9) == 0.75
    assert arithmetic.padding_share(60, 80) == 0.25
    assert arithmetic.padding_share(0, 0) == 0.0


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["mkldnn::_linear_pointwise", "_WithGradient"], PRODUCTS),
        (["aten::addmm", "aten::linear"], PRODUCTS),
        (["aten::mm", "AddmmBackward0"], PRODUCTS),
        (["aten::bmm", "aten::matmul"], ATTENTION),
        (["aten::mul", "aten::_scaled_dot_product_attention_math", "aten::scaled_dot_product_attention"], ATTENTION),
        (["aten::_softmax_backward_data"], ATTENTION),
        (["aten::gelu_backward", "GeluBackward0"], ELEMENT_WISE),
        (["aten::native_layer_norm"], ELEMENT_WISE),
        (["aten::bernoulli_"], ELEMENT_WISE),
        (["aten::add_"], ELEMENT_WISE),
        (["aten::copy_", "aten::_to_copy"], COPIES),
        (["aten::embedding_dense_backward"], COPIES),
        (["aten::_fused_adamw_", "Optimizer.step#AdamW.step"], OPTIMIZER),
        (["aten::mul_", "aten::_foreach_mul_"], OPTIMIZER),
        (["aten::linalg_vector_norm"], OPTIMIZER),
        (["autograd::engine::evaluate_function: AddmmBackward0"], REST),
        (["aten::unheard_of"], REST),
    ],
)
def test_an_operator_belongs_to_one_category(names: list[str], expected: str) -> None:
    assert arithmetic.category(names) == expected


def test_shares_give_the_unexplained_time_to_the_rest_and_begin_with_the_largest() -> None:
    found = arithmetic.shares({PRODUCTS: 6.0, COPIES: 1.0, REST: 0.5}, whole=10.0)
    assert list(found.items())[:3] == [(PRODUCTS, 0.6), (REST, pytest.approx(0.3)), (COPIES, 0.1)]
    assert sum(found.values()) == pytest.approx(1)


def test_shares_of_more_operator_time_than_wall_time_still_add_up_to_one() -> None:
    found = arithmetic.shares({PRODUCTS: 3.0, ATTENTION: 1.0}, whole=2.0)
    assert (found[PRODUCTS], found[ATTENTION], found[REST]) == (0.75, 0.25, 0.0)


def test_the_sentence_names_the_largest_share_the_rate_or_the_waiting() -> None:
    parts = {PRODUCTS: 0.72, REST: 0.28}
    assert (
        arithmetic.limit(parts, waiting=0.1, products_rate=0.81)
        == "limited by matrix products: 72% of the time, at 81% of the measured rate"
    )
    assert arithmetic.limit(parts, waiting=0.8, products_rate=0.81) == (
        "limited by waiting for the next batch: 80% of the time"
    )
    assert arithmetic.limit({REST: 0.6, PRODUCTS: 0.4}, waiting=0.0, products_rate=0.81) == (
        "limited by Python and the rest: 60% of the time"
    )
