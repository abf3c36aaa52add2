"""The documents of a batch as negatives of all its queries: matrices built by an independent loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bistill import losses
from bistill.candidates.building import build
from bistill.candidates.in_batch import InBatchNegatives
from bistill.candidates.pools import ScoredPools
from bistill.candidates.teacher_scores.teachers import Teachers
from bistill.config import DistillationOptions
from bistill.data.sampling import permutation
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.training.distillation import ListTask
from bistill.training.engine import batches
from tests.candidates.conftest import Small, import_scores

COUNTED = ("K", "epochs", "data_root", "data_version", "student_name", "max_len", "score_batch_size")


def distilling(small: Small, teacher: Path | str, student: Path, **changes: object) -> DistillationOptions:
    shared = small.options(teacher, student)
    settings = {name: getattr(shared, name) for name in COUNTED}
    settings |= {"batch_size": 4, "in_batch": True, "max_negative_ratio": None, **changes}
    return DistillationOptions(teacher_path=str(teacher), output_dir="none", **settings)


def losses_of(task: ListTask, rows: np.ndarray, epoch: int) -> dict[str, torch.Tensor]:
    batch = task.batch(rows, epoch)
    return batch.terms(batch.forward(batch.places), batch.places)


def prepared(small: Small, made: DistillationOptions) -> tuple[ScoredPools, InBatchNegatives]:
    with Teachers.open(made.teacher_path, made, "fp32") as teachers:
        pools = build(made, small.dataset, small.corpus, np.arange(10), teachers)
        planned = (
            [pools.training_list(int(row), made, seed=made.seed, epoch=epoch) for row in rows]
            for epoch, rows in batches(lambda seed, epoch: permutation(seed, epoch, 10), made)
        )
        return pools, InBatchNegatives(small.dataset, small.corpus, pools, made, planned, teachers)


def folded(text: str) -> str:
    return " ".join(text.lower().split())


@pytest.mark.parametrize("unscored", ["score", "ignore", "floor"])
def test_the_loss_is_that_of_matrices_built_pair_by_pair(
    small: Small, tiny_encoder: Path, tiny_teacher: Path, unscored: str
) -> None:
    cross = CrossEncoder.load(str(tiny_teacher))
    pairs = [(query, number) for query in small.dataset.queries for number in range(len(small.corpus))]
    logits = cross.score([(query, small.corpus[number]) for query, number in pairs])
    every = dict(zip(pairs, (1 / (1 + np.exp(-logits.astype(float)))).tolist(), strict=True))
    limit = float(np.quantile(list(every.values()), 0.8))
    made = distilling(small, tiny_teacher, tiny_encoder, in_batch_unscored=unscored, max_negative_score=limit)
    pools, in_batch = prepared(small, made)
    student = BiEncoder.load(str(tiny_encoder), max_len=32)
    task = ListTask(student, small.dataset, small.corpus, pools, made, in_batch)
    masked = unknown = 0
    for epoch, rows in batches(task.order, made):
        lists = task.lists(rows, epoch)
        documents = sorted({document for item in lists for document in item.documents})
        shape = (len(lists), len(documents))
        teacher, positive, mask = torch.zeros(shape), torch.zeros(shape, dtype=torch.bool), torch.zeros(shape) > 0
        for row, item in enumerate(lists):
            record, pool = small.dataset[item.query_id], pools[item.query_id]
            own = pool.documents.tolist()
            same = {folded(small.corpus[number]) for number in record.positives}
            for column, document in enumerate(documents):
                value = every[record.query, document]
                if document not in item.documents:
                    known = document in own or document in record.positives or unscored == "score"
                    unknown += not known
                    if not known and unscored == "ignore":
                        continue
                    if not known:
                        value = min(every[record.query, number] for number in own)
                    too_high = value > limit and document not in record.negatives
                    if too_high or document in record.positives or folded(small.corpus[document]) in same:
                        masked += 1
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
    assert masked > 0 and (unknown > 0) is (unscored != "score")


def test_pairs_are_scored_once_and_counted(small: Small, tiny_encoder: Path, tiny_teacher: Path) -> None:
    made = distilling(small, tiny_teacher, tiny_encoder, in_batch_unscored="ignore")
    pools, ignoring = prepared(small, made)
    beside = {
        (item.query_id, document)
        for epoch, rows in batches(lambda seed, epoch: permutation(seed, epoch, 10), made)
        for lists in [[pools.training_list(int(row), made, seed=made.seed, epoch=epoch) for row in rows]]
        for item in lists
        for document in {document for other in lists for document in other.documents} - set(item.documents)
    }
    known = {
        (query, int(number)) for query in range(10) for number in (*pools[query].documents, *pools[query].positives)
    }
    assert (ignoring.scored, ignoring.unscored) == (0, len(beside - known))
    made = distilling(small, tiny_teacher, tiny_encoder, in_batch_unscored="score")
    _, scoring = prepared(small, made)
    assert (scoring.scored, scoring.unscored) == (len(beside - known), 0)
    _, again = prepared(small, made)
    assert (again.scored, again.unscored) == (0, 0)


def test_imported_scores_that_are_missing_stay_missing(small: Small, tiny_encoder: Path) -> None:
    scores = {
        (record.query, text): 1.0 - number / 8
        for record in small.dataset
        for number, text in enumerate(small.corpus.take([*record.positives, *record.negatives, 0]))
    }
    name = import_scores("some", scores)
    made = distilling(small, name, tiny_encoder, in_batch_unscored="score", miners=("labelled",), K=2)
    with Teachers.open(name, made, "fp32") as teachers:
        pools = build(made, small.dataset, small.corpus, np.arange(10), teachers)
        task = ListTask(BiEncoder.load(str(tiny_encoder)), small.dataset, small.corpus, pools, made)
        rows = np.arange(len(pools))
        in_batch = InBatchNegatives(small.dataset, small.corpus, pools, made, [task.lists(rows, 0)], teachers)
    assert in_batch.scored == 0 and in_batch.unscored > 0
    task = ListTask(BiEncoder.load(str(tiny_encoder)), small.dataset, small.corpus, pools, made, in_batch)
    assert all(torch.isfinite(value) for value in losses_of(task, rows, 0).values())


def test_a_run_that_goes_on_keeps_the_scores_it_began_with(
    small: Small, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    made = distilling(small, tiny_teacher, tiny_encoder, in_batch_unscored="ignore")
    kept = small.root / "in_batch_scores.npy"
    with Teachers.open(made.teacher_path, made, "fp32") as teachers:
        pools = build(made, small.dataset, small.corpus, np.arange(10), teachers)

        def in_batch() -> InBatchNegatives:
            planned = (
                [pools.training_list(int(row), made, seed=made.seed, epoch=epoch) for row in rows]
                for epoch, rows in batches(lambda seed, epoch: permutation(seed, epoch, 10), made)
            )
            return InBatchNegatives(small.dataset, small.corpus, pools, made, planned, teachers, kept)

        first = in_batch()
        everything = np.stack(np.meshgrid(np.arange(10), np.arange(len(small.corpus))), axis=-1).reshape(-1, 2)
        teachers.logits(small.dataset.queries, small.corpus, everything, "")  # another run scores what was unknown
        assert first.unscored > 0
        assert in_batch().fingerprint() == first.fingerprint()
        kept.unlink()
        assert in_batch().unscored == 0
