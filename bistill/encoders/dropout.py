"""Dropout whose masks are a function of (seed, text, place in the model, token, dimension).

torch draws the mask of a whole batch from one stream: which numbers a text gets depends on the texts beside it, on
padding and on what ran before. Here a text meets the same mask alone, in any batch, and each time it is run, so a
step may be divided, replayed or spread over processes without changing its gradient. A hash gives the numbers
(splitmix64: Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators", for a key of each text and place;
xor-shift and multiply rounds as in the finalizer of MurmurHash3, Appleby 2011, for each element).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from bistill.errors import TrainingError

_GOLDEN: Final = 0x9E3779B97F4A7C15


def text_dropout(seed: int, texts: np.ndarray) -> AbstractContextManager[Any]:
    """Context for one forward of n texts.

    Dropout of attention probabilities is left out: fused attention on a CPU and the variable-length kernels of CUDA
    have none, ModernBERT and Qwen3 are trained without, and its masks would be most of a step's memory.

    Args:
        seed: of the step.
        texts: int64 ids of shape (n,), one a row of the batch.

    Raises:
        TrainingError: (within the context) the model drops out over a tensor that is not one row a text.
    """
    return _TextDropout(seed, texts)


class _TextDropout(TorchFunctionMode):
    def __init__(self, seed: int, texts: np.ndarray) -> None:
        super().__init__()
        with np.errstate(over="ignore"):
            self._keys = _mixed(np.asarray(texts).astype(np.uint64) + _mixed(np.array([seed], dtype=np.uint64)))
        self._site = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.dropout:
            return self._dropout(*args, **kwargs)
        if func is functional.scaled_dot_product_attention:
            args = (*args[:4], 0.0, *args[5:]) if len(args) > 4 else args
            kwargs = kwargs | {"dropout_p": 0.0} if "dropout_p" in kwargs else kwargs
        return func(*args, **kwargs)

    def _dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0.0 or x.ndim == 4:
            return x
        if x.shape[0] != len(self._keys):
            raise TrainingError(
                f"the model drops out over a tensor that is not one row for each of {len(self._keys)} texts",
                found=tuple(x.shape),
                todo="train a model of another family, or set its dropout to 0",
            )
        self._site += 1
        if p >= 1.0:
            return x * 0.0
        return _Masked.apply(x, self._mask(x, p), 1.0 / (1.0 - p))

    def _mask(self, x: Tensor, p: float) -> Tensor:
        """True where an element stays, with probability 1 - p."""
        with np.errstate(over="ignore"):
            words = _mixed(self._keys + np.uint64(self._site) * np.uint64(_GOLDEN)).view(np.int32).reshape(-1, 2)
        first, second = torch.from_numpy(words.copy()).to(x.device).unsqueeze(-1).unbind(1)
        bits = _steps(x[0].numel(), x.device) + first
        bits.bitwise_xor_(bits >> 15).mul_(-2048144789)
        bits.add_(second).bitwise_xor_(bits >> 13).mul_(-1028477387)
        bits.bitwise_xor_(bits >> 16)
        return (bits >= round(p * 2**32) - 2**31).view(x.shape)


class _Masked(torch.autograd.Function):
    """x times mask times scale; for the backward pass it holds the mask alone, a byte an element."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mask: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.scale = scale
        return (x * mask).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return (gradients[0] * mask).mul_(ctx.scale), None, None


def _mixed(values: np.ndarray) -> np.ndarray:
    """The output function of splitmix64, uint64 to uint64."""
    values = values + np.uint64(_GOLDEN)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@lru_cache(maxsize=64)
def _steps(length: int, device: torch.device) -> Tensor:
    """Element index times an odd constant, int32 of shape (length,), wrapped."""
    return torch.arange(length, dtype=torch.int32, device=device) * -1640531527
