"""From texts to padded token tensors: little padding, order restored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Encoding = dict[str, list[int]]

# A bucket ends where a text is shorter than this share of its longest: short texts are not padded to long ones.
MINIMUM_FILL = 0.8
# Padded tokens of one forward at most: 64 texts of 512 tokens, or 4 of 8,192.
MAX_TOKENS = 32_768
# Without gradients on a CPU fewer pay: what a layer hands to the next then stays in the processor's cache.
CPU_TOKENS = 2_048


def tokenize(tokenizer: Any, texts: Sequence[str] | Sequence[tuple[str, str]], max_len: int) -> list[Encoding]:
    """Token ids of texts or of text pairs, special tokens included, cut to ``max_len`` (a pair's longer text first).

    Returns:
        One dictionary a text with ``input_ids`` and the tokenizer's other inputs as lists of equal length.
    """
    if not texts:
        return []
    batch = tokenizer(list(texts), truncation=True, max_length=max_len, padding=False)
    names = [name for name in tokenizer.model_input_names if name in batch]
    return [{name: batch[name][row] for name in names} for row in range(len(texts))]


def lengths(encodings: Sequence[Encoding]) -> np.ndarray:
    """Tokens of each encoding, int64 of shape (n,)."""
    return np.array([len(encoding["input_ids"]) for encoding in encodings], dtype=np.int64)


def buckets(lengths: Sequence[int] | np.ndarray, *, max_items: int, max_tokens: int = MAX_TOKENS) -> list[np.ndarray]:
    """Groups of indices of similar length, the longest first, so that what cannot fit fails at once.

    Args:
        lengths: tokens of each text.
        max_items: texts of a group at most.
        max_tokens: padded tokens of a group at most; a single longer text is a group of its own.

    Returns:
        int64 arrays that together hold every index once; equal lengths keep their order.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    groups: list[np.ndarray] = []
    start = 0
    for stop in range(1, len(order) + 1):
        if stop == len(order) or _full(lengths, order, start, stop, max_items, max_tokens):
            groups.append(order[start:stop])
            start = stop
    return groups


def _full(
    lengths: Sequence[int] | np.ndarray, order: np.ndarray, start: int, stop: int, max_items: int, max_tokens: int
) -> bool:
    """Whether the text at ``stop`` must begin a new group."""
    longest, count = lengths[order[start]], stop - start + 1
    too_many_tokens = count * longest > max_tokens
    return count > max_items or too_many_tokens or lengths[order[stop]] < MINIMUM_FILL * longest - 8


def in_buckets(
    encodings: Sequence[Encoding],
    forward: Callable[[list[Encoding]], Tensor],
    *,
    max_items: int,
    device: torch.device,
    advance: Callable[[int], None] = lambda _: None,
) -> Tensor:
    """Results of ``forward`` on groups of similar length, in the order of the encodings.

    Args:
        encodings: tokens of n texts, at least one.
        forward: gives one row a text.
        max_items: texts of a group at most.
        device: where ``forward`` computes.
        advance: called with the number of texts done since the last call.

    Returns:
        Shape (n, ...), with graph where gradients are on.
    """
    small = device.type == "cpu" and not torch.is_grad_enabled()
    groups = buckets(lengths(encodings), max_items=max_items, max_tokens=CPU_TOKENS if small else MAX_TOKENS)
    pieces = []
    for group in groups:
        pieces.append(forward([encodings[row] for row in group]))
        advance(len(group))
    rows = torch.cat(pieces)
    return rows.index_select(0, torch.from_numpy(np.argsort(np.concatenate(groups))).to(rows.device))


def padded(tokenizer: Any, encodings: Sequence[Encoding], device: torch.device) -> dict[str, Tensor]:
    """Right-padded int64 tensors of shape (n, longest) with an ``attention_mask``."""
    longest = max(len(encoding["input_ids"]) for encoding in encodings)
    fills = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    batch = {}
    for name in encodings[0]:
        rows = [[*encoding[name], *[fills.get(name, 0)] * (longest - len(encoding[name]))] for encoding in encodings]
        batch[name] = torch.tensor(rows, dtype=torch.int64, device=device)
    if "attention_mask" not in batch:
        real = [[1] * len(encoding["input_ids"]) for encoding in encodings]
        batch["attention_mask"] = torch.tensor([[*row, *[0] * (longest - len(row))] for row in real], device=device)
    return batch
