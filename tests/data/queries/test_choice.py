"""Which queries are used: with a positive or without, by the seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.data.queries import choice
from bistill.data.sampling import subset
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import load_split
from bistill.errors import DataError, OptionError

Write = Callable[[str, str | bytes], Path]


def of_labels(write: Write, labels: list[list[int]]) -> Dataset:
    rows = [
        f"q{query},d{query} {place},{label}\n" for query, own in enumerate(labels) for place, label in enumerate(own)
    ]
    return load_split(write("rows.csv", "query,passage,label\n" + "".join(rows)))


def test_each_choice_takes_the_queries_of_its_kind(write: Write) -> None:
    dataset = of_labels(write, [[0], [1, 0], [0, 0]] * 40)
    with_positive = choice.with_positive(dataset, 3, "train", 10).tolist()
    assert with_positive == (3 * subset(3, "train", 40, 10) + 1).tolist()
    without = choice.without_positive(dataset, 3, "train", 10).tolist()
    assert len(set(without)) == 20 and not [query for query in without if query % 3 == 1]  # 10 of 40, so 20 of 80
    assert set(without) <= set(choice.without_positive(dataset, 3, "train", 20).tolist())
    assert choice.queries(dataset, 3, "train", 30).tolist() == subset(3, "train", 120, 30).tolist()
    for chosen, count in ((choice.with_positive, 40), (choice.without_positive, 80), (choice.queries, 120)):
        assert chosen(dataset, 3, "train", None).tolist() == chosen(dataset, 3, "train", 500).tolist()
        assert len(chosen(dataset, 3, "train", None)) == count


def test_where_all_queries_have_a_positive_the_choices_are_one(write: Write) -> None:
    dataset = of_labels(write, [[1]] * 30)
    for count in (None, 7):
        assert choice.queries(dataset, 1, "a", count).tolist() == subset(1, "a", 30, count).tolist()
        assert choice.with_positive(dataset, 1, "a", count).tolist() == subset(1, "a", 30, count).tolist()
        assert choice.without_positive(dataset, 1, "a", count).tolist() == []
    assert choice.chosen_for_lists(dataset, dataset.with_positive) == "30 of 30 queries, 30 of 30 rows"


def test_queries_and_rows_are_said(write: Write) -> None:
    dataset = of_labels(write, [[1, 0, 0]] * 1200 + [[0]] * 300)
    chosen = choice.with_positive(dataset, 0, "train", 1100)
    assert choice.chosen(dataset, chosen) == "1,100 of 1,500 queries, 3,300 of 3,900 rows"
    assert choice.chosen_for_lists(dataset, chosen).startswith(
        "1,100 of 1,500 queries, 3,300 of 3,900 rows; no lists are made for the 300 queries without a positive"
    )


def test_what_needs_a_positive_says_so(write: Write) -> None:
    dataset = of_labels(write, [[0, 0]] * 5)
    for chosen in (choice.queries, choice.with_positive):
        with pytest.raises(DataError, match="no query has a relevant document") as caught:
            chosen(dataset, 0, "train", 2)
        assert str(dataset.path) in str(caught.value)
    seed = next(seed for seed in range(50) if subset(seed, "train", 6, 1)[0] != 5)
    with pytest.raises(OptionError, match="`max_samples`") as refused:
        choice.queries(of_labels(write, [[0]] * 5 + [[1]]), seed, "train", 1)
    assert "1 of 6 queries have one" in str(refused.value)
