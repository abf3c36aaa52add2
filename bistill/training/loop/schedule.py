"""Learning-rate schedule and the optimizer's parameter groups."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Rates:
    """Peak learning rates of a run.

    Attributes:
        body: of all parameters but the head's.
        head: of the head's.
        in_head: names of the head's parameters.
    """

    body: float
    head: float = 0.0
    in_head: Collection[str] = ()


def warmup_decay_factor(step: int, total_steps: int, warmup_ratio: float) -> float:
    """Share of the peak learning rate at a 0-based update: rises linearly to 1, then falls linearly to 0.

    With w = round(total_steps * warmup_ratio): (step + 1) / (w + 1) below w, then
    (total_steps - step) / (total_steps - w).
    """
    warmup = round(total_steps * warmup_ratio)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(total_steps - step, 0) / max(total_steps - warmup, 1)


def parameter_groups(model: nn.Module, rates: Rates, *, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters by learning rate and weight decay: matrices decay, vectors (biases, norms) do not.

    Args:
        model: whose parameters with ``requires_grad`` are grouped.
        rates: peak learning rates.
        weight_decay: of matrices.

    Returns:
        Groups for an optimizer; empty ones are left out.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name in rates.in_head, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": rates.head if in_head else rates.body,
            "weight_decay": weight_decay if is_matrix else 0.0,
        }
        for (in_head, is_matrix), parameters in groups.items()
    ]
