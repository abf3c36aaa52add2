"""Documents of a batch as negatives of its other queries: lists and matrices built by an independent loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from bistill import losses
from bistill.candidates.building import build
from bistill.candidates.in_batch import InBatchNegatives
from bistill.candidates.pools import Counts, QueryPool, ScoredPools, TrainingList
from bistill.candidates.teacher_scores.teachers import Teachers
from bistill.config import DistillationOptions
from bistill.data.sampling import generator, permutation
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.training.engine import batches
from bistill.training.list_task import ListTask
from tests.candidates.conftest import Small, import_scores

COUNTED = ("K", "epochs", "data_root", "data_version", "student_name", "max_len", "score_batch_size")
SHARED = {"in_batch": "never", "K": 6, "own_documents": 2, "batch_size": 5}


def distilling(small: Small, teacher: Path | str, student: Path, **changes: object) -> DistillationOptions:
    shared = small.options(teacher, student)
    settings = {name: getattr(shared, name) for name in COUNTED}
    settings |= {"tau": 0.2, "contrastive_weight": 0.3, "negative_penalty_weight": 0.4, "info_nce_weight": 0.0}
    settings |= {"batch_size": 4, "in_batch": "ignore", "max_negative_ratio": None, **changes}
    return DistillationOptions(teacher_path=str(teacher), output_dir="none", **settings)


def losses_of(task: ListTask, rows: np.ndarray, epoch: int) -> dict[str, torch.Tensor]:
    batch = task.batch(rows, epoch)
    return batch.terms(batch.forward(batch.places), batch.places)


def own_lists(pools: ScoredPools, made: DistillationOptions) -> Iterator[tuple[int, list[TrainingList]]]:
    """Epoch and own lists of each batch."""
    for epoch, rows in batches(lambda seed, epoch: permutation(seed, epoch, len(pools)), made):
        yield epoch, [pools.training_list(int(row), made, seed=made.seed, epoch=epoch) for row in rows]


def prepared(small: Small, made: DistillationOptions, kept: Path | None = None) -> tuple[ScoredPools, InBatchNegatives]:
    with Teachers.open(made.teacher_path, made, "fp32") as teachers:
        pools = build(made, small.dataset, small.corpus, np.arange(10), teachers)
        planned = own_lists(pools, made)
        return pools, InBatchNegatives(small.dataset, small.corpus, pools, made, planned, teachers, kept)


def folded(text: str) -> str:
    return " ".join(text.lower().split())


def relevances(small: Small, teacher: Path) -> dict[tuple[int, int], float]:
    """The teacher's relevance of every pair, without cache."""
    pairs = [(query, number) for query in range(10) for number in range(len(small.corpus))]
    texts = [(small.dataset.queries[query], small.corpus[number]) for query, number in pairs]
    logits = CrossEncoder.load(str(teacher)).score(texts)
    return dict(zip(pairs, (1 / (1 + np.exp(-logits.astype(float)))).tolist(), strict=True))


def is_relevant(small: Small, query: int, document: int) -> bool:
    """By label, or by a text that nobody called irrelevant."""
    record = small.dataset[query]
    equal = folded(small.corpus[document]) in {folded(small.corpus[number]) for number in record.positives}
    return document in record.positives or (equal and document not in record.negatives)


