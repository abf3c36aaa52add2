"""Validation figures against plain loops with sklearn."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bistill.data.dataset import Dataset
from bistill.data.store import load_split
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.training.validation import ValidationLists, student_figures, teacher_figures


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
    figures = teacher_figures(encoder, lists)
    assert figures["rerank_ndcg_at_10"] == pytest.approx(np.mean(values), abs=1e-6)
    assert figures["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)


def test_student_figures_rank_the_documents_of_all_lists(dataset: Dataset, tiny_encoder: Path) -> None:
    encoder = BiEncoder.load(str(tiny_encoder))
    lists = ValidationLists.of(dataset, count=5, seed=3)
    pool = sorted({document for item in lists.lists for document in item.documents})
    documents = encoder.encode_documents([dataset.documents[document] for document in pool])
    values, labels, scores = [], [], []
    for item in lists.lists:
        cosines = documents @ encoder.encode_queries([dataset.queries[item.query_id]])[0]
        values.append(ndcg_at_10(cosines, pool.index(item.documents[0])))
        labels += [1] + [0] * (len(item.documents) - 1)
        scores += [cosines[pool.index(document)] for document in item.documents]
    figures = student_figures(encoder, lists)
    assert figures["ndcg_at_10"] == pytest.approx(np.mean(values), abs=1e-6)
    assert figures["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
