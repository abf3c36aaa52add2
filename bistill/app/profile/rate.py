"""How many floating-point operations a second a machine does in large matrix products: the roof of every work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from bistill.models.compute import products
from bistill.models.compute.precision import DTYPES, float32_products
from bistill.models.settings import Precision

# Tokens, inputs and outputs. A CPU is at its best in one shape or another; a GPU needs a large one.
CPU_SHAPES: Final = ((2048, 1536, 1536), (4096, 768, 3072), (4096, 1024, 4096))
GPU_SHAPES: Final = ((8192, 8192, 8192),)
ROUNDS: Final = 3

Linear = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Rate(NamedTuple):
    """The fastest matrix product found.

    Attributes:
        flops: floating-point operations a second.
        library: whose linear layer it was.
        shape: tokens, inputs and outputs.
    """

    flops: float
    library: str
    shape: tuple[int, int, int]


def measure(device: torch.device, precision: Precision, *, shapes: tuple[tuple[int, int, int], ...] = ()) -> Rate:
    """The best of some shapes and of the libraries at hand, each in its fastest of ``ROUNDS`` rounds after a first.

    What else runs on the machine only ever adds time.

    Args:
        device: where.
        precision: a concrete one (not ``auto``).
        shapes: (tokens, inputs, outputs); (): those that suit the device.
    """
    shapes = shapes or (GPU_SHAPES if device.type == "cuda" else CPU_SHAPES)
    both = device.type == "cpu" and precision == "fp32"
    libraries: dict[str, Linear] = products.libraries() if both else {"torch": functional.linear}
    with float32_products(precision, device):
        return max(
            Rate(_flops(linear, shape, device, DTYPES[precision]), library, shape)
            for shape in shapes
            for library, linear in libraries.items()
        )


def _flops(linear: Linear, shape: tuple[int, int, int], device: torch.device, kind: torch.dtype) -> float:
    tokens, inputs, outputs = shape
    # A GPU slows down where many bits change: it must not be given zeros or ones to multiply.
    drawn = torch.Generator(device).manual_seed(0)
    x = torch.randn(tokens, inputs, device=device, generator=drawn).to(kind)
    weight = torch.randn(outputs, inputs, device=device, generator=drawn).to(kind)
    with torch.inference_mode():
        rounds = [_seconds(lambda: linear(x, weight, None), device) for _ in range(1 + ROUNDS)]
    return 2 * tokens * inputs * outputs / min(rounds[1:])


def _seconds(run: Callable[[], Tensor], device: torch.device) -> float:
    _finish(device)
    started = time.perf_counter()
    run()
    _finish(device)
    return time.perf_counter() - started


def _finish(device: torch.device) -> None:
    """Wait until a GPU has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
