from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from bistill.models.compute.batching import Encoding, buckets, lengths, padded, tokenize, tokenize_counting_cuts
from bistill.models.files import loading


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


def test_tokens_and_padding_equal_those_of_the_tokenizer(tiny_encoder: Path) -> None:
    tokenizer = loading.load_tokenizer(str(tiny_encoder))
    pairs = [("how to read a file", "open the file " * 20), ("red", ""), ("", "서울 blue"), ("key " * 30, "map " * 7)]
    rows = tokenize(tokenizer, pairs, 16)
    assert all(value.dtype == np.int32 for row in rows for value in row.values())
    expected = tokenizer(pairs, truncation=True, max_length=16, padding="longest", return_tensors="pt")
    found = padded(tokenizer, rows, torch.device("cpu"))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert lengths(rows).tolist() == expected["attention_mask"].sum(1).tolist()
    assert tokenize(tokenizer, [], 16) == []


def test_threads_with_different_limits_do_not_disturb_each_other(tiny_encoder: Path) -> None:
    tokenizer = loading.load_tokenizer(str(tiny_encoder))
    texts = ["how to read a file " * 20] * 200
    found: dict[int, set[int]] = {8: set(), 16: set(), 32: set()}

    def work(limit: int) -> None:
        for _ in range(10):
            found[limit] |= set(lengths(tokenize(tokenizer, texts, limit)).tolist())

    threads = [threading.Thread(target=work, args=(limit,)) for limit in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {limit: {limit} for limit in found}


@pytest.mark.parametrize(("max_len", "cut"), [(3, 4), (4, 3), (8, 2), (9, 1), (10, 1), (11, 0)])
def test_texts_longer_than_the_limit_are_counted(tiny_encoder: Path, max_len: int, cut: int) -> None:
    tokenizer = loading.load_tokenizer(str(tiny_encoder))
    texts = ["sort sort", "sort " * 6, "sort " * 7, "sort " * 9]  # and two tokens around each: 4, 8, 9 and 11
    encodings, found = tokenize_counting_cuts(tokenizer, texts, max_len)
    assert found == cut == sum(length > max_len for length in (4, 8, 9, 11))
    assert lengths(encodings).tolist() == [min(length, max_len) for length in (4, 8, 9, 11)]
    pairs = [("sort", "sort " * 6), ("sort " * 3, "sort")]  # three tokens around each: 10 and 7
    assert tokenize_counting_cuts(tokenizer, pairs, max_len)[1] == sum(length > max_len for length in (10, 7))
    assert tokenize_counting_cuts(tokenizer, [], max_len) == ([], 0)
