from __future__ import annotations

import numpy as np
import pytest
import torch

from bistill.models.compute.batching import Encoding, buckets, padded


class Tokenizer:
    """The two attributes that padding reads."""

    pad_token_id = 7
    pad_token_type_id = 0


def test_buckets_hold_similar_lengths_longest_first() -> None:
    groups = buckets([3, 100, 50, 98, 51], max_items=8)
    assert [group.tolist() for group in groups] == [[1, 3], [4, 2], [0]]


def test_limits_of_items_and_tokens() -> None:
    assert [len(group) for group in buckets([10] * 7, max_items=3)] == [3, 3, 1]
    assert [len(group) for group in buckets([10] * 7, max_items=9, max_tokens=25)] == [2, 2, 2, 1]
    assert [group.tolist() for group in buckets([99, 5], max_items=9, max_tokens=20)] == [[0], [1]]


@pytest.mark.parametrize("seed", range(3))
def test_every_index_once_and_little_padding(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(2, 300, 500).tolist()
    groups = buckets(lengths, max_items=32)
    assert sorted(np.concatenate(groups).tolist()) == list(range(500))
    real = sum(lengths)
    held = sum(len(group) * max(lengths[row] for row in group) for group in groups)
    assert held / real < 1.15


def encoding(**inputs: list[int]) -> Encoding:
    return {name: np.array(values, dtype=np.int32) for name, values in inputs.items()}


def test_padding_by_hand() -> None:
    batch = padded(
        Tokenizer(),
        [encoding(input_ids=[1, 2, 3], token_type_ids=[0, 0, 1]), encoding(input_ids=[4], token_type_ids=[0])],
        torch.device("cpu"),
    )
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 7, 7]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 1], [0, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert all(value.dtype == torch.int64 for value in batch.values())


def test_an_attention_mask_of_the_tokenizer_is_kept_and_padded_with_zeros() -> None:
    rows = [encoding(input_ids=[1, 2], attention_mask=[1, 0]), encoding(input_ids=[4], attention_mask=[1])]
    assert padded(Tokenizer(), rows, torch.device("cpu"))["attention_mask"].tolist() == [[1, 0], [1, 0]]
