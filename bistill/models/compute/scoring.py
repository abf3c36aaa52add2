"""Relevance logits of many pairs without gradients: the one loop that every kind of re-ranker scores with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from bistill import distributed
from bistill.arrays import Floats, Ints
from bistill.models.compute import batching, sharing
from bistill.models.compute.products import fast_products
from bistill.progress import progress

Pair = tuple[str, str]
# Forwards of pairs that are read, sorted by length and tokenized together.
FORWARDS_OF_A_CHUNK: Final = 4


class Reader(sharing.Shareable, Protocol):
    """What gives relevance logits of tokenized pairs: float32 of shape (n,)."""

    def tokenize(self, pairs: Sequence[Pair]) -> list[batching.Encoding]:
        """Token ids of pairs."""


def logits(reader: Reader, batches: Sequence[Sequence[Pair]], *, max_items: int) -> list[Tensor]:
    """Relevance logits of batches of pairs: of each float32 of shape (n,), in the order given; with graph where
    gradients are on. ``max_items`` pairs of a forward at most, and none of two batches."""
    return batching.each_in_buckets(
        [reader.tokenize(pairs) for pairs in batches],
        reader.forward,
        max_items=max_items,
        device=reader.device,
        packed=reader.packs,
        shared=sharing.forwards(reader),
    )


def score(reader: Reader, pairs: Sequence[Pair], *, batch_size: int, description: str) -> Floats:
    """Relevance logits of pairs without gradients and without dropout, of as many batches at once as there are
    processes; the model is left in the mode it was in.

    Args:
        reader: the re-ranker.
        pairs: (query, document) texts, read piece by piece.
        batch_size: pairs of one forward at most.
        description: shown with the progress; "" for none.

    Returns:
        float32 of shape (n,), in the order given.
    """
    scores = np.empty(len(pairs), dtype=np.float32)
    was_training = reader.model.training
    reader.model.eval()
    with torch.inference_mode(), fast_products(reader.device), progress(description, len(pairs), "pairs") as advance:
        chunks = _chunks_by_length(pairs, batch_size)
        at_once = distributed.processes()
        for start in range(0, len(chunks), at_once):
            some = chunks[start : start + at_once]
            found = logits(reader, [[pairs[row] for row in rows] for rows in some], max_items=batch_size)
            for rows, values in zip(some, found, strict=True):
                scores[rows] = values.cpu().numpy()
                advance(len(rows))
    reader.model.train(was_training)
    return scores


def _chunks_by_length(pairs: Sequence[Pair], batch_size: int) -> list[Ints]:
    """Rows by falling character length in chunks of some batches, so that tokens are made piece by piece."""
    order = np.argsort([-len(query) - len(document) for query, document in pairs], kind="stable")
    size = FORWARDS_OF_A_CHUNK * batch_size
    return [order[start : start + size] for start in range(0, len(order), size)]
