"""From token ids to padded tensors: little padding, order restored."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bistill.arrays import Ints, Tokens

# The model's inputs of one text by name, each int32 of shape (tokens,).
Encoding = dict[str, Tokens]
# One row a text.
Forward = Callable[[list[Encoding]], Tensor]
# Rows of each of some groups of texts.
Shared = Callable[[list[list[Encoding]]], list[Tensor]]

# A bucket ends where a text is shorter than this share of its longest: short texts are not padded to long ones.
MINIMUM_FILL = 0.8
# Tokens of one forward at most: 64 texts of 512 tokens, or 4 of 8,192.
MAX_TOKENS = 32_768
# On a CPU fewer pay: what a layer hands to the next then stays in the processor's cache. A backward pass adds to the
# gradients of all weights once a group, so that groups of training are larger (``docs/experiments.md``).
CPU_TOKENS = 2_048
CPU_TRAINING_TOKENS = 4_096


def lengths(encodings: Sequence[Encoding]) -> Ints:
    """Tokens of each encoding, int64 of shape (n,)."""
    return np.array([len(encoding["input_ids"]) for encoding in encodings], dtype=np.int64)


def most_tokens(device: torch.device, *, training: bool) -> int:
    """Tokens of one forward, or with ``training`` of one forward and backward, that a device computes fastest."""
    if device.type != "cpu":
        return MAX_TOKENS
    return CPU_TRAINING_TOKENS if training else CPU_TOKENS


def size(lengths: Ints, *, packed: bool) -> int:
    """Tokens that a group of texts costs: shape (n,) -> their sum, or without packing their padded number."""
    return int(lengths.sum() if packed else len(lengths) * lengths.max(initial=0))


def buckets(
    lengths: Sequence[int] | Ints, *, max_items: int, max_tokens: int = MAX_TOKENS, packed: bool = False
) -> list[Ints]:
    """Groups of indices of similar length, the longest first, so that what cannot fit fails at once.

    Args:
        lengths: tokens of each text.
        max_items: texts of a group at most.
        max_tokens: tokens of a group at most; a single longer text is a group of its own.
        packed: whether texts of a group share one row; else they are padded to the longest, padding counts, and a
            group ends where a text is much shorter.

    Returns:
        int64 arrays that together hold every index once; equal lengths keep their order.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    groups: list[Ints] = []
    start = tokens = 0
    for stop, length in enumerate(lengths[order]):
        longest = lengths[order[start]]
        tokens = tokens + length if packed else (stop - start + 1) * longest
        too_short = not packed and length < MINIMUM_FILL * longest - 8
        if stop > start and (tokens > max_tokens or stop - start == max_items or too_short):
            groups.append(order[start:stop])
            start, tokens = stop, length
    return [*groups, order[start:]] if len(order) else groups


def in_buckets(encodings: Sequence[Encoding], forward: Forward, **how: Any) -> Tensor:
    """``each_in_buckets`` of one batch."""
    [rows] = each_in_buckets([encodings], forward, **how)
    return rows


def each_in_buckets(
    batches: Sequence[Sequence[Encoding]],
    forward: Forward,
    *,
    max_items: int,
    device: torch.device,
    packed: bool,
    shared: Shared | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Tensor]:
    """Results of ``forward`` on groups of similar length, none of them over two batches, in the order of the encodings.

    Args:
        batches: tokens of texts, at least one in each.
        forward: gives one row a text.
        max_items: texts of a group at most.
        device: where ``forward`` computes.
        packed: whether ``forward`` packs texts into one row.
        shared: does what ``forward`` does for all groups, on several processes; None: this one does it.
        advance: called with the number of texts done since the last call.

    Returns:
        Of each batch: shape (n, ...), with graph where gradients are on.
    """
    most = most_tokens(device, training=torch.is_grad_enabled())
    groups = [buckets(lengths(encodings), max_items=max_items, max_tokens=most, packed=packed) for encodings in batches]
    texts = ([encodings[row] for row in group] for encodings, own in zip(batches, groups, strict=True) for group in own)
    pieces = iter(map(forward, texts) if shared is None else shared(list(texts)))
    found = []
    for own in groups:
        rows = []
        for group in own:
            rows.append(next(pieces))
            advance(len(group))
        back = torch.from_numpy(np.argsort(np.concatenate(own)))
        whole = torch.cat(rows)
        found.append(whole.index_select(0, back.to(whole.device)))
    return found


def balanced(costs: Sequence[int] | Ints, count: int) -> list[Ints]:
    """Places of items in ``count`` shares of about the same cost: the dearest first, each to the share that is the
    cheapest so far (longest processing time first: Graham 1969, "Bounds on Multiprocessing Timing Anomalies").

    Args:
        costs: of each item.
        count: of shares.

    Returns:
        Rising int64 arrays, one a share, that together hold every place once; some are empty where there are few items.
    """
    costs = np.asarray(costs, dtype=np.int64)
    cheapest = [(0, share) for share in range(count)]  # cost so far, number: a heap
    places: list[list[int]] = [[] for _ in range(count)]
    for place in np.argsort(-costs, kind="stable"):
        cost, share = cheapest[0]
        places[share].append(int(place))
        heapq.heapreplace(cheapest, (cost + int(costs[place]), share))
    return [np.array(sorted(share), dtype=np.int64) for share in places]


def padded(tokenizer: Any, encodings: Sequence[Encoding], device: torch.device) -> dict[str, Tensor]:
    """Right-padded int64 tensors of shape (n, longest) with an ``attention_mask``."""
    sizes = lengths(encodings)
    fills = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
    batch = {}
    for name in encodings[0]:
        rows = np.full((len(encodings), sizes.max()), fills.get(name, 0), dtype=np.int64)
        for row, encoding in zip(rows, encodings, strict=True):
            row[: len(encoding[name])] = encoding[name]
        batch[name] = torch.from_numpy(rows).to(device)
    if "attention_mask" not in batch:
        real = np.arange(sizes.max()) < sizes[:, None]
        batch["attention_mask"] = torch.from_numpy(real.astype(np.int64)).to(device)
    return batch
