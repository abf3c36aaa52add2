"""Dropout whose masks belong to the texts: the same wherever, beside whom and however often a text is run.

torch draws a mask for a whole batch from one stream, so a text's mask hangs on its neighbours, on padding and on what
ran before. A step that is divided after memory ran out, whose gradients are carried through a second forward, or whose
texts are spread over processes must meet the masks that it would have met in one piece. Here an element's mask is a
function of (seed, text, site, element), computed by counter (Salmon et al. 2011, "Parallel Random Numbers: As Easy as
1, 2, 3"): no state, no order.

The hash is made of known parts. Elements are numbered and mixed once by lowbias32 (Wellons 2018, "Prospecting for Hash
Functions"). A row then takes these numbers through a multiplication and an addition of its own, drawn by the finaliser
of splitmix64 (Steele et al. 2014, "Fast Splittable Pseudorandom Number Generators"), and through the first round of
MurmurHash3's finaliser (Appleby 2011). Because rows multiply, and what they multiply is mixed, no row is another one
shifted. Each of these steps is one to one. Integers of 32 bits wrap alike on every device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from bistill.arrays import Ints, Keys
from bistill.errors import TrainingError
from bistill.models.compute import packing

# Elements that are hashed at once: bounds the working memory, 8 bytes an element, beside a large batch.
CHUNK: Final = 2**24
# Where in its arguments ``scaled_dot_product_attention`` has ``dropout_p``.
ATTENTION_DROPOUT: Final = 4
# What stands for the text in a mask that all texts share.
SHARED: Final = np.array([-1], dtype=np.int64)
MURMUR: Final = 0x85EBCA6B - 2**32  # the first factor of MurmurHash3's finaliser, as a signed number


def text_dropout(seed: int, texts: Ints) -> AbstractContextManager[Any]:
    """Context of one forward in which dropout is a function of (seed, text, site, element).

    A site is the place of a dropout in the forward, counted over those that act. The elements of a text are numbered
    in row-major order: element j of token t is t * d + j, whatever length the batch is padded to. An element is kept
    with probability 1 - p, to 2^-32, and scaled by 1 / (1 - p).

    Dropout of attention probabilities is left out: neither fused attention on a CPU nor the variable-length kernels of
    CUDA have it, ModernBERT and Qwen3 are trained without it, and masks of padded (L, L) grids would take most of the
    memory of a step. Models therefore learn as with ``attention_probs_dropout_prob`` of 0.

    The context must be open while the forward runs and no longer; layers that are run again by the backward pass
    (``torch.utils.checkpoint``) open a ``resumption`` of it.

    Args:
        seed: of the update: another one gives other masks everywhere.
        texts: what numbers the rows of the batch, integers of shape (n,). Equal texts of one seed have equal masks.

    Raises:
        TrainingError: in the forward, where a dropout acts on a tensor that is neither one row a text nor a table (of
            two dimensions) that all texts share. Then it cannot be told which text its rows belong to.
    """
    return _TextDropout(seed, texts)


def resumption() -> AbstractContextManager[Any]:
    """Context in which what runs later on this thread meets the masks that it would meet now."""
    mode = _active.mode
    return nullcontext() if mode is None else _TextDropout(mode._seed, mode._texts, mode._site)


class _Active(threading.local):
    mode: _TextDropout | None = None


_active = _Active()


class _TextDropout(TorchFunctionMode):
    """Replaces ``functional.dropout`` where it acts, and switches off that of attention."""

    def __init__(self, seed: int, texts: Ints, first_site: int = 0) -> None:
        super().__init__()
        self._seed, self._texts = seed, np.asarray(texts, dtype=np.int64)
        self._first_site = self._site = first_site

    def __enter__(self) -> Any:
        self._site = self._first_site
        self._before, _active.mode = _active.mode, self
        return super().__enter__()  # type: ignore[no-untyped-call]  # torch's has no annotations

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        _active.mode = self._before
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]  # torch's has no annotations

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.dropout:
            x, p, training = _dropout_arguments(*args, **kwargs)
            # Probabilities out of range go to torch, which knows what to say.
            return self._dropped(x, p) if training and 0 < p <= 1 else func(*args, **kwargs)
        if func is functional.scaled_dot_product_attention:
            args, kwargs = _without_dropout(args, kwargs)
        return func(*args, **kwargs)

    def _dropped(self, x: Tensor, p: float) -> Tensor:
        layout = packing.current()
        packed = layout is not None and x.shape[:2] == (1, layout.size)
        count = len(self._texts)
        if x.dim() == 4:
            return x  # attention probabilities of shape (n, heads, L, L)
        keys, rows = self._texts, x
        if packed:
            rows = x.squeeze(0)
        elif x.dim() == 2 and x.shape[0] != count:
            # A table that all texts share, such as DeBERTa's relative positions: one mask for all of them.
            keys, rows = SHARED, x.unsqueeze(0)
        elif x.dim() == 0 or x.shape[0] != count:
            raise TrainingError(
                "the model drops out over a tensor that has not one row a text",
                where=f"a batch of {count} texts",
                found=tuple(x.shape),
                todo="set this dropout of the model's configuration to 0, or choose another model",
            )
        site, self._site = self._site, self._site + 1
        if p == 1:
            return x * 0.0
        mask = kept(row_keys(self._seed, keys, site), rows, p, layout if packed else None)
        # As a product with booleans: the graph keeps one byte an element, and neither x nor the result.
        return (x * mask.view(x.shape)).mul_(1 / (1 - p))


def kept(keys: Keys, x: Tensor, p: float, layout: packing.PackedLayout | None = None) -> Tensor:
    """Which elements stay: booleans of x's shape, on its device.

    Args:
        keys: uint64 of shape (n,), as ``row_keys`` gives them.
        x: shape (n, ...), or by a layout (tokens, dim); only its shape and device matter.
        p: probability of dropping an element, in (0, 1).
        layout: of the texts' tokens in x; None: x has one row a text.
    """
    mask = torch.empty(x.shape, dtype=torch.bool, device=x.device)
    if not mask.numel():
        return mask
    # The lower half of a key, made odd so that no two elements of a row meet, multiplies; the upper half is added.
    halves = torch.from_numpy((keys | np.uint64(1)).view(np.int32).reshape(-1, 2)).to(x.device)
    rows = mask.view(len(x), -1)
    width = rows.shape[1]
    if layout is None:
        numbers = element_numbers(width, x.device).expand(len(x), -1)
    else:
        halves = halves[layout.texts]
        numbers = element_numbers(layout.longest * width, x.device).view(layout.longest, width)
    threshold = min(round(p * 2**32) - 2**31, 2**31 - 1)
    at_once = max(1, CHUNK // width)
    for start in range(0, len(x), at_once):
        own = slice(start, start + at_once)
        key = halves[own]
        hashed = (numbers[own] if layout is None else numbers[layout.positions[own]]) * key[:, :1]
        hashed += key[:, 1:]
        # Signed numbers shift their sign in; the bits it fills are cleared.
        hashed ^= (hashed >> 16).bitwise_and_(2**16 - 1)
        hashed *= MURMUR
        torch.ge(hashed, threshold, out=rows[own])
    return mask


def row_keys(seed: int, texts: Ints, site: int) -> Keys:
    """Keys of the rows at one site, mixed of (seed, text, site): uint64 of shape (n,).

    Texts that differ have keys that differ, at one site of one seed.
    """
    start = _splitmix(np.array([seed % 2**64], dtype=np.uint64))
    return _splitmix(_splitmix(start ^ texts.view(np.uint64)) ^ np.uint64(site))


def element_numbers(count: int, device: torch.device) -> Tensor:
    """lowbias32(0), ..., lowbias32(count - 1): int32 of shape (count,), pairwise different."""
    # Kept for powers of two, of which the lengths between them are beginnings.
    return _numbers(1 << (count - 1).bit_length(), device)[:count]


@lru_cache(maxsize=4)
def _numbers(count: int, device: torch.device) -> Tensor:
    x = np.arange(count, dtype=np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return torch.from_numpy(x.view(np.int32)).to(device)


def _splitmix(x: Keys) -> Keys:
    """One step of splitmix64 from each state, a bijection of uint64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _dropout_arguments(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,  # noqa: ARG001
) -> tuple[Tensor, float, bool]:
    """What a call of ``functional.dropout`` means; its signature. Working in place would gain nothing here."""
    return input, float(p), training


def _without_dropout(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of ``scaled_dot_product_attention``, with no dropout."""
    if len(args) > ATTENTION_DROPOUT:
        return (*args[:ATTENTION_DROPOUT], 0.0, *args[ATTENTION_DROPOUT + 1 :]), kwargs
    return args, {**kwargs, "dropout_p": 0.0}
