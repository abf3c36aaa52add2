"""AdamW whose every number is known by its parameter's name, and whose updates allocate nothing."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from bistill.training.loop import memory

MOMENTS: Final = ("exp_avg", "exp_avg_sq")


def adamw(groups: list[dict[str, Any]]) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) of parameter groups, its moments allocated at once as zeros.

    torch allocates them in the first update, and its unfused loop makes temporary tensors in each: memory that runs
    out there would leave some weights changed and others not. The fused kernel makes none.

    Args:
        groups: as ``schedule.parameter_groups`` gives them; each keeps its rate as ``peak_lr``.
    """
    optimizer = torch.optim.AdamW([{**group, "peak_lr": group["lr"]} for group in groups], fused=True)
    _load(optimizer, {id(value): (torch.tensor(0.0), *_zeros(value)) for value in _parameters(optimizer)})
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set each group's rate to ``factor`` times its peak; returns the lowest (the body's: a head learns no slower)."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    rates: list[float] = [group["lr"] for group in optimizer.param_groups]
    return min(rates)


def updates(optimizer: torch.optim.Optimizer) -> int:
    """Updates of all parameters together: tells an update that was broken off from one that never began."""
    counts = [state["step"] for state in optimizer.state.values()]
    try:
        return int(torch.stack(counts).sum())  # read from the device once
    except RuntimeError as error:
        if not memory.is_out_of_memory(error):
            raise
    return sum(int(count) for count in counts)  # each by itself needs no memory of the device


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
