from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bistill.candidates.lists import for_distillation, for_validation, random_documents
from bistill.data.dataset import Dataset
from bistill.data.sampling import generator
from bistill.data.store import load_split


@pytest.fixture
def dataset(tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]) -> Dataset:
    """20 queries with two positives and one labelled negative each: 60 documents."""
    rows = [["query", "passage", "label"]]
    for number in range(20):
        rows += [[f"q{number}", f"first {number}", "1"], [f"q{number}", f"second {number}", "0.8"]]
        rows += [[f"q{number}", f"wrong {number}", "0.2"]]
    return load_split(write_csv(tmp_path / "train.csv", rows))


def test_one_positive_then_labelled_then_random_negatives(dataset: Dataset) -> None:
    for query_id in range(20):
        item = for_distillation(dataset, query_id, size=6, seed=1, epoch=0)
        record = dataset[query_id]
        assert item.positives == 1
        assert len(set(item.documents)) == 6
        assert item.documents[0] in record.positives
        assert item.documents[1] == record.negatives[0]
        assert item.labels[1] == pytest.approx(0.2)
        assert item.labels[2:] == (0.0,) * 4
        assert not set(item.documents[1:]) & set(record.positives)


def test_lists_depend_on_seed_epoch_and_query_alone(dataset: Dataset) -> None:
    forward = [for_distillation(dataset, query, size=8, seed=3, epoch=1) for query in range(20)]
    backward = [for_distillation(dataset, query, size=8, seed=3, epoch=1) for query in reversed(range(20))]
    assert forward == backward[::-1]
    assert forward != [for_distillation(dataset, query, size=8, seed=3, epoch=2) for query in range(20)]
    assert forward != [for_distillation(dataset, query, size=8, seed=4, epoch=1) for query in range(20)]


def test_random_negatives_are_spread_evenly(dataset: Dataset) -> None:
    drawn = [
        document
        for epoch in range(200)
        for document in for_distillation(dataset, 0, size=8, seed=0, epoch=epoch).documents[2:]
    ]
    counts = np.bincount(drawn, minlength=60)
    record = dataset[0]
    allowed = [document for document in range(60) if document not in (*record.positives, *record.negatives)]
    assert counts.sum() == counts[allowed].sum() == 1200
    assert counts[allowed].min() > 5  # 1200 draws over 57 documents: mean 21, standard deviation about 4.3


def test_a_list_is_shorter_where_documents_run_out(dataset: Dataset) -> None:
    item = for_distillation(dataset, 0, size=500, seed=0, epoch=0)
    assert len(item.documents) == 59  # all but the other positive
    assert sorted(random_documents(5, {1, 3}, 9, generator(0))) == [0, 2, 4]


def test_validation_lists_hold_every_positive(dataset: Dataset) -> None:
    item = for_validation(dataset, 4, size=10, seed=0)
    assert item.positives == 2
    assert set(item.documents[:2]) == set(dataset[4].positives)
    assert len(item.documents) == 10
    assert item == for_validation(dataset, 4, size=10, seed=0)
