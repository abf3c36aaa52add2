"""Lists that are filled with documents of other queries: what is drawn, scored once, counted and kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bistill.app import assembling
from bistill.app.config import DistillationOptions
from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import Counts, ScoredPools
from bistill.candidates.shared_negatives import SharedNegatives
from bistill.data.sampling import generator
from bistill.data.store.collection import Collection
from bistill.models.bi_encoder import BiEncoder
from bistill.training.loop.updates import Updates
from tests import assembled
from tests.assembled import list_task
from tests.candidates.conftest import Small, import_scores
from tests.candidates.small_lists import built, distilling, is_relevant, losses_of, own_lists, relevances

SHARED = {"in_batch": "never", "K": 6, "own_documents": 2, "batch_size": 5}


def shared_of(
    small: Small, pools: ScoredPools, made: DistillationOptions, batches: Any, teachers: Any, kept: Path | None = None
) -> SharedNegatives:
    settings = assembling.lists(made), assembling.limits(made)
    collection = Collection(small.dataset, small.corpus)
    return SharedNegatives(collection, pools, *settings, batches, teachers, seed=made.seed, kept=kept)


def prepared(small: Small, made: DistillationOptions) -> tuple[ScoredPools, SharedNegatives]:
    pools = built(small, made)
    with assembled.opened(made.teacher_path, made, "fp32") as teachers:
        return pools, shared_of(small, pools, made, own_lists(pools, made), teachers)


def test_a_run_that_goes_on_keeps_the_scores_it_began_with(small: Small, tiny_encoder: Path) -> None:
    every = {(record.query, text): -number / 9 for record in small.dataset for number, text in enumerate(small.corpus)}
    name = import_scores("some", {pair: score for place, (pair, score) in enumerate(every.items()) if place % 4})
    made = distilling(small, name, tiny_encoder, miners=("labelled", "random:3"), **SHARED)
    with assembled.opened(name, made, "fp32") as teachers:
        pools = assembled.built(made, small.dataset, small.corpus, np.arange(10), teachers)
        kept = small.root / "shared_scores.npz"

        def shared() -> SharedNegatives:
            return shared_of(small, pools, made, own_lists(pools, made), teachers, kept)

        first = shared()
        import_scores("some", every)  # another import brings what was unknown
        assert first.counts["unscored"] > 0
        again = shared()
        assert again.fingerprint() == first.fingerprint() and again.counts == first.counts
        for epoch, lists in own_lists(pools, made):
            pairs = zip(first.extended(lists, epoch), again.extended(lists, epoch), strict=True)
            assert all(np.array_equal(one.documents, other.documents) for one, other in pairs)
        for damage in (kept.read_bytes()[:-40], b""):
            kept.write_bytes(damage)
            assert shared().counts["unscored"] == 0
        kept.unlink()
        assert shared().counts["unscored"] == 0


def test_kept_scores_are_used_for_the_pairs_and_pools_they_are_of_alone(
    small: Small, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    kept, every = small.root / "kept.npz", relevances(small, tiny_teacher)
    for seed in (1, 2):
        made = distilling(small, tiny_teacher, tiny_encoder, seed=seed, epochs=1, **SHARED)
        pools = built(small, made)
        lists = list(own_lists(pools, made))
        with assembled.opened(made.teacher_path, made, "fp32") as teachers:
            shared = shared_of(small, pools, made, lists, teachers, kept)
        assert (shared.counts["pairs"], shared.counts["unscored"]) == (10 * 4, 0)  # as many, but others
        for epoch, own in lists:
            for item in shared.extended(own, epoch):
                expected = [every[item.query_id, document] for document in item.documents]
                np.testing.assert_allclose(item.relevance, expected, atol=1e-5)


@pytest.mark.parametrize("limit", [None, 0.7])
def test_lists_are_filled_with_what_other_queries_brought(
    small: Small, tiny_encoder: Path, tiny_teacher: Path, limit: float | None
) -> None:
    every = relevances(small, tiny_teacher)
    highest = None if limit is None else float(np.quantile(list(every.values()), limit))
    made = distilling(small, tiny_teacher, tiny_encoder, max_negative_score=highest, **SHARED)
    pools, shared = prepared(small, made)
    asked: set[tuple[int, int]] = set()
    dropped: set[tuple[int, int]] = set()
    for epoch, lists in own_lists(pools, made):
        brought = sorted({document for item in lists for document in item.documents})
        for item, extended in zip(lists, shared.extended(lists, epoch), strict=True):
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
            taken = [document for document in drawn if document not in high]
            assert len(item.documents) == 2 and len(drawn) == 4
            assert extended.query_id == query and extended.documents.tolist() == [*item.documents, *taken]
            assert extended.relevance.dtype == np.float32
            np.testing.assert_allclose(
                extended.relevance, [every[query, document] for document in extended.documents], atol=1e-5
            )
    known = {(pool.query_id, number) for pool in pools for number in pool.candidates.documents.tolist()}
    assert bool(dropped) is (limit is not None)
    assert shared.counts == {
        "pairs": len(asked), "scored": len(asked - known), "unscored": 0, "removed": len(dropped), "short": 0
    }  # fmt: skip
    assert len(asked) <= 2 * 10 * 4  # as own candidates would be: epochs * queries * (K - own documents)
    _, again = prepared(small, made)
    assert again.counts["scored"] == 0 and again.fingerprint() == shared.fingerprint()


def test_no_positive_is_shared_whatever_its_letters_but_labelled_negatives_are(
    small: Small, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    made = distilling(small, tiny_teacher, tiny_encoder, **SHARED | {"K": 8, "own_documents": 3})
    strict = dataclasses.replace(made, max_negative_score=0.0)
    names = ["returns the file", "open the file", "returns the list", "Returns  THE list", "error in list"]
    file, second, one, alike, error = (small.id(text) for text in names)
    other = small.id("returns the set")

    def listed(query: int, *documents: int) -> CandidateList:
        return CandidateList.unscored(query, documents[:1], dict.fromkeys(documents[1:], 0))

    lists = [listed(0, file, alike, error), listed(1, one, other), listed(3, other, second, one)]
    with assembled.opened(made.teacher_path, made, "fp32") as teachers:
        pools = assembled.built(made, small.dataset, small.corpus, np.arange(10), teachers)

        def shared(options: DistillationOptions) -> tuple[list[set[int]], dict[str, int]]:
            found = shared_of(small, pools, options, [(0, lists)], teachers)
            pairs = zip(lists, found.extended(lists, 0), strict=True)
            return [set(item.documents[len(own.documents) :]) for own, item in pairs], found.counts

        assert shared(made)[0] == [{other}, {file, second, error}, {file, error}]  # one and alike are one text
        assert shared(strict)[0] == [set(), {error}, set()]  # no limit removes what a person called irrelevant
        assert shared(strict)[1] == {"pairs": 6, "scored": 0, "unscored": 0, "removed": 5, "short": 3}


def test_a_batch_of_shared_documents_is_that_of_own_ones_with_fewer_texts(
    small: Small, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    made = distilling(small, tiny_teacher, tiny_encoder, **SHARED)
    pools, shared = prepared(small, made)
    student = BiEncoder.load(str(tiny_encoder), max_len=32)
    task = list_task(made, student, Collection(small.dataset, small.corpus), pools, shared)
    student.model.eval()
    planned = list(Updates(task.order, task.samples, made))
    lists = {(epoch, *rows): task.lists(rows, epoch) for epoch, rows in planned[::-1]}
    for epoch, rows in planned:
        extended = task.lists(rows, epoch)
        assert [item.documents.tolist() for item in extended] == [
            item.documents.tolist() for item in lists[(epoch, *rows)]
        ]
        assert all(len(item.documents) == made.K for item in extended)
        batch = task.batch(rows, epoch)
        assert len(batch.lengths) <= len(rows) * (1 + 2) < len(rows) * (1 + made.K)
        plain = dataclasses.replace(made, own_documents=None, max_negative_score=None)
        other = list_task(plain, student, Collection(small.dataset, small.corpus), ScoredPools(extended, Counts()))
        found, expected = losses_of(task, rows, epoch), losses_of(other, np.arange(len(rows)), epoch)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-5)
