"""Relevance logits of many pairs without gradients: the one loop that every kind of re-ranker scores with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from bistill.arrays import Floats, Ints
from bistill.models.compute.products import fast_products
from bistill.progress import progress

Pair = tuple[str, str]


class Logits(Protocol):
    """What gives relevance logits of pairs."""

    def __call__(self, pairs: Sequence[Pair], *, max_items: int) -> Tensor:
        """Float32 of shape (n,), in the order given; ``max_items`` pairs of a forward at most."""


def score(model: Any, logits: Logits, pairs: Sequence[Pair], *, batch_size: int, description: str) -> Floats:
    """Relevance logits of pairs without gradients and without dropout; the model is left in the mode it was in.

    Args:
        model: the module behind ``logits``.
        logits: of some pairs.
        pairs: (query, document) texts, read piece by piece.
        batch_size: pairs of one forward at most.
        description: shown with the progress; "" for none.

    Returns:
        float32 of shape (n,), in the order given.
    """
    scores = np.empty(len(pairs), dtype=np.float32)
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode(), fast_products(device), progress(description, len(pairs), "pairs") as advance:
        for rows in _chunks_by_length(pairs, batch_size):
            scores[rows] = logits([pairs[row] for row in rows], max_items=batch_size).cpu().numpy()
            advance(len(rows))
    model.train(was_training)
    return scores


def _chunks_by_length(pairs: Sequence[Pair], batch_size: int) -> list[Ints]:
    """Rows by falling character length in chunks of some batches, so that tokens are made piece by piece."""
    order = np.argsort([-len(query) - len(document) for query, document in pairs], kind="stable")
    return [order[start : start + 4 * batch_size] for start in range(0, len(order), 4 * batch_size)]
