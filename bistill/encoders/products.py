"""Matrix products of linear layers on a CPU by the faster of two libraries that torch ships.

torch sends float32 linear layers to MKL, which on CPUs of other makers than its own reaches half of what oneDNN does
there. Which one is faster is measured once a machine, never assumed; where torch has only one of them, or on a GPU,
nothing changes. Both compute in float32; their sums differ in the last bits.
"""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from bistill import artifacts
from bistill.errors import ArtifactError

# oneDNN is taken where it is faster by this factor: a tie stays with torch's own choice, so that two runs on one
# machine choose alike.
CLEARLY: Final = 1.25
# Tokens, inputs and outputs of the measured product: a small encoder's feed-forward layer.
SHAPE: Final = (1024, 384, 1536)
ROUNDS: Final = 5


def fast_products(device: torch.device) -> AbstractContextManager[Any]:
    """Context in which float32 linear layers, and their gradients, run by the faster library."""
    return _OneDnnLinear() if device.type == "cpu" and onednn_is_faster() else nullcontext()


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN's linear layer clearly beats torch's own on this machine.

    Measured once for a machine and a release of torch, and kept in the cache folder: the two differ in the last bits,
    and the same command shall give the same bits again.
    """
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()):
        return False
    machine = {"torch": torch.__version__, "cpu": _cpu(), "threads": torch.get_num_threads(), "shape": SHAPE}
    file = artifacts.cache_dir() / artifacts.PRODUCTS_FOLDER / f"{artifacts.fingerprint(machine)[:32]}.json"
    try:
        return bool(artifacts.read_json(file)["onednn_is_faster"])
    except (ArtifactError, KeyError):
        faster = _measured()
    with contextlib.suppress(OSError):  # without a cache folder that can be written, each process measures
        artifacts.write_json(file, {**machine, "onednn_is_faster": faster})
    return faster


def _measured() -> bool:
    """Both, turn by turn; takes some hundredths of a second."""
    tokens, inputs, outputs = SHAPE
    x, weight, bias = torch.ones(tokens, inputs), torch.ones(outputs, inputs), torch.ones(outputs)
    own, other = [], []
    with torch.inference_mode():
        for _ in range(ROUNDS):
            own.append(_seconds(lambda: functional.linear(x, weight, bias)))
            other.append(_seconds(lambda: _linear(x, weight, bias)))
    # The fastest round of each: what else runs on the machine only ever adds time.
    return min(own) > CLEARLY * min(other)


class _OneDnnLinear(TorchFunctionMode):
    """Sends float32 linear layers on the CPU to oneDNN while autocast is not on."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.linear and not kwargs and len(args) == 3 and _fits(*args):
            return _WithGradient.apply(*args) if torch.is_grad_enabled() else _linear(*args)
        return func(*args, **(kwargs or {}))


class _WithGradient(torch.autograd.Function):
    """The linear layer y = x W^T + b with its gradients: dx = dy W, dW = dy^T x, db = sum of dy over the rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        ctx.save_for_backward(x, weight)
        return _linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Gradients of x, weight and bias, those that are needed."""
        x, weight = ctx.saved_tensors
        rows = gradients[0].reshape(-1, weight.shape[0])
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _linear(rows, weight.t(), None).view(x.shape) if of_x else None,
            _linear(rows.t(), x.reshape(-1, x.shape[-1]).t(), None) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


def _fits(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    return (
        not torch.is_autocast_enabled("cpu")
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and x.numel() > 0
        and (bias is None or bias.dtype == torch.float32)
    )


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """X of shape (..., inputs) times weight.T of (outputs, inputs), plus bias: (..., outputs)."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
    return result


def _cpu() -> str:
    """Model of the CPU, as the system names it."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = ("vendor_id", "cpu family", "model", "stepping", "model name")
        return " ".join(line.partition(":")[2].strip() for line in lines[:26] if line.split("\t")[0].strip() in names)
    return platform.processor()


def _seconds(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started
