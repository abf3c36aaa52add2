"""Relevance logits of many pairs without gradients: the one loop that every kind of re-ranker scores with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor

from bistill import distributed
from bistill.arrays import Floats, Ints
from bistill.models.compute.products import fast_products
from bistill.progress import progress

Pair = tuple[str, str]
# Forwards of pairs that are read, sorted by length and tokenized together.
FORWARDS_OF_A_CHUNK: Final = 4


class Logits(Protocol):
    """What gives relevance logits of batches of pairs."""

    def __call__(self, batches: Sequence[Sequence[Pair]], *, max_items: int) -> list[Tensor]:
        """Of each batch float32 of shape (n,), in the order given; ``max_items`` pairs of a forward at most, and none
        of two batches."""


def score(model: Any, logits: Logits, pairs: Sequence[Pair], *, batch_size: int, description: str) -> Floats:
    """Relevance logits of pairs without gradients and without dropout; the model is left in the mode it was in.

    Args:
        model: the module behind ``logits``.
        logits: of batches of pairs; as many at once as there are processes.
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
        chunks = _chunks_by_length(pairs, batch_size)
        at_once = distributed.processes()
        for start in range(0, len(chunks), at_once):
            some = chunks[start : start + at_once]
            found = logits([[pairs[row] for row in rows] for rows in some], max_items=batch_size)
            for rows, values in zip(some, found, strict=True):
                scores[rows] = values.cpu().numpy()
                advance(len(rows))
    model.train(was_training)
    return scores


def _chunks_by_length(pairs: Sequence[Pair], batch_size: int) -> list[Ints]:
    """Rows by falling character length in chunks of some batches, so that tokens are made piece by piece."""
    order = np.argsort([-len(query) - len(document) for query, document in pairs], kind="stable")
    size = FORWARDS_OF_A_CHUNK * batch_size
    return [order[start : start + size] for start in range(0, len(order), size)]
