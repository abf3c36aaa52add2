"""From token vectors to one vector a text: pure functions of hidden states and attention mask.

The methods and their names are those of sentence-transformers' ``1_Pooling/config.json``, so that a model directory
decides its own pooling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from bistill.errors import ModelError


def cls_token(hidden: Tensor, mask: Tensor) -> Tensor:
    """Vector of the first real token: (n, length, dim), (n, length) -> (n, dim)."""
    first = mask.long().argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), first]


def mean_tokens(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over real tokens: (n, length, dim), (n, length) -> (n, dim)."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def mean_sqrt_len_tokens(hidden: Tensor, mask: Tensor) -> Tensor:
    """Sum over real tokens, divided by the root of their number: (n, length, dim), (n, length) -> (n, dim)."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9).sqrt()


def max_tokens(hidden: Tensor, mask: Tensor) -> Tensor:
    """Largest value of each dimension over real tokens: (n, length, dim), (n, length) -> (n, dim)."""
    return hidden.masked_fill(~mask.bool().unsqueeze(-1), torch.finfo(hidden.dtype).min).max(dim=1).values


def lasttoken(hidden: Tensor, mask: Tensor) -> Tensor:
    """Vector of the last real token, on whichever side the padding is: (n, length, dim), (n, length) -> (n, dim)."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    last = (mask.long() * (positions + 1)).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=hidden.device), last]


POOLINGS: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "pooling_mode_cls_token": cls_token,
    "pooling_mode_mean_tokens": mean_tokens,
    "pooling_mode_max_tokens": max_tokens,
    "pooling_mode_mean_sqrt_len_tokens": mean_sqrt_len_tokens,
    "pooling_mode_lasttoken": lasttoken,
}

# The newer schema of sentence-transformers names the mode by one word.
NEWER_NAMES: Final = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def mode_of_config(config: dict[str, object], where: str) -> str:
    """The one pooling mode that a ``1_Pooling/config.json`` of either schema switches on.

    Raises:
        ModelError: none or several modes are on, or one that is not known here.
    """
    if isinstance(named := config.get("pooling_mode"), str) and named in NEWER_NAMES:
        return NEWER_NAMES[named]
    active = [name for name, value in config.items() if name.startswith("pooling_mode") and value is not False]
    if len(active) == 1 and active[0] in POOLINGS and config[active[0]] is True:
        return active[0]
    raise ModelError(
        "exactly one known pooling mode is expected",
        where=where,
        found={name: config[name] for name in active},
        todo=f"switch on one of {', '.join(POOLINGS)}",
    )