@pytest.mark.parametrize("unscored", ["score", "ignore", "floor"])
def test_the_loss_is_that_of_matrices_built_pair_by_pair(
    small: Small, tiny_encoder: Path, tiny_teacher: Path, unscored: str
) -> None:
    every = relevances(small, tiny_teacher)
    limit = float(np.quantile(list(every.values()), 0.8))
    made = distilling(small, tiny_teacher, tiny_encoder, in_batch=unscored, max_negative_score=limit)
    pools, in_batch = prepared(small, made)
    student = BiEncoder.load(str(tiny_encoder), max_len=32)
    task = ListTask(student, small.dataset, small.corpus, pools, made, in_batch)
    masked = unknown = 0
    for (epoch, lists), (_, rows) in zip(own_lists(pools, made), batches(task.order, made), strict=True):
        documents = sorted({document for item in lists for document in item.documents})
        shape = (len(lists), len(documents))
        teacher, positive, mask = torch.zeros(shape), torch.zeros(shape, dtype=torch.bool), torch.zeros(shape) > 0
        for row, item in enumerate(lists):
            record, own = small.dataset[item.query_id], pools[item.query_id].documents.tolist()
            for column, document in enumerate(documents):
                value = every[item.query_id, document]
                if document not in item.documents:
                    known = document in own or document in record.positives or unscored == "score"
                    unknown += not known
                    if not known and unscored == "ignore":
                        continue
                    if not known:
                        value = min(every[item.query_id, number] for number in own)
                    too_high = value > limit and document not in record.negatives
                    if too_high or is_relevant(small, item.query_id, document):
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
    made = distilling(small, tiny_teacher, tiny_encoder, in_batch="ignore")
    pools, ignoring = prepared(small, made)
    beside = {
        (item.query_id, document)
        for _, lists in own_lists(pools, made)
        for item in lists
        for document in {document for other in lists for document in other.documents} - set(item.documents)
        if not is_relevant(small, item.query_id, document)
    }
    known = {(query, int(number)) for query in range(10) for number in pools[query].documents}
    counts = {"pairs": len(beside), "removed": 0, "short": 0}
    assert ignoring.counts == {**counts, "scored": 0, "unscored": len(beside - known)}
    made = distilling(small, tiny_teacher, tiny_encoder, in_batch="score")
    _, scoring = prepared(small, made)
    assert scoring.counts == {**counts, "scored": len(beside - known), "unscored": 0}
    _, again = prepared(small, made)
    assert again.counts == {**counts, "scored": 0, "unscored": 0}


def test_imported_scores_that_are_missing_stay_missing(small: Small, tiny_encoder: Path) -> None:
    scores = {
        (record.query, text): 1.0 - number / 8
        for record in small.dataset
        for number, text in enumerate(small.corpus.take([*record.positives, *record.negatives, 0]))
    }
    name = import_scores("some", scores)
    made = distilling(small, name, tiny_encoder, in_batch="score", miners=("labelled",), K=2)
    pools, in_batch = prepared(small, made)
    assert in_batch.counts["scored"] == 0 and in_batch.counts["unscored"] > 0
    task = ListTask(BiEncoder.load(str(tiny_encoder)), small.dataset, small.corpus, pools, made, in_batch)
    for epoch, rows in batches(lambda seed, epoch: permutation(seed, epoch, len(pools)), made):
        assert all(torch.isfinite(value) for value in losses_of(task, rows, epoch).values())


@pytest.mark.parametrize("changes", [{"in_batch": "ignore"}, SHARED])
def test_a_run_that_goes_on_keeps_the_scores_it_began_with(
    small: Small, tiny_encoder: Path, changes: dict[str, object]
) -> None:
    every = {(record.query, text): -number / 9 for record in small.dataset for number, text in enumerate(small.corpus)}
    name = import_scores("some", {pair: score for place, (pair, score) in enumerate(every.items()) if place % 4})
    made = distilling(small, name, tiny_encoder, miners=("labelled", "random:3"), **changes)
    with Teachers.open(name, made, "fp32") as teachers:
        pools = build(made, small.dataset, small.corpus, np.arange(10), teachers)
        kept = small.root / "in_batch_scores.npy"

        def in_batch() -> InBatchNegatives:
            return InBatchNegatives(small.dataset, small.corpus, pools, made, own_lists(pools, made), teachers, kept)

        first = in_batch()
        import_scores("some", every)  # another import brings what was unknown
        assert first.counts["unscored"] > 0
        again = in_batch()
        assert again.fingerprint() == first.fingerprint() and again.counts == first.counts
        for epoch, lists in own_lists(pools, made):
            pairs = zip(first.extended(lists, epoch), again.extended(lists, epoch), strict=True)
            assert all(one.documents == other.documents for one, other in pairs)
        kept.unlink()
        assert in_batch().counts["unscored"] == 0


