"""Validation figures against plain loops with sklearn."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bistill.candidates.lists import CandidateList
from bistill.candidates.mining.registry import LABELLED_BIT, RANDOM_BIT
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import load_split
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.training.validation import Measured, ValidationLists, measure_student, measure_teacher, separated


@pytest.fixture
def dataset(data_root: Path) -> Dataset:
    return load_split(data_root / "tiny" / "train.csv")


def ndcg_at_10(scores: np.ndarray, relevant: int) -> float:
    """One relevant document: 1 / log2(rank + 1) within the first ten."""
    rank = 1 + int((scores > scores[relevant]).sum())
    return 1 / math.log2(rank + 1) if rank <= 10 else 0.0


def test_teacher_figures_rerank_each_list(dataset: Dataset, tiny_teacher: Path) -> None:
    encoder = CrossEncoder.load(str(tiny_teacher))
    lists = ValidationLists.of(dataset, count=7, seed=0)
    assert len(lists.lists) == 7
    values, labels, scores = [], [], []
    for item in lists.lists:
        pairs = [(dataset.queries[item.query_id], dataset.documents[document]) for document in item.documents]
        own = encoder.score(pairs)
        values.append(ndcg_at_10(own, 0))
        labels += [1] + [0] * (len(own) - 1)
        scores += own.tolist()
    measured = measure_teacher(encoder, lists)
    figures = measured.figures
    assert figures["rerank_ndcg_at_10"] == pytest.approx(np.mean(values), abs=1e-6)
    assert figures["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
    relevance = 1 / (1 + np.exp(-np.array(scores, dtype=np.float64)))
    assert_separated(measured, relevance, np.array(labels), lists)


@pytest.mark.parametrize("further", [(), (0, 3, 5)])
def test_student_figures_rank_the_documents_of_all_lists_and_further_ones(
    dataset: Dataset, tiny_encoder: Path, further: tuple[int, ...]
) -> None:
    encoder = BiEncoder.load(str(tiny_encoder))
    corpus = Corpus(
        dataset.documents, ["close the socket", "read json", "one more", "never ranked", "copy a list", "x"]
    )
    others = [len(dataset.documents) + place for place in further]
    hard = [CandidateList.unscored(0, (), dict.fromkeys(others, RANDOM_BIT))]
    lists = ValidationLists.of(dataset, count=5, seed=3).among(corpus, hard)
    pool = sorted({document for item in lists.lists for document in item.documents} | set(others))
    documents = encoder.encode_documents(corpus.take(pool))
    values, labels, scores = [], [], []
    for item in lists.lists:
        cosines = documents @ encoder.encode_queries([dataset.queries[item.query_id]])[0]
        values.append(ndcg_at_10(cosines, pool.index(item.documents[0])))
        labels += [1] + [0] * (len(item.documents) - 1)
        scores += [cosines[pool.index(document)] for document in item.documents]
    measured = measure_student(encoder, lists)
    figures = measured.figures
    assert figures["ndcg_at_10"] == pytest.approx(np.mean(values), abs=1e-6)
    assert figures["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
    assert_separated(measured, (np.array(scores, dtype=np.float64) + 1) / 2, np.array(labels), lists)


def assert_separated(measured: Measured, scores: np.ndarray, labels: np.ndarray, lists: ValidationLists) -> None:
    """Margin and histograms against numpy; each query of the data has one positive and one labelled negative."""
    places = np.concatenate([np.arange(len(item.documents)) for item in lists.lists])
    assert measured.figures["margin"] == pytest.approx(
        scores[labels == 1].mean() - scores[labels == 0].mean(), abs=1e-6
    )
    kinds = {"positive": places == 0, "labelled_negative": places == 1, "random_negative": places > 1}
    assert measured.histograms == {
        kind: np.histogram(scores[chosen], bins=20, range=(0, 1))[0].tolist() for kind, chosen in kinds.items()
    }
    assert list(measured.figures)[-1] == "margin" and sum(measured.histograms["positive"]) == len(lists.lists)


def test_separated_by_hand() -> None:
    lists = ValidationLists(
        ["a", "b"],
        ["zero", "one", "two", "three"],
        [
            CandidateList.unscored(0, (0,), {1: LABELLED_BIT, 2: RANDOM_BIT}, (1.0, 0.0, 0.0)),
            CandidateList.unscored(1, (1, 3), {2: RANDOM_BIT}, (1.0, 0.5, 0.0)),
        ],
    )
    measured = separated(lists, {"auc": 0.5}, [np.array([0.92, 0.41, 0.01]), np.array([1.0, 0.72, 0.03])])
    # positives 0.92, 1.0 and 0.72: mean 0.88; negatives 0.41, 0.01 and 0.03: mean 0.15
    assert measured.figures == {"auc": 0.5, "margin": pytest.approx(0.73)}
    assert measured.histograms == {
        "positive": [0] * 14 + [1, 0, 0, 0, 1, 1],
        "labelled_negative": [0] * 8 + [1] + [0] * 11,
        "random_negative": [2] + [0] * 19,
    }


def test_a_kind_without_pairs_is_missing_and_a_side_without_pairs_has_no_margin() -> None:
    lists = ValidationLists(["a"], ["zero"], [CandidateList.unscored(0, (0,), {}, (1.0,))])
    measured = separated(lists, {}, [np.array([0.5])])
    assert math.isnan(measured.figures["margin"])
    assert measured.histograms == {"positive": [0] * 10 + [1] + [0] * 9}


def test_scores_that_are_no_numbers_are_in_no_part() -> None:
    lists = ValidationLists(["a"], ["b", "c"], [CandidateList.unscored(0, (0,), {1: LABELLED_BIT}, (1.0, 0.0))])
    measured = separated(lists, {}, [np.array([math.nan, 0.0])])
    assert math.isnan(measured.figures["margin"])
    assert measured.histograms == {"positive": [0] * 20, "labelled_negative": [1] + [0] * 19}


def test_a_student_ranks_each_text_once_and_no_query_among_its_own_documents(tiny_encoder: Path) -> None:
    """Copies of a positive, of a negative and the query among the documents of other lists change no figure."""
    encoder = BiEncoder.load(str(tiny_encoder))
    queries = ["how to read a file", "sort the list", "red tree"]
    documents = ["open the file", "list in order", "tree of red", "blue map", "key error"]
    lists = [
        CandidateList.unscored(0, (0,), {3: LABELLED_BIT}, (1.0, 0.0)),
        CandidateList.unscored(1, (1,), {4: RANDOM_BIT}, (0.5, 0.0)),
        CandidateList.unscored(2, (2,), {0: RANDOM_BIT}, (1.0, 0.0)),
    ]
    plain = measure_student(encoder, ValidationLists(queries, documents, lists))
    more = [*documents, "Sort the LIST ", "OPEN the file", "ＬＩＳＴ in order", "blue\u200b map", "Red Tree"]
    given = ValidationLists(queries, more, lists, frozenset(range(5, 10)))
    assert given.pool.documents.tolist() == [0, 1, 2, 3, 4, 5, 9]
    assert given.pool.own.tolist() == [-1, 5, 6]
    asked = [ValidationLists(queries, more, [item], frozenset(range(10)) - {5, 9}) for item in lists]
    own_left_out = [measure_student(encoder, item).figures["ndcg_at_10"] for item in asked]
    by_query = measure_student(encoder, given).by_query
    assert by_query is not None and plain.by_query is not None
    # Queries 1 and 2 rank what the others rank but for the other's text; query 0 sees both.
    cosines = encoder.encode_queries(queries) @ encoder.encode_documents([more[n] for n in given.pool.documents]).T
    for row, item in enumerate(lists):
        ranked = [place for place in np.argsort(-cosines[row]) if place != given.pool.own[row]]
        rank = 1 + ranked.index(item.documents[0])
        assert by_query[row] == pytest.approx(1 / math.log2(rank + 1))
    assert own_left_out == pytest.approx(plain.by_query.tolist())


def test_a_query_that_is_its_own_positive_is_ranked(tiny_encoder: Path) -> None:
    lists = [CandidateList.unscored(0, (1,), {2: RANDOM_BIT}, (1.0, 0.0))]
    given = ValidationLists(["red tree"], ["RED tree", "red  tree", "map"], lists, frozenset([0]))
    assert (given.pool.documents.tolist(), given.pool.own.tolist()) == ([0, 2], [-1])
    assert measure_student(BiEncoder.load(str(tiny_encoder)), given).figures["ndcg_at_10"] == 1
