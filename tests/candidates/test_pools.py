"""Training lists drawn from pools made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.candidates.building import build
from bistill.candidates.filtering import Verdict
from bistill.candidates.lists import CandidateList
from bistill.candidates.mining.registry import LABELLED_BIT, RANDOM_BIT
from bistill.candidates.pools import READS_BETWEEN_RELEASES, Counts, ScoredPools
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import Labelled, Limits, Lists, Random, TeacherReading
from bistill.data.store.spilled import Spilled
from bistill.models.settings import EncoderStart
from tests.candidates.conftest import Small


def pool(query: int, positives: list[int], documents: int, removed: tuple[int, ...] = ()) -> CandidateList:
    """Documents 100 * query, ..., with logits -1, -2, ...; the first is labelled, those at ``removed`` filtered."""
    verdicts = np.zeros(documents, dtype=np.uint8)
    verdicts[list(removed)] = Verdict.RATIO
    sources = np.full(documents, RANDOM_BIT, dtype=np.uint8)
    sources[:1] = LABELLED_BIT
    logits = -np.arange(1, documents + 1, dtype=np.float32)
    own = 100 * query + np.arange(documents, dtype=np.int64)
    scores = np.array(positives, dtype=np.float32) / 10
    return CandidateList.scored(query, np.array(positives, dtype=np.int64), scores, own, logits, sources, verdicts)


POOLS = [pool(7, [3, 4, 5], 12, removed=(2, 5)), pool(2, [9], 2), pool(4, [1, 6], 6, removed=(0,))]


def same(one: CandidateList, other: CandidateList) -> bool:
    names = ("documents", "logits", "sources", "verdicts", "labels")
    columns = [(getattr(one, name), getattr(other, name)) for name in names]
    return (one.query_id, one.positives) == (other.query_id, other.positives) and all(
        np.array_equal(own, given, equal_nan=True) and own.dtype == given.dtype for own, given in columns
    )


def test_documents_of_all_pools_rise_and_stand_once() -> None:
    made = ScoredPools([*POOLS, POOLS[1]], Counts())
    expected = [1, 3, 4, 5, 6, 9, 200, 201, *range(400, 406), *range(700, 712)]
    assert made.document_ids().tolist() == expected and made.document_ids().dtype == np.int64
    assert ScoredPools([], Counts()).document_ids().tolist() == []


def options(**changes: Any) -> Lists:
    return Lists(**{"size": 5, **changes})


def test_pools_come_back_as_they_were_given() -> None:
    made = ScoredPools(POOLS, Counts())
    assert len(made) == 3 and made.query_ids.tolist() == [7, 2, 4]
    assert all(same(made[row], given) for row, given in enumerate(POOLS))
    assert made[0].kept.tolist() == [3, 4, 6, 7, 9, 10, 11, 12, 13, 14]  # behind three positives
    assert made[0].labelled.tolist() == [False] * 3 + [True] + [False] * 11
    for row in (3, -1):
        with pytest.raises(IndexError, match=f"query {row} of 3"):
            made[row]
    assert len(ScoredPools([], Counts())) == 0


def test_pools_lie_on_disk_and_pages_that_were_read_are_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[None] = []
    monkeypatch.setattr(Spilled, "release", lambda _: released.append(None))
    made = ScoredPools(POOLS, Counts())
    for values in (made.query_ids, made.logits, made.sources, made.verdicts, made.positive_logits):
        assert not values.flags.owndata and not values.flags.writeable
    for _ in range(READS_BETWEEN_RELEASES - 1):
        made[0]
    assert len(released) == 0
    made[0]
    assert len(released) == 1
    made.document_ids()
    made.fingerprint()
    assert len(released) == 3


@pytest.mark.parametrize("choice", ["random", "stratified"])
def test_lists_hold_a_positive_then_kept_negatives_and_their_relevance(choice: str) -> None:
    made = ScoredPools(POOLS, Counts())
    for epoch in range(6):
        for row, given in enumerate(POOLS):
            item = made.training_list(row, options(choice=choice), seed=1, epoch=epoch)
            assert item.query_id == given.query_id
            assert len(set(item.documents)) == len(item.documents) == 1 + min(4, len(given.kept))
            assert item.documents[0] in given.relevant.documents and item.positives == 1
            assert set(item.documents[1:]) <= set(given.documents[given.kept].tolist())
            logit = dict(zip(given.documents.tolist(), given.logits.tolist(), strict=True))
            expected = [1 / (1 + np.exp(-logit[document])) for document in item.documents]
            np.testing.assert_allclose(item.relevance, expected, rtol=1e-6)
            assert item.relevance.dtype == np.float32


def test_random_lists_have_the_labelled_negative_and_others_by_turns() -> None:
    made = ScoredPools(POOLS, Counts())
    lists = [made.training_list(0, options(choice="random"), seed=1, epoch=epoch) for epoch in range(3)]
    assert all(item.documents[1] == 700 for item in lists)
    assert {document for item in lists for document in item.documents[2:]} == {701, 703, 704, *range(706, 712)}


def test_positives_take_turns_by_epoch() -> None:
    made = ScoredPools(POOLS, Counts())
    first = [made.training_list(0, options(), seed=1, epoch=epoch).documents[0] for epoch in range(60)]
    assert set(first) == {3, 4, 5} and min(map(first.count, (3, 4, 5))) > 8


def test_a_list_depends_on_seed_epoch_and_query_alone() -> None:
    made, turned = ScoredPools(POOLS, Counts()), ScoredPools(POOLS[::-1], Counts())

    def lists(pools: ScoredPools, order: list[int], seed: int, epoch: int) -> list[list[int]]:
        return [pools.training_list(row, options(), seed=seed, epoch=epoch).documents.tolist() for row in order]

    base = lists(made, [0, 1, 2], 5, 3)
    assert base == lists(made, [2, 1, 0], 5, 3)[::-1] == lists(turned, [2, 1, 0], 5, 3)
    assert base != lists(made, [0, 1, 2], 5, 4) and base != lists(made, [0, 1, 2], 6, 3)


@pytest.mark.parametrize("choice", ["random", "stratified"])
def test_without_redraw_all_epochs_have_the_first_list(choice: str) -> None:
    made = ScoredPools(POOLS, Counts())
    for row in range(3):
        lists = [made.training_list(row, options(choice=choice, redraw=redraw), seed=1, epoch=epoch)
                 for redraw, epoch in (("each_epoch", 0), ("never", 0), ("never", 1), ("never", 9))]  # fmt: skip
        assert len({tuple(item.documents) for item in lists}) == 1


def test_a_pool_with_one_negative_gives_a_list_of_two() -> None:
    made = ScoredPools([pool(3, [1], 2, removed=(1,))], Counts())
    assert made.training_list(0, options(), seed=0, epoch=1).documents.tolist() == [1, 300]


def test_lists_of_a_data_version_reach_its_further_documents(small: Small, tiny_teacher: Path) -> None:
    with Teachers.open([str(tiny_teacher)], (), TeacherReading(precision="fp32")) as teachers:
        pools = build(
            small.collection,
            np.arange(10),
            teachers,
            miners=(Labelled(), Random()),
            lists=Lists(8),
            limits=Limits(max_ratio=None),
            epochs=2,
            start=EncoderStart("none"),
            seed=1,
        )
    drawn = set()
    for epoch in range(2):
        for row in range(10):
            item = pools.training_list(row, options(size=8), seed=1, epoch=epoch)
            record = small.dataset[row]
            assert len(set(item.documents)) == 8 and item.documents[0] in record.positives
            assert set(record.negatives) <= set(item.documents)
            assert not set(item.documents[1:]) & set(record.positives)
            drawn |= set(item.documents)
    assert min(drawn) >= 0 and len(small.dataset.documents) <= max(drawn) < len(small.corpus)
