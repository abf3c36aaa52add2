"""Learning-rate schedule and the optimizer's parameter groups."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_decay_factor(step: int, total_steps: int, warmup_ratio: float) -> float:
    """Share of the peak learning rate at a 0-based update: rises linearly to 1, then falls linearly to 0.

    With w = round(total_steps * warmup_ratio): (step + 1) / (w + 1) below w, then
    (total_steps - step) / (total_steps - w).
    """
    warmup = round(total_steps * warmup_ratio)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(total_steps - step, 0) / max(total_steps - warmup, 1)


def linear_warmup_decay(optimizer: Optimizer, total_steps: int, warmup_ratio: float) -> LambdaLR:
    """The schedule of ``warmup_decay_factor`` for an optimizer."""
    return LambdaLR(optimizer, lambda step: warmup_decay_factor(step, total_steps, warmup_ratio))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: matrices with weight decay, vectors (biases, norms) without."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trainable if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trainable if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
