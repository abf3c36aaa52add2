from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bistill.candidates.lists import for_validation, negatives_of, random_documents
from bistill.data.sampling import generator
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import load_split


@pytest.fixture
def dataset(tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]) -> Dataset:
    """20 queries with two positives and one labelled negative each: 60 documents."""
    rows = [["query", "passage", "label"]]
    for number in range(20):
        rows += [[f"q{number}", f"first {number}", "1"], [f"q{number}", f"second {number}", "0.8"]]
        rows += [[f"q{number}", f"wrong {number}", "0.2"]]
    return load_split(write_csv(tmp_path / "train.csv", rows))


def negatives(dataset: Dataset, query_id: int, count: int, seed: int, epoch: int) -> tuple[int, ...]:
    return negatives_of(dataset[query_id], dataset.documents, count=count, seed=seed, epoch=epoch)[0]


def test_labelled_then_random_negatives(dataset: Dataset) -> None:
    for query_id in range(20):
        record = dataset[query_id]
        documents, labels = negatives_of(record, dataset.documents, count=5, seed=1, epoch=0)
        assert len(set(documents)) == 5
        assert documents[0] == record.negatives[0]
        assert labels == (pytest.approx(0.2), 0.0, 0.0, 0.0, 0.0)
        assert not set(documents) & set(record.positives)


def test_negatives_depend_on_seed_epoch_and_query_alone(dataset: Dataset) -> None:
    forward = [negatives(dataset, query, 7, 3, 1) for query in range(20)]
    backward = [negatives(dataset, query, 7, 3, 1) for query in reversed(range(20))]
    assert forward == backward[::-1]
    assert forward != [negatives(dataset, query, 7, 3, 2) for query in range(20)]
    assert forward != [negatives(dataset, query, 7, 4, 1) for query in range(20)]


def test_random_negatives_are_spread_evenly(dataset: Dataset) -> None:
    drawn = [document for epoch in range(200) for document in negatives(dataset, 0, 7, 0, epoch)[1:]]
    counts = np.bincount(drawn, minlength=60)
    record = dataset[0]
    allowed = [document for document in range(60) if document not in (*record.positives, *record.negatives)]
    assert counts.sum() == counts[allowed].sum() == 1200
    assert counts[allowed].min() > 5  # 1200 draws over 57 documents: mean 21, standard deviation about 4.3


def test_there_are_fewer_where_documents_run_out(dataset: Dataset) -> None:
    assert len(set(negatives(dataset, 0, 500, 0, 0))) == 58  # all but the two positives
    assert sorted(random_documents(5, {1, 3}, 9, generator(0))) == [0, 2, 4]


def test_validation_lists_hold_every_positive(dataset: Dataset) -> None:
    item = for_validation(dataset, 4, size=10, seed=0)
    assert (item.positives, item.labelled) == (2, len(dataset[4].negatives))
    assert set(item.documents[2 : 2 + item.labelled]) == set(dataset[4].negatives)
    assert set(item.documents[:2]) == set(dataset[4].positives)
    assert len(item.documents) == 10
    assert item == for_validation(dataset, 4, size=10, seed=0)
    assert for_validation(dataset, 4, size=1, seed=0).documents[2:] == dataset[4].negatives


def test_no_negative_is_the_text_of_a_positive_of_the_query_or_of_another_negative(
    tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [["query", "positive", "negative"], ["what is red", "Red is a colour", "red is a  COLOUR"]]
    rows.append(["what is red", "Red is a colour", "blue is one"])
    dataset = load_split(write_csv(tmp_path / "copies.csv", rows))
    corpus = [*dataset.documents, "ＲED is a colour", "Blue is one", "What is\u200b red", "green is one", "pink is one"]
    record = dataset[0]
    corpus.append("GREEN is one")
    seen = set()
    for epoch in range(20):
        documents = negatives_of(record, corpus, count=3, seed=0, epoch=epoch)[0]
        assert documents[0] == 2 and sorted(documents) in ([2, 6, 7], [2, 7, 8])
        assert set(negatives_of(record, corpus, count=9, seed=0, epoch=epoch)[0]) in ({2, 6, 7}, {2, 7, 8})
        seen |= {*documents}
    assert seen == {2, 6, 7, 8}  # either spelling of a text
