"""torch's variable-length attention on CUDA, whose arguments differ from one release to the next."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from bistill.models.compute.packing import PackedLayout


def attention(
    layout: PackedLayout, rows: Sequence[Tensor], causal: bool, sliding_window: int | None, scaling: float | None
) -> Tensor:
    """Attention of each text of a packed row to itself, computed in half precision.

    Args:
        layout: of the row.
        rows: query (tokens, heads, dim), key and value, whose heads may be fewer, each for several of the query's.
        causal: whether tokens see only those before them.
        sliding_window: a token sees those less than so many places away; None: all.
        scaling: factor of the scores; None: 1 / root of the dimension.

    Returns:
        Shape (tokens, heads, dim).

    Raises:
        ValueError: this torch's kernel has no sliding window, and one is asked for.
    """
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = (item.to(_half(rows[2])) for item in rows)
    beside = -1 if sliding_window is None or sliding_window > layout.longest else sliding_window - 1
    known = _arguments(varlen_attn)
    named: dict[str, Any] = {}
    if (group := query.shape[1] // key.shape[1]) > 1:
        if "enable_gqa" in known:
            named["enable_gqa"] = True
        else:  # torch 2.11
            key, value = (item.repeat_interleave(group, dim=1) for item in (key, value))
    if scaling is not None:
        if "scale" in known:
            named["scale"] = scaling
        else:  # torch 2.10, whose kernel always divides by the root of the dimension
            query = query * (scaling * math.sqrt(query.shape[-1]))
    if "window_size" in known:
        named["window_size"] = (beside, 0 if causal else beside)
    elif beside < 0 and "is_causal" in known:  # torch 2.10
        named["is_causal"] = causal
    else:
        raise ValueError("the variable-length kernel has no sliding window")
    places = (layout.ends, layout.ends, layout.longest, layout.longest)
    result = varlen_attn(query, key, value, *places, **named)
    assert isinstance(result, Tensor)  # a pair only where `return_aux` is given
    return result


@cache
def _arguments(function: Callable[..., Any]) -> frozenset[str]:
    """Names of the arguments that a kernel takes: they differ from one torch to the next."""
    return frozenset(inspect.signature(function).parameters)


def _half(value: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cuda") if value.dtype == torch.float32 else value.dtype
