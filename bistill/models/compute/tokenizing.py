"""From texts to token ids, without padding."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from bistill.models.compute.batching import Encoding

# A fast tokenizer keeps its limit of length in itself: of two threads with different limits one would get the other's.
_TOKENIZING = threading.Lock()


def tokenize(tokenizer: Any, texts: Sequence[str] | Sequence[tuple[str, str]], max_len: int) -> list[Encoding]:
    """Token ids of texts or of text pairs, special tokens included, cut to ``max_len`` (a pair's longer text first).

    Returns:
        One dictionary a text with ``input_ids`` and the tokenizer's other inputs, of equal length.
    """
    return tokenize_counting_cuts(tokenizer, texts, max_len)[0]


def tokenize_counting_cuts(
    tokenizer: Any, texts: Sequence[str] | Sequence[tuple[str, str]], max_len: int
) -> tuple[list[Encoding], int]:
    """What ``tokenize`` gives, and how many of the texts were longer than ``max_len``."""
    if not texts:
        return [], 0
    with _TOKENIZING:
        batch = tokenizer(list(texts), truncation=True, max_length=max_len, padding=False)
    names = [name for name in tokenizer.model_input_names if name in batch]
    encodings = [{name: np.array(batch[name][row], dtype=np.int32) for name in names} for row in range(len(texts))]
    return encodings, sum(bool(encoding.overflowing) for encoding in batch.encodings or ())


def cut_texts(what: str, cut: int, total: int, max_len: int) -> str:
    """What a user is told of texts that were cut."""
    return f"{what}: {cut:,} of {total:,} texts have more than {max_len} tokens and are cut there; `max_len` sets it"
