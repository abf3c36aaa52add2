from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from bistill.models.compute.batching import lengths, padded
from bistill.models.compute.tokenizing import tokenize, tokenize_counting_cuts
from bistill.models.files import loading


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
