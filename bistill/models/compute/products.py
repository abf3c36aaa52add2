"""Matrix products of linear layers on a CPU by what is fastest there: measured once a machine, never assumed.

torch sends float32 linear layers to MKL, which on CPUs of other makers than its own reaches as little as half of what
oneDNN does there; for the gradients of weights it may be the other way round. And bfloat16 may be faster than float32
on a CPU with instructions for it, and hundreds of times slower on one without. Where torch has only one of the
libraries, or on a GPU, nothing changes. Both libraries compute in float32; their sums differ in the last bits.

oneDNN compiles code for each shape of a product and keeps it, up to a megabyte a shape, in two caches of 1,024 entries:
its own, and that of torch's binding to it. A run filled both over hundreds of updates, half a gigabyte strewn over the
heap between the tensors of the updates. So the caches get few entries, and packed rows few sizes (``packing.py``).
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from bistill import artifacts, cache_folder
from bistill.errors import ArtifactError

T = TypeVar("T")

# What is not torch's own choice is taken where it is faster by this factor: a tie stays with torch's, so that two runs
# on one machine choose alike.
CLEARLY: Final = 1.15
# bfloat16 also has its price, in conversions and in digits.
WORTH_ITS_DIGITS: Final = 1.5
# Tokens, inputs and outputs of the measured products: a small encoder's feed-forward layer.
SHAPE: Final = (2048, 384, 1536)
# A product so small that it takes a tenth of a second where bfloat16 has no instructions.
TINY: Final = (64, 384, 384)
ROUNDS: Final = 5
# Entries of each cache of oneDNN. One group of texts needs about ten at a time, forward and backward.
ENTRIES: Final = 256
# Both are read once a process, at the first product; what the user has set stays.
CAPACITIES: Final = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


def bound_caches() -> None:
    """Let oneDNN keep few products; to be called before the first of a process."""
    for name in CAPACITIES:
        os.environ.setdefault(name, str(ENTRIES))


bound_caches()


class Fastest(NamedTuple):
    """What this machine computes fastest.

    Attributes:
        onednn_layers: oneDNN instead of torch's own library for x W^T, and for the gradient of x.
        onednn_weights: likewise for the gradient of W.
        bfloat16: bfloat16 instead of float32, for whole layers.
    """

    onednn_layers: bool
    onednn_weights: bool
    bfloat16: bool


# The choice of the process that this one works for.
_taken: list[Fastest] = []


def fast_products(device: torch.device) -> AbstractContextManager[Any]:
    """Context in which float32 linear layers, and their gradients, run by the faster library."""
    return _OneDnnLinear(fastest()) if device.type == "cpu" and fastest().onednn_layers else nullcontext()


def resumption() -> AbstractContextManager[Any]:
    """Context in which what runs later on this thread, as a part of the backward pass, has the products of now.

    torch leaves such a mode for as long as a call that it could replace is at work, also that of ``backward``.
    """
    mode = _active.mode
    return nullcontext() if mode is None else _OneDnnLinear(mode.choice)


def libraries() -> dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]]:
    """The linear layers of x (n, inputs), weight (outputs, inputs) and bias that this torch has for float32 on a CPU,
    without gradients, by the name of the library."""
    found: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {"torch": functional.linear}
    if torch.backends.mkldnn.is_available():
        found["oneDNN"] = onednn_linear
    return found


def as_here(make: Callable[[], T]) -> Callable[[], T]:
    """``make`` for a process of another machine, which from then on computes by the libraries that this one takes, so
    that it gives the same bits."""
    return partial(_made_by, fastest(), make)


def _made_by(choice: Fastest, make: Callable[[], T]) -> T:
    _taken[:] = [choice]
    fastest.cache_clear()
    return make()


@cache
def fastest() -> Fastest:
    """The choices for this machine, number of threads and release of torch.

    Measured once and kept in the cache folder: results differ in the last bits, and the same command shall give the
    same bits again.
    """
    if _taken:
        return _taken[0]
    threads = torch.get_num_threads()
    try:
        kept = artifacts.read_json(record(threads))
        return Fastest(*(bool(kept[name]) for name in Fastest._fields))
    except (ArtifactError, KeyError):
        found = measured_here()
    with contextlib.suppress(OSError, ArtifactError):  # without a cache that can be written, each process measures
        artifacts.write_json(record(threads), {**_machine(threads), **found._asdict()})
    return found


def record(threads: int) -> Path:
    """File of the cache folder that keeps the choices of this machine for a number of threads."""
    return (
        cache_folder.cache_dir() / artifacts.PRODUCTS_FOLDER / f"{artifacts.fingerprint(_machine(threads))[:32]}.json"
    )


def _machine(threads: int) -> dict[str, Any]:
    return {"torch": torch.__version__, "cpu": _cpu(), "threads": threads, "shape": SHAPE}


def measured_here() -> Fastest:
    """Each beside its rival, turn by turn; takes some tenths of a second."""
    tokens, inputs, outputs = SHAPE
    x, weight, bias, gradient = (
        torch.ones(n, m) for n, m in ((tokens, inputs), (outputs, inputs), (1, outputs), (tokens, outputs))
    )
    both = torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()
    with torch.inference_mode():
        layers = both and _gain(
            lambda: functional.linear(x, weight, bias[0]), lambda: onednn_linear(x, weight, bias[0])
        )
        weights = both and _gain(lambda: gradient.t() @ x, lambda: onednn_linear(gradient.t(), x.t(), None))
    found = Fastest(layers > CLEARLY, weights > CLEARLY, False)
    # The first to ask may be at work in inference mode, whose tensors have no gradients.
    with torch.inference_mode(False), torch.enable_grad():
        half = gain_of_bfloat16(*TINY, found) > 1 / WORTH_ITS_DIGITS and gain_of_bfloat16(*SHAPE, found)
    return found._replace(bfloat16=half > WORTH_ITS_DIGITS)


def gain_of_bfloat16(tokens: int, inputs: int, outputs: int, otherwise: Fastest) -> float:
    """How many times as fast a feed-forward block and its gradients are in bfloat16: its products may be twice as fast
    and the block hardly, since conversions and activations have their share."""
    x = torch.ones(tokens, inputs)
    first, second = (torch.full(shape, 0.01, requires_grad=True) for shape in ((outputs, inputs), (inputs, outputs)))

    def block() -> None:
        inner = functional.gelu(functional.linear(x, first, None))
        torch.autograd.grad(functional.linear(inner, second, None).float().sum(), (first, second))

    def in_float32() -> None:
        with _OneDnnLinear(otherwise) if otherwise.onednn_layers else nullcontext():
            block()

    def in_bfloat16() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            block()

    return _gain(in_float32, in_bfloat16)


def _gain(own: Callable[[], Any], other: Callable[[], Any]) -> float:
    """How many times as fast the second is as the first."""
    times = [(_seconds(own), _seconds(other)) for _ in range(ROUNDS)]
    # The fastest round of each: what else runs on the machine only ever adds time.
    return min(first for first, _ in times) / min(second for _, second in times)


class _Active(threading.local):
    mode: _OneDnnLinear | None = None


_active = _Active()


class _OneDnnLinear(TorchFunctionMode):
    """Sends float32 linear layers on the CPU to oneDNN while autocast is not on."""

    def __init__(self, choice: Fastest) -> None:
        super().__init__()
        self.choice = choice

    def __enter__(self) -> Any:
        self._before, _active.mode = _active.mode, self
        return super().__enter__()  # type: ignore[no-untyped-call]  # torch's has no annotations

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        _active.mode = self._before
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]  # torch's has no annotations

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is functional.linear and not kwargs and len(args) == 3 and _fits(*args):
            if torch.is_grad_enabled():
                return _WithGradient.apply(*args, self.choice.onednn_weights)  # type: ignore[no-untyped-call]  # likewise
            return onednn_linear(*args)
        return func(*args, **(kwargs or {}))


class _WithGradient(torch.autograd.Function):
    """The linear layer y = x W^T + b with its gradients: dx = dy W, dW = dy^T x, db = sum of dy over the rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, onednn_weights: bool) -> Tensor:
        """(..., inputs) to (..., outputs). Of a frozen weight, x is not kept: only the weight's gradient needs it."""
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        ctx.shape, ctx.onednn_weights = x.shape, onednn_weights
        return onednn_linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Gradients of x, weight and bias, those that are needed."""
        x, weight = ctx.saved_tensors
        rows = gradients[0].reshape(-1, weight.shape[0])
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        return (
            onednn_linear(rows, weight.t(), None).view(ctx.shape) if of_x else None,
            _of_weight(rows, x.reshape(-1, x.shape[-1]), ctx.onednn_weights) if of_weight else None,
            rows.sum(0) if of_bias else None,
            None,
        )


def _of_weight(gradient: Tensor, x: Tensor, by_onednn: bool) -> Tensor:
    """Gradient of the weight from those of the outputs: (tokens, outputs), (tokens, inputs) -> (outputs, inputs)."""
    return onednn_linear(gradient.t(), x.t(), None) if by_onednn else gradient.t() @ x


def _fits(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    return (
        not torch.is_autocast_enabled("cpu")
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == weight.device.type == "cpu"
        and x.numel() > 0
        and (bias is None or bias.dtype == torch.float32)
    )


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """X of shape (..., inputs) times weight.T of (outputs, inputs), plus bias: (..., outputs)."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
    return result


@cache
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
