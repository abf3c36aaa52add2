"""The cross_encoder miner against an exhaustive ranking by the teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bistill.candidates.depths import Depths
from bistill.candidates.mining.dense import DenseMiner
from bistill.candidates.mining.lexical import LexicalMiner
from bistill.candidates.mining.miners import mine
from bistill.candidates.mining.reranking import CrossEncoderMiner
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import CrossEncoderRanked, TeacherReading
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.settings import EncoderStart
from tests.candidates.conftest import Small, import_scores

QUERIES = ["how to sort", "read a file", "서울 날씨"]
POOL = ["sort list", "open file", "서울", "red", "a tree in the map", "json error", "부산 음식"]


class Fixed:
    """A miner with answers by hand."""

    def __init__(self, name: str, rows: dict[int, list[int]]) -> None:
        self.name, self.rows, self.depths = name, rows, []

    def fingerprint(self) -> str:
        return f"{self.name} {self.rows}"

    def mine(self, query_ids: np.ndarray, depth: int) -> np.ndarray:
        self.depths.append(depth)
        rows = [(self.rows[int(query)] + [-1] * depth)[:depth] for query in query_ids]
        return np.array(rows, dtype=np.int64)


FIRST = [Fixed("one", {0: [5, 1, 3, 0], 1: [2], 2: []}), Fixed("two", {0: [1, 6, 5, 4], 1: [2, 0, 1], 2: []})]


@pytest.fixture
def teachers(tiny_teacher: Path) -> Teachers:
    return Teachers.open([str(tiny_teacher)], (), TeacherReading(precision="fp32"))


def scores(folder: Path) -> np.ndarray:
    return CrossEncoder.load(str(folder)).score([(query, text) for query in QUERIES for text in POOL]).reshape(3, -1)


@pytest.mark.parametrize("reads", [0, 7, 100])
def test_reading_all_is_an_exhaustive_ranking(teachers: Teachers, tiny_teacher: Path, reads: int) -> None:
    miner = CrossEncoderMiner(QUERIES, POOL, teachers, [], reads=reads)
    ranked = np.argsort(-scores(tiny_teacher), axis=1, kind="stable")
    assert np.array_equal(miner.mine(np.arange(3), 4), ranked[:, :4])
    assert np.array_equal(miner.mine(np.array([2, 0]), 4), ranked[[2, 0], :4])
    deep = miner.mine(np.arange(3), 9)
    assert np.array_equal(deep[:, :7], ranked) and (deep[:, 7:] == -1).all() and deep.dtype == np.int64


def test_else_it_ranks_what_the_first_miners_find_in_turn(teachers: Teachers, tiny_teacher: Path) -> None:
    found = CrossEncoderMiner(QUERIES, POOL, teachers, FIRST, reads=3).mine(np.arange(3), 5)
    by_score = scores(tiny_teacher)
    # In turn: 5 1, 1 6, ... of query 0; 2 2, - 0, - 1 of query 1; nothing of query 2.
    for query, read in ((0, [5, 1, 6]), (1, [2, 0, 1]), (2, [])):
        expected = sorted(read, key=lambda document: -by_score[query, document])
        assert found[query].tolist() == expected + [-1] * (5 - len(expected))
    assert {depth for miner in FIRST for depth in miner.depths} == {3}


def test_its_fingerprint_tells_what_is_read(teachers: Teachers, tiny_teacher: Path) -> None:
    def mark(reads: int, first: list[Fixed] = FIRST, by: Teachers = teachers) -> str:
        return CrossEncoderMiner(QUERIES, POOL, by, first, reads=reads).fingerprint()

    assert mark(0) == mark(7) == mark(9, FIRST[:1])  # all is read: no other miner has a say
    other = Teachers.open([str(tiny_teacher)], (), TeacherReading(max_len=16, precision="fp32"))
    assert len({mark(0), mark(3), mark(4), mark(3, FIRST[:1]), mark(3, by=other)}) == 5
    other.close()


def test_pairs_without_an_imported_score_are_not_ranked() -> None:
    name = import_scores("some", {(QUERIES[0], POOL[4]): -1.0, (QUERIES[0], POOL[2]): -1.0, (QUERIES[0], POOL[6]): 3.0})
    with Teachers.open([name], (), TeacherReading()) as teachers:
        found = CrossEncoderMiner(QUERIES, POOL, teachers, [], reads=0).mine(np.arange(2), 4)
    assert found.tolist() == [[6, 2, 4, -1], [-1, -1, -1, -1]]


def test_scores_imported_later_change_what_is_mined(small: Small) -> None:
    query = small.dataset.queries[3]
    name = import_scores("growing", {(query, small.corpus[4]): 1.0})

    def found() -> list[int]:
        with Teachers.open([name], (), TeacherReading()) as teachers:
            (answer,) = mine(
                small.collection, np.array([3]), [CrossEncoderRanked(2, reads=0)],
                depths=Depths(1, 1, mined=True), start=EncoderStart("none"), seed=0, teachers=teachers,
            )  # fmt: skip
        return next(answer.rows(slice(1)))

    assert found() == [4]
    import_scores("growing", {(query, small.corpus[9]): 2.0})
    assert found() == [9, 4]
    import_scores("growing", {(query, small.corpus[4]): 3.0})
    assert found() == [4, 9]


@pytest.mark.slow
def test_what_the_first_miners_found_is_kept_when_the_teacher_is_broken_off(
    small: Small, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = import_scores("kept", {(small.dataset.queries[3], small.corpus[4]): 1.0})

    def mined() -> list[list[int]]:
        with Teachers.open([name], (), TeacherReading()) as teachers:
            (answer,) = mine(
                small.collection, np.arange(5), [CrossEncoderRanked(2, reads=5)],
                depths=Depths(1, 1, mined=True), start=EncoderStart(str(tiny_encoder)), seed=0, teachers=teachers,
            )  # fmt: skip
        return list(answer.rows(slice(5)))

    def broken_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Teachers, "logits", broken_off)
        with pytest.raises(KeyboardInterrupt):
            mined()

    def searched_again(*_: object) -> np.ndarray:
        raise AssertionError("searched again")

    for miner in (LexicalMiner, DenseMiner):
        monkeypatch.setattr(miner, "mine", searched_again)
    assert len(mined()) == 5