@pytest.mark.parametrize("limit", [None, 0.7])
def test_lists_are_filled_with_what_other_queries_brought(
    small: Small, tiny_encoder: Path, tiny_teacher: Path, limit: float | None
) -> None:
    every = relevances(small, tiny_teacher)
    highest = None if limit is None else float(np.quantile(list(every.values()), limit))
    made = distilling(small, tiny_teacher, tiny_encoder, max_negative_score=highest, **SHARED)
    pools, in_batch = prepared(small, made)
    asked: set[tuple[int, int]] = set()
    dropped: set[tuple[int, int]] = set()
    for epoch, lists in own_lists(pools, made):
        brought = sorted({document for item in lists for document in item.documents})
        for item, extended in zip(lists, in_batch.extended(lists, epoch), strict=True):
            query = item.query_id
            allowed = [
                document
                for document in brought
                if document not in item.documents and not is_relevant(small, query, document)
            ]
            drawn = generator(made.seed, "shared", epoch, query).permutation(allowed)[:4].tolist()
            asked |= {(query, document) for document in drawn}
            high = [
                document
                for document in drawn
                if highest is not None and every[query, document] > highest
                and document not in small.dataset[query].negatives
            ]  # fmt: skip
            dropped |= {(query, document) for document in high}
            shared = tuple(document for document in drawn if document not in high)
            assert len(item.documents) == 2 and len(drawn) == 4
            assert extended.query_id == query and extended.documents == (*item.documents, *shared)
            assert extended.relevance.dtype == np.float32
            np.testing.assert_allclose(
                extended.relevance, [every[query, document] for document in extended.documents], atol=1e-5
            )
    known = {(query, int(number)) for query in range(10) for number in pools[query].documents}
    assert bool(dropped) is (limit is not None)
    assert in_batch.counts == {
        "pairs": len(asked), "scored": len(asked - known), "unscored": 0, "removed": len(dropped), "short": 0
    }  # fmt: skip
    assert len(asked) <= 2 * 10 * 4  # as own candidates would be: epochs * queries * (K - own documents)
    _, again = prepared(small, made)
    assert again.counts["scored"] == 0 and again.fingerprint() == in_batch.fingerprint()


def test_no_positive_is_shared_whatever_its_letters_but_labelled_negatives_are(
    small: Small, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    made = distilling(small, tiny_teacher, tiny_encoder, **SHARED | {"K": 8, "own_documents": 3})
    strict = dataclasses.replace(made, max_negative_score=0.0)
    names = ["returns the file", "open the file", "returns the list", "Returns  THE list", "error in list"]
    file, second, one, alike, error = (small.id(text) for text in names)
    other = small.id("returns the set")

    def listed(query: int, *documents: int) -> TrainingList:
        return TrainingList(query, documents, np.zeros(len(documents), dtype=np.float32))

    lists = [listed(0, file, alike, error), listed(1, one, other), listed(3, other, second, one)]
    with Teachers.open(made.teacher_path, made, "fp32") as teachers:
        pools = build(made, small.dataset, small.corpus, np.arange(10), teachers)

        def shared(options: DistillationOptions) -> tuple[list[set[int]], dict[str, int]]:
            in_batch = InBatchNegatives(small.dataset, small.corpus, pools, options, [(0, lists)], teachers)
            pairs = zip(lists, in_batch.extended(lists, 0), strict=True)
            return [set(item.documents[len(own.documents) :]) for own, item in pairs], in_batch.counts

        assert shared(made)[0] == [{one, other}, {file, second, error}, {file, alike, error}]
        assert shared(strict)[0] == [set(), {error}, set()]  # no limit removes what a person called irrelevant
        assert shared(strict)[1] == {"pairs": 8, "scored": 0, "unscored": 0, "removed": 7, "short": 3}


def test_a_batch_of_shared_documents_is_that_of_own_ones_with_fewer_texts(
    small: Small, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    made = distilling(small, tiny_teacher, tiny_encoder, **SHARED)
    pools, in_batch = prepared(small, made)
    student = BiEncoder.load(str(tiny_encoder), max_len=32)
    task = ListTask(student, small.dataset, small.corpus, pools, made, in_batch)
    student.model.eval()
    planned = list(batches(task.order, made))
    lists = {(epoch, *rows): task.lists(rows, epoch) for epoch, rows in planned[::-1]}
    for epoch, rows in planned:
        extended = task.lists(rows, epoch)
        assert [item.documents for item in extended] == [item.documents for item in lists[(epoch, *rows)]]
        assert all(len(item.documents) == made.K for item in extended)
        batch = task.batch(rows, epoch)
        assert len(batch.lengths) <= len(rows) * (1 + 2) < len(rows) * (1 + made.K)
        owned = [as_pool(item) for item in extended]
        plain = dataclasses.replace(made, own_documents=None, max_negative_score=None)
        other = ListTask(student, small.dataset, small.corpus, ScoredPools(owned, Counts()), plain)
        found, expected = losses_of(task, rows, epoch), losses_of(other, np.arange(len(rows)), epoch)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-5)


def as_pool(item: TrainingList) -> QueryPool:
    """A pool from which only this list can be drawn."""
    documents, logits, size = np.array(item.documents), item.logits, len(item.documents) - 1
    nothing = np.zeros(size, dtype=np.uint8)
    return QueryPool(item.query_id, documents[:1], logits[:1], documents[1:], logits[1:], nothing, nothing)
