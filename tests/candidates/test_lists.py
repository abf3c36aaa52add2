from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bistill.candidates.lists import CandidateList, for_validation, negatives_of, random_documents
from bistill.candidates.mining.registry import LABELLED_BIT, LEXICAL_BIT, RANDOM_BIT
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
    assert item.positives == 2
    assert set(item.documents[item.labelled]) == set(dataset[4].negatives)
    assert set(item.documents[:2]) == set(dataset[4].positives)
    assert len(item.documents) == 10
    assert item.documents.tolist() == for_validation(dataset, 4, size=10, seed=0).documents.tolist()
    assert item.labels.tolist() == [*dataset[4].positive_labels, *dataset[4].negative_labels, *[0.0] * 7]
    assert for_validation(dataset, 4, size=1, seed=0).documents[2:].tolist() == [*dataset[4].negatives]


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


def test_a_list_fills_on_its_way_and_parts_keep_what_is_known_of_each_document() -> None:
    mined = CandidateList.unscored(
        7, (5, 9), {4: LABELLED_BIT, 8: LEXICAL_BIT, 2: RANDOM_BIT, 6: LEXICAL_BIT + RANDOM_BIT}
    )
    assert mined.documents.tolist() == [5, 9, 4, 8, 2, 6] and mined.sources.tolist() == [0, 0, 1, 4, 2, 6]
    assert np.isnan(mined.logits).all() and np.isnan(mined.labels).all() and not mined.verdicts.any()
    assert mined.labelled.tolist() == [False, False, True, False, False, False]
    assert mined.mined.tolist() == [False, False, False, True, False, True]
    assert mined.kept.tolist() == []  # nothing is known of them
    logits = np.array([3, 1, -1, 2, np.nan, 0], dtype=np.float32)
    scored = replace(mined, logits=logits, verdicts=np.array([0, 0, 0, 1, 0, 0], dtype=np.uint8))
    assert scored.kept.tolist() == [2, 5]  # neither what a limit removed nor what nobody scored
    np.testing.assert_allclose(scored.relevance[:3], 1 / (1 + np.exp([-3.0, -1.0, 1.0])), rtol=1e-6)
    whole, one = scored.whole(), scored.part(np.array([1, 5, 2]))
    assert (whole.documents.tolist(), whole.positives, whole.query_id) == ([5, 9, 4, 6], 2, 7)
    assert (one.documents.tolist(), one.positives, one.sources.tolist()) == ([9, 6, 4], 1, [0, 6, 1])
    assert one.logits.tolist() == [1, 0, -1] and one.verdicts.tolist() == [0, 0, 0]
    assert (scored.relevant.documents.tolist(), scored.relevant.positives) == ([5, 9], 2)
    assert (scored.candidates.documents.tolist(), scored.candidates.positives) == ([4, 8, 2, 6], 0)


def test_a_longer_list_has_further_candidates_behind_its_own() -> None:
    item = CandidateList.unscored(0, (5,), {4: LABELLED_BIT}, labels=(1.0, 0.25))
    drawn = item.longer(np.array([3, 1]), source=RANDOM_BIT)
    assert (drawn.documents.tolist(), drawn.sources.tolist(), drawn.positives) == ([5, 4, 3, 1], [0, 1, 2, 2], 1)
    assert np.array_equal(drawn.labels, [1.0, 0.25, np.nan, np.nan], equal_nan=True) and np.isnan(drawn.logits).all()
    beside = item.longer(np.array([8]), np.array([0.5], dtype=np.float32))
    assert beside.logits[2:].tolist() == [0.5] and beside.sources.tolist() == [0, 1, 0]
    kinds = {name: getattr(drawn, name).dtype for name in ("documents", "sources", "verdicts", "logits", "labels")}
    assert kinds == {name: getattr(item, name).dtype for name in kinds}
