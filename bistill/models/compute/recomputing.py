"""Layers whose inner values are computed a second time in the backward pass instead of being kept.

Memory for one layer's values then suffices for all layers, for a third more arithmetic (Chen et al. 2016, "Training
Deep Nets with Sublinear Memory Cost"); torch calls it checkpointing. It is switched on when one text alone does not
fit. The second computation runs inside the backward pass, after the contexts of the forward have ended, so it opens
them again at the place where the layer began: the same dropout masks, the same packed row, the same library for
products.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any
from weakref import WeakSet

from torch import nn

from bistill.models.compute import dropout, packing, products

_recomputing: WeakSet[nn.Module] = WeakSet()


def recompute(model: nn.Module) -> bool:
    """Have the layers of a transformer compute twice from now on, in training.

    Returns:
        False where they do so already, or where the model has no layers that can.
    """
    base: Any = packing.transformer(model)
    if base in _recomputing or not getattr(base, "supports_gradient_checkpointing", False):
        return False
    # Its name in transformers changed within release 5.
    enable = getattr(base, "activation_checkpointing_enable", None) or base.gradient_checkpointing_enable
    enable({"use_reentrant": False, "context_fn": _contexts})
    _recomputing.add(base)
    return True


def keep(model: nn.Module) -> None:
    """Have the layers keep their inner values again, after ``recompute``."""
    base: Any = packing.transformer(model)
    (getattr(base, "activation_checkpointing_disable", None) or base.gradient_checkpointing_disable)()
    _recomputing.discard(base)


def recomputes(model: nn.Module) -> bool:
    """Whether the layers compute twice."""
    return packing.transformer(model) in _recomputing


def have(model: nn.Module, twice: bool) -> None:
    """Have the layers compute twice, or keep their values, whatever they did before."""
    if twice and not recomputes(model):
        recompute(model)
    elif not twice and recomputes(model):
        keep(model)


def _contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Contexts of a layer's first and second computation; asked for just before the first."""
    return nullcontext(), _again(dropout.resumption(), packing.resumption(), products.resumption())


@contextmanager
def _again(*contexts: AbstractContextManager[Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield
