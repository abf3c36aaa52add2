"""Devices and the arithmetic of the forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Final

import torch
from torch import nn

from bistill.errors import OptionError
from bistill.models.compute import products
from bistill.models.settings import Precision

DTYPES: Final = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def default_device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(name: str | None) -> torch.device:
    """The device of a name such as "cpu", "cuda" or "cuda:1"; None: ``default_device``.

    Raises:
        OptionError: this machine has no such device.
    """
    if name is None:
        return default_device()
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        there = "cpu, cuda" if torch.cuda.is_available() else "cpu"
        what = f"no such device ({str(error).splitlines()[0]})"
        raise OptionError(what, where="`device`", found=name, todo=f"give one of {there}, or leave it out") from None
    return device


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """``auto`` made concrete: bf16 on CUDA and on CPUs that are clearly faster in it, else fp32. Nothing else changes.

    Raises:
        OptionError: fp16 or tf32 on a CPU, which has no gradient scaling and no such products.
    """
    if precision == "auto":
        return "bf16" if device.type == "cuda" or products.fastest().bfloat16 else "fp32"
    if precision in ("fp16", "tf32") and device.type == "cpu":
        raise OptionError(f"{precision} needs a GPU", where="`precision`", found=precision, todo="give fp32 or bf16")
    return precision


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """Context in which matrix products run in ``precision``; weights stay float32."""
    return autocasting(precision, device)()


def autocasting(precision: Precision, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """What gives ``autocast``'s context again and again: chosen once a model, entered at each forward."""
    dtype = DTYPES[precision]
    reduced = dtype != torch.float32
    context = partial(torch.autocast, device.type, dtype=dtype if reduced else torch.bfloat16, enabled=reduced)
    return context if device.type == "cpu" else partial(_rounding, precision, device, context)


@contextmanager
def _rounding(
    precision: Precision, device: torch.device, context: Callable[[], AbstractContextManager[Any]]
) -> Iterator[None]:
    with float32_products(precision, device), context():
        yield


@contextmanager
def float32_products(precision: Precision, device: torch.device) -> Iterator[None]:
    """Context in which float32 products on CUDA round to TF32 (10 bits of fraction) with ``tf32``, and else do not,
    whatever the process has set; its setting is back afterwards. A backward pass has no autocast and needs this alone.
    """
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def keep_float32(module: nn.Module) -> None:
    """Let a module compute in float32 also under autocast.

    A relevance head in bf16 has steps of 1/32 between logits 4 and 8: coarse targets, and ties at the top of rankings.
    Hooks instead of a wrapped ``forward``, since they survive deep copies and change no parameter name.
    """
    module.register_forward_pre_hook(_leave_autocast)
    module.register_forward_hook(_enter_autocast, always_call=True)


def _leave_autocast(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    kind = next(value.device.type for value in inputs if isinstance(value, torch.Tensor))
    module._autocast_before = (kind, torch.is_autocast_enabled(kind))  # type: ignore[assignment]
    torch.set_autocast_enabled(kind, False)
    return tuple(value.float() if isinstance(value, torch.Tensor) else value for value in inputs)


def _enter_autocast(module: nn.Module, _inputs: Any, _output: Any) -> None:
    kind, enabled = module._autocast_before  # type: ignore[misc]
    torch.set_autocast_enabled(kind, enabled)
