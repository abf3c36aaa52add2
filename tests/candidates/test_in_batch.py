"""All documents of a batch as negatives of its queries: matrices built by an independent loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bistill.app import assembling
from bistill.candidates.filtering import Verdict
from bistill.candidates.in_batch import DocumentsBeside, InBatchNegatives
from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import Counts, ScoredPools
from bistill.candidates.shared_negatives import SharedNegatives
from bistill.data.store import texts
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.opening import load_split
from bistill.data.store.texts import Column, Texts
from bistill.models.bi_encoder import BiEncoder
from bistill.training.loop.updates import Updates
from tests import assembled
from tests.assembled import list_task
from tests.candidates.conftest import Small, import_scores
from tests.candidates.small_lists import built, distilling, folded, is_relevant, losses_of, own_lists, relevances
from tests.losses.contract import distillation


def test_the_loss_is_that_of_matrices_built_pair_by_pair(small: Small, tiny_encoder: Path, tiny_teacher: Path) -> None:
    every = relevances(small, tiny_teacher)
    limit = float(np.quantile(list(every.values()), 0.8))
    made = distilling(small, tiny_teacher, tiny_encoder, max_negative_score=limit, seed=1)
    pools = built(small, made)
    candidates = {pool.query_id: pool.candidates.documents.tolist() for pool in pools}
    student = BiEncoder.load(str(tiny_encoder), max_len=32)
    task = list_task(made, student, Collection(small.dataset, small.corpus), pools)
    assert task.fingerprints() == {"pools": pools.fingerprint()}
    removed = relevant = unknown = twice = 0
    for (epoch, lists), (_, rows) in zip(own_lists(pools, made), Updates(task.order, task.samples, made), strict=True):
        documents = sorted({document for item in lists for document in item.documents})
        shape = (len(lists), len(documents))
        teacher, positive, mask = torch.zeros(shape), torch.zeros(shape, dtype=torch.bool), torch.zeros(shape) > 0
        for row, item in enumerate(lists):
            record, own = small.dataset[item.query_id], candidates[item.query_id]
            seen = {folded(small.corpus[document]) for document in item.documents}
            for column, document in enumerate(documents):
                value = every[item.query_id, document]
                if document not in item.documents:
                    text = folded(small.corpus[document])
                    if text in seen and not is_relevant(small, item.query_id, document):
                        twice += 1
                        continue
                    seen.add(text)
                    if is_relevant(small, item.query_id, document):
                        relevant += 1
                        continue
                    if document not in own:
                        unknown += 1
                        value = min(every[item.query_id, number] for number in own)
                    elif value > limit and document not in record.negatives:
                        removed += 1
                        continue
                teacher[row, column], mask[row, column] = value, True
                positive[row, column] = bool(document == item.documents[0])
        queries = student.encode_queries([small.dataset.queries[item.query_id] for item in lists])
        vectors = student.encode_documents(small.corpus.take(documents))
        scores = torch.tensor((queries @ vectors.T + 1) / 2)
        expected = distillation(teacher, scores, positive, mask)
        student.model.eval()
        found = losses_of(task, rows, epoch)
        for name, value in expected.items():
            torch.testing.assert_close(found[name].detach(), value, atol=2e-5, rtol=2e-5)
    assert min(removed, relevant, unknown, twice) > 0


def test_imported_scores_that_are_missing_leave_finite_losses(small: Small, tiny_encoder: Path) -> None:
    scores = {
        (record.query, text): 1.0 - number / 8
        for record in small.dataset
        for number, text in enumerate(small.corpus.take([*record.positives, *record.negatives, 0]))
    }
    name = import_scores("some", scores)
    made = distilling(small, name, tiny_encoder, miners=("labelled",), K=2)
    pools = built(small, made)
    task = list_task(made, BiEncoder.load(str(tiny_encoder)), Collection(small.dataset, small.corpus), pools)
    for epoch, rows in Updates(task.order, task.samples, made):
        assert any(len(item.documents) > 2 for item in task.lists(rows, epoch))
        assert all(torch.isfinite(value) for value in losses_of(task, rows, epoch).values())


def test_beside_a_list_stand_no_copies_and_not_the_query(
    tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    """Twin questions, both ways, and a positive in two spellings."""
    rows = [["query", "positive"], ["read a file", "open a file"], ["open a file", "Read a  file"]]
    rows += [["red", "map"], ["blue", "MAP"], ["green", "tree"]]
    dataset = load_split(write_csv(tmp_path / "twins.csv", rows))
    corpus = Corpus(dataset.documents)
    assert list(corpus) == ["open a file", "Read a  file", "map", "MAP", "tree"]
    lists = [CandidateList.unscored(row, (row,), {}) for row in range(5)]
    beside = DocumentsBeside(Collection(dataset, corpus), ScoredPools(lists, Counts()))
    assert [documents.tolist() for documents in beside.of(lists)] == [[2, 4], [2, 4], [0, 1, 4], [0, 1, 4], [0, 1, 2]]
    some = [lists[row] for row in (4, 3, 1)]  # of a text the spelling that the batch holds
    assert [documents.tolist() for documents in beside.of(some)] == [[1, 3], [1, 4], [3, 4]]


@pytest.mark.parametrize("changes", [{}, {"own_documents": 2}])
def test_a_batch_reads_no_text_and_no_label(
    small: Small, tiny_encoder: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    made = distilling(small, tiny_teacher, tiny_encoder, **changes)
    pools = built(small, made)
    shared = None
    if changes:
        lists, limits = assembling.lists(made), assembling.limits(made)
        with assembled.opened(made.teacher_path, made, "fp32") as teachers:
            shared = SharedNegatives(
                small.collection, pools, lists, limits, own_lists(pools, made), teachers, seed=made.seed
            )
    task = list_task(made, BiEncoder.load(str(tiny_encoder)), small.collection, pools, shared)
    read: list[object] = []
    monkeypatch.setattr(Column, "value", lambda _, row: read.append(row))
    monkeypatch.setattr(Texts, "keys", property(read.append))
    monkeypatch.setattr(texts, "text_key", read.append)
    for epoch, rows in Updates(task.order, task.samples, made):
        batch = task.batch(rows, epoch)
        assert len(batch.lengths) > 2 * len(rows)
    assert read == []
    with pytest.raises(AssertionError):
        small.dataset[0]  # what was counted is what reading takes
    assert len(read) == 4


def test_a_candidate_that_was_removed_does_not_come_back_in_another_spelling(
    tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [["query", "positive"], ["red", "map"], ["blue", "Tree"], ["green", "tree"], ["key", "graph"]]
    dataset = load_split(write_csv(tmp_path / "spellings.csv", rows))
    corpus = Corpus(dataset.documents)
    scores = np.array([5.0, -3.0], dtype=np.float32)
    pools = ScoredPools(
        [
            # Of the first query "Tree" was removed and "graph" kept; the batch brings "tree".
            CandidateList.scored(
                query, np.array([query]), scores[:1], np.array([1, 3]), scores, np.zeros(2, np.uint8), verdicts
            )
            for query, verdicts in enumerate(
                np.array([[Verdict.RATIO, Verdict.KEPT], [0, 0], [0, 0], [0, 0]], np.uint8)
            )
        ],
        Counts(),
    )
    lists = [pools[row].relevant for row in (0, 2, 3)]
    found = InBatchNegatives(Collection(dataset, corpus), pools).extended(lists, np.array([0, 2, 3]))
    assert found[0].documents.tolist() == [0, 3] and found[0].logits.tolist() == [5.0, -3.0]
    assert found[2].documents.tolist() == [3, 0, 2] and found[2].logits.tolist() == [
        5.0,
        -3.0,
        5.0,
    ]  # as "Tree" was scored
