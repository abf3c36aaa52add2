"""All documents of a batch as negatives of its queries: matrices built by an independent loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from bistill import losses
from bistill.encoders.bi_encoder import BiEncoder
from bistill.training.list_task import ListTask
from bistill.training.updates import Updates
from tests.candidates.conftest import Small, import_scores
from tests.candidates.small_lists import built, distilling, folded, is_relevant, losses_of, own_lists, relevances


def test_the_loss_is_that_of_matrices_built_pair_by_pair(small: Small, tiny_encoder: Path, tiny_teacher: Path) -> None:
    every = relevances(small, tiny_teacher)
    limit = float(np.quantile(list(every.values()), 0.8))
    made = distilling(small, tiny_teacher, tiny_encoder, max_negative_score=limit, seed=1)
    pools = built(small, made)
    candidates = {pool.query_id: pool.documents.tolist() for pool in pools}
    student = BiEncoder.load(str(tiny_encoder), max_len=32)
    task = ListTask(student, small.dataset, small.corpus, pools, made)
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
                positive[row, column] = document == item.documents[0]
        queries = student.encode_queries([small.dataset.queries[item.query_id] for item in lists])
        vectors = student.encode_documents(small.corpus.take(documents))
        scores = torch.tensor((queries @ vectors.T + 1) / 2)
        expected = losses.distillation(
            teacher, scores, positive, mask, tau=0.2, contrastive_weight=0.3, negative_penalty_weight=0.4
        )
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
    task = ListTask(BiEncoder.load(str(tiny_encoder)), small.dataset, small.corpus, pools, made)
    for epoch, rows in Updates(task.order, task.samples, made):
        assert any(len(item.documents) > 2 for item in task.lists(rows, epoch))
        assert all(torch.isfinite(value) for value in losses_of(task, rows, epoch).values())
