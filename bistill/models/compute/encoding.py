"""Unit vectors of many texts without gradients: the one loop that a Bi-Encoder encodes with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

import numpy as np
import torch

from bistill import console
from bistill.arrays import Floats
from bistill.data.store.texts import windows
from bistill.errors import DataError, ModelError, Told
from bistill.models.compute import batching, sharing, tokenizing
from bistill.models.compute.products import fast_products
from bistill.models.compute.sharing import Shareable
from bistill.progress import progress

# Batches of a window: texts are sorted by length within it.
WINDOW_BATCHES: Final = 16


class Encoder(Shareable, Protocol):
    """What gives unit vectors of tokenized texts: float32 of shape (n, dim)."""

    tokenizer: Any
    source: str
    max_len: int

    @property
    def dim(self) -> int:
        """Length of the vectors."""


def vectors(encoder: Encoder, texts: Iterable[str], prompt: str, batch_size: int, description: str) -> Floats:
    """The pieces of ``vectors_in_windows`` as one array: float32 of shape (n, dim)."""
    pieces = list(vectors_in_windows(encoder, texts, prompt, batch_size, description))
    return np.concatenate(pieces) if pieces else np.empty((0, encoder.dim), dtype=np.float32)


def vectors_in_windows(
    encoder: Encoder, texts: Iterable[str], prompt: str, batch_size: int, description: str
) -> Iterator[Floats]:
    """Unit vectors in the order of the texts, which are read in windows of some batches and sorted by length within
    each, so that a corpus may stream. The model is left in the mode it was in.

    Args:
        encoder: the model.
        texts: of any number.
        prompt: text in front of each.
        batch_size: texts of one forward at most.
        description: shown with the progress; "" for none.

    Yields:
        float32 of shape (m, dim), m up to ``16 * batch_size``.

    Raises:
        DataError: one text stands where several are expected; its letters would be taken for texts.
        ModelError: a vector holds NaN or infinite values.
    """
    if isinstance(texts, str):
        raise DataError("several texts are expected", where="texts", found=texts, todo="give a list: [text]")
    total = len(texts) if isinstance(texts, Sequence) else 0
    read = cut = 0
    with progress(description, total, "texts") as advance:
        for window in windows((prompt + text for text in texts), WINDOW_BATCHES * batch_size):
            rows, longer = vectors_of_window(encoder, window, batch_size, advance)
            read, cut = read + len(window), cut + longer
            yield rows
    if description and cut:
        console.say_once(tokenizing.cut_texts(description, cut, read, encoder.max_len))


def vectors_of_window(
    encoder: Encoder, window: Sequence[str], batch_size: int, advance: Callable[[int], None] = lambda _: None
) -> tuple[Floats, int]:
    """Unit vectors of the texts of a window, prompts included: float32 of shape (n, dim); and how many texts were cut.

    Args:
        encoder: the model.
        window: up to ``WINDOW_BATCHES * batch_size`` texts: what they are batched with decides their last bits.
        batch_size: texts of one forward at most.
        advance: called with the number of texts of each forward.

    Raises:
        ModelError: a vector holds NaN or infinite values.
    """
    # Modes are set and put back within a window: between two of them the caller's code runs.
    was_training = encoder.model.training
    encoder.model.eval()
    encodings, cut = tokenizing.tokenize_counting_cuts(encoder.tokenizer, window, encoder.max_len)
    with torch.inference_mode(), fast_products(encoder.device):
        found = batching.in_buckets(
            encodings,
            encoder.forward,
            max_items=batch_size,
            device=encoder.device,
            packed=encoder.packs,
            shared=sharing.forwards(encoder),
            advance=advance,
        )
    encoder.model.train(was_training)
    rows: Floats = found.cpu().numpy()
    _check_finite(rows, encoder.source)
    return rows, cut


def _check_finite(rows: Floats, source: str) -> None:
    broken = ~np.isfinite(rows.sum(axis=1))
    if broken.any():
        raise ModelError(
            "the model gives NaN or infinite values",
            where=source,
            found=Told(f"{int(broken.sum())} of {len(rows)} texts"),
            todo="try `precision` fp32; if that does not help, train the model again",
        )
