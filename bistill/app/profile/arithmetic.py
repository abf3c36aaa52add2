"""What work must cost at least, which share of the machine it takes, and where an update's time went: pure functions.

The least work of a linear layer of w weights is 2 w floating-point operations for a token forward, and as much again
for the gradient of its input and for that of its weights (Kaplan et al. 2020, "Scaling Laws for Neural Language
Models", section 2.1). The share of the machine's rate that this work makes is the model FLOPs utilization, MFU
(Chowdhery et al. 2022, "PaLM", section 4.1). Left out are attention scores, norms, and what one vector a text passes
(pooler and head).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

PRODUCTS: Final = "matrix products"
ATTENTION: Final = "attention"
ELEMENT_WISE: Final = "element-wise operations"
COPIES: Final = "copies and layout"
OPTIMIZER: Final = "the optimizer"
REST: Final = "Python and the rest"

_OPTIMIZER: Final = re.compile(r"Optimizer\.|aten::(_fused_adam|_foreach_|linalg_vector_norm)")
# Batched products are the attention's own: those of linear layers are never batched.
_ATTENTION: Final = re.compile(
    r"aten::(_?scaled_dot_product|_flash_attention|_efficient_attention|_safe_softmax|_?softmax|bmm|baddbmm)|"
    r"ScaledDotProduct"
)
_BY_NAME: Final = {
    PRODUCTS: re.compile(r"(aten::(addmm|mm|matmul|linear|mv|addmv|_addmm_activation|mkldnn_linear\w*)|mkldnn::\w+)$"),
    COPIES: re.compile(
        r"(aten::(copy|clone|contiguous|to|_to_copy|t|transpose|permute|view|_unsafe_view|reshape|expand|as_strided|cat|"
        r"stack|split\w*|chunk|slice|select|narrow|squeeze|unsqueeze|index|index_select|index_put|gather|embedding|"
        r"embedding_dense_backward|select_backward|slice_backward|fill|zero|zeros|ones|zeros_like|ones_like|empty|"
        r"empty_like|empty_strided|new_\w+|arange|resize|detach|alias|pin_memory|_local_scalar_dense)_?|Memcpy.*|Memset.*)$"
    ),
    ELEMENT_WISE: re.compile(
        r"aten::(add|sub|rsub|mul|div|pow|sqrt|rsqrt|square|neg|abs|exp|log|log1p|sum|mean|sigmoid|tanh|relu|gelu|silu|"
        r"elu|softplus|(native_)?dropout|bernoulli|(native_)?layer_norm|(_fused_)?rms_norm|linalg_norm|norm|where|"
        r"masked_fill|clamp|clamp_min|clamp_max|maximum|minimum|log_softmax|_log_softmax|random|"
        r"lt|le|gt|ge|eq|ne|bitwise_\w+|logical_\w+|all|any|isfinite|remainder|floor_divide)(_backward|_backward_data)?_?$"
    ),
}
CATEGORIES: Final = (PRODUCTS, ATTENTION, ELEMENT_WISE, COPIES, OPTIMIZER, REST)


class Weights(NamedTuple):
    """Weights of the linear layers that every token passes.

    Attributes:
        base: of the model itself.
        adapters: of low-rank adapters beside it; where there are any, only these learn.
    """

    base: int
    adapters: int = 0


def training_flops(weights: Weights, tokens: int) -> int:
    """Least floating-point operations of a forward and backward pass over tokens, padding not counted.

    Frozen weights need no gradient of their own: 4 instead of 6 for each.
    """
    return ((4 if weights.adapters else 6) * weights.base + 6 * weights.adapters) * tokens


def inference_flops(weights: Weights, tokens: int) -> int:
    """Least floating-point operations of a forward pass over tokens, padding not counted."""
    return 2 * (weights.base + weights.adapters) * tokens


def utilization(flops: float, seconds: float, rate: float) -> float:
    """Share of a machine's rate (floating-point operations a second) that this work in this time makes."""
    return flops / (seconds * rate)


def padding_share(tokens: int, padded: int) -> float:
    """Share of what a model reads that is padding, in 0..1; 0 where it read nothing."""
    return 1 - tokens / padded if padded else 0.0


def category(names: Sequence[str]) -> str:
    """Which of ``CATEGORIES`` the own time of an operator of torch belongs to.

    Args:
        names: of the operator, then of the one that called it, and so on outwards: what the optimizer or attention
            calls is theirs.
    """
    for found, pattern in ((OPTIMIZER, _OPTIMIZER), (ATTENTION, _ATTENTION)):
        if any(pattern.match(name) for name in names):
            return found
    return next((found for found, pattern in _BY_NAME.items() if pattern.match(names[0])), REST)


def shares(seconds: Mapping[str, float], whole: float) -> dict[str, float]:
    """Share of each category, in 0..1 and the largest first; what no operator accounts for is Python and the rest.

    Args:
        seconds: own time of operators by category.
        whole: wall time; where the operators' own times add up to more, they are the whole.
    """
    whole = max(whole, sum(seconds.values()))
    found = {name: seconds.get(name, 0.0) / whole for name in CATEGORIES if name != REST}
    found[REST] = max(1 - sum(found.values()), 0.0)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def limit(parts: Mapping[str, float], *, waiting: float, products_rate: float | None) -> str:
    """One sentence that names what limits the work.

    Args:
        parts: what ``shares`` gave.
        waiting: share of the time for which the next batch was waited.
        products_rate: share of the machine's rate that the matrix products reached while they ran; None: not known.
    """
    name, share = max(parts.items(), key=lambda item: item[1])
    if waiting > share:
        return f"limited by waiting for the next batch: {waiting:.0%} of the time"
    rate = f", at {products_rate:.0%} of the measured rate" if name == PRODUCTS and products_rate is not None else ""
    return f"limited by {name}: {share:.0%} of the time{rate}"
