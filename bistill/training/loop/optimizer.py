"""AdamW whose every number is known by its parameter's name, and whose updates allocate nothing; its learning rates."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

MOMENTS: Final = ("exp_avg", "exp_avg_sq")


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


def peak_lr(lr: float | None, *, lora: bool = False) -> float:
    """The learning rate that was given, or the usual one: 2e-5 for all weights, 2e-4 for LoRA (Hu et al., 2021)."""
    if lr is not None:
        return lr
    return 2e-4 if lora else 2e-5


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


def adamw(groups: list[dict[str, Any]]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) of parameter groups, its moments allocated at once as zeros.

    torch allocates them in the first update, and its unfused loop makes temporary tensors in each: memory that runs
    out there would leave some weights changed and others not. The fused kernel makes none.

    Args:
        groups: as ``parameter_groups`` gives them; each keeps its rate as ``peak_lr``.
    """
    optimizer = torch.optim.AdamW([{**group, "peak_lr": group["lr"]} for group in groups], fused=True)
    _load(optimizer, {id(value): (torch.tensor(0.0), *_zeros(value)) for value in _parameters(optimizer)})
    return optimizer


def state(model: nn.Module, optimizer: torch.optim.Optimizer, *, copied: bool) -> dict[str, Tensor]:
    """Steps and moments on the CPU, by ``step/<name>``, ``exp_avg/<name>`` and ``exp_avg_sq/<name>``.

    Args:
        model: whose parameters' names are used.
        optimizer: of its parameters.
        copied: whether they are copies, also where the optimizer's own are on the CPU.
    """
    return {
        f"{key}/{name}": optimizer.state[value][key].detach().to("cpu", copy=copied)
        for name, value in model.named_parameters()
        if value.requires_grad
        for key in ("step", *MOMENTS)
    }


def restore(model: nn.Module, optimizer: torch.optim.Optimizer, saved: dict[str, Tensor]) -> None:
    """Put back what ``state`` gave."""
    keys = ("step", *MOMENTS)
    found = {
        id(value): tuple(saved[f"{key}/{name}"].clone() for key in keys)
        for name, value in model.named_parameters()
        if value.requires_grad
    }
    _load(optimizer, found)


def _load(optimizer: torch.optim.Optimizer, found: dict[int, tuple[Tensor, ...]]) -> None:
    """Load (step, moments) by parameter through torch's own way, which knows on which device each belongs."""
    described = optimizer.state_dict()
    numbers = (number for group in described["param_groups"] for number in group["params"])
    values = (found[id(value)] for value in _parameters(optimizer))
    states = {
        number: dict(zip(("step", *MOMENTS), tensors, strict=True))
        for number, tensors in zip(numbers, values, strict=True)
    }
    optimizer.load_state_dict({"state": states, "param_groups": described["param_groups"]})


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [value for group in optimizer.param_groups for value in group["params"]]


def _zeros(value: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(value), torch.zeros_like(value)
