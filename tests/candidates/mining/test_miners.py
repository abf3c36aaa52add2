"""Which miners a run has, and that an answer is kept and given again only where nothing that decides it differs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill import cache_folder
from bistill.candidates.depths import Depths
from bistill.candidates.mining import registry
from bistill.candidates.mining.dense import DenseMiner
from bistill.candidates.mining.labelled import LabelledMiner
from bistill.candidates.mining.lexical import LexicalMiner
from bistill.candidates.mining.miner import Miner
from bistill.candidates.mining.miners import Mined, mine
from bistill.candidates.mining.random_miner import RandomMiner
from bistill.candidates.mining.registry import LABELLED_BIT, RANDOM_BIT
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import Dense, Labelled, Lexical, MinerSettings, Random
from bistill.data.queries.copies import Selection
from bistill.data.store.corpus import Corpus
from bistill.data.store.opening import load_split
from bistill.errors import OptionError
from bistill.models.settings import EncoderStart
from tests.candidates.conftest import Small

ALL = np.arange(10)
NOTHING = EncoderStart("none")


def answers(
    small: Small,
    *miners: MinerSettings | Miner,
    queries: np.ndarray = ALL,
    start: EncoderStart = NOTHING,
    seed: int = 42,
) -> list[Mined]:
    depths, teachers = Depths(own=5, epochs=1, mined=True), Teachers([], [])
    return mine(small.collection, queries, miners, depths=depths, start=start, seed=seed, teachers=teachers)


def documents(answer: Mined) -> np.ndarray:
    """Of all queries, of a miner that answers with an array."""
    found = answer.answer(slice(len(ALL)))
    assert isinstance(found, np.ndarray)
    return found


def test_the_bits_of_the_registered_miners_stay() -> None:
    assert registry.NAMES == ("labelled", "random", "lexical", "dense", "cross_encoder")
    assert (LABELLED_BIT, RANDOM_BIT) == (1, 2)


@pytest.mark.parametrize(
    ("miners", "message"),
    [
        ((), "`miners`: at least one miner is needed"),
        ((Lexical(5), Random(), Lexical(9)), r"`miners`: two miners have one name\n  found: 'lexical'"),
    ],
)
def test_no_miner_and_two_of_one_name_are_errors(small: Small, miners: tuple[MinerSettings, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        answers(small, *miners)


def test_the_labelled_miner_gives_the_negatives_of_the_file(small: Small) -> None:
    for drawn in (False, True):
        miner = LabelledMiner(small.dataset, seed=0, drawn=drawn)
        found = miner.mine(np.array([7, 1, 0]), 3)
        assert found == [[], [small.id("error in list")], [small.id("error in file")]]
        assert miner.mine(np.array([1, 7]), 0) == [[], []]


def test_of_many_labelled_negatives_some_are_drawn(
    tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [["query", "passage", "label"], ["q", "right", "1"], *[["q", f"wrong {n}", "0"] for n in range(40)]]
    dataset = load_split(write_csv(tmp_path / "many.csv", rows))
    negatives, ids = list(dataset[0].negatives), np.array([0])
    assert LabelledMiner(dataset, seed=3, drawn=False).mine(ids, 4) == [negatives[:4]]
    miner = LabelledMiner(dataset, seed=3, drawn=True)
    drawn = [miner.mine(ids, count)[0] for count in (4, 10, 40, 99)]
    assert [len(own) for own in drawn] == [4, 10, 40, 40] and drawn[2] == drawn[3] == negatives
    assert all(own == sorted(own, key=negatives.index) for own in drawn)
    assert set(drawn[0]) < set(drawn[1]) and drawn[0] != negatives[:4]
    assert drawn[1] == miner.mine(ids, 10)[0] != LabelledMiner(dataset, seed=4, drawn=True).mine(ids, 10)[0]


def test_random_documents_are_never_labelled_and_nested_by_depth(small: Small) -> None:
    miner = RandomMiner(small.collection, 1)
    deep = miner.mine(ALL, 12)
    for query, row in enumerate(deep):
        record = small.dataset[query]
        assert len(set(row)) == 12 and not {*row} & {*record.positives, *record.negatives}
        assert min(row) >= 0 and max(row) < len(small.corpus) == 21
    assert miner.mine(ALL, 5) == [row[:5] for row in deep]
    assert miner.mine(ALL[::-1], 12) == deep[::-1]
    assert RandomMiner(small.collection, 2).mine(ALL, 12) != deep
    everything = miner.mine(ALL, 100)
    copy = small.id("Returns  THE list")  # of a positive of query 1
    for query, row in enumerate(everything):
        record = small.dataset[query]
        refused = {*record.positives, *record.negatives}
        spellings = {copy, small.id("returns the list")}  # one text, of which one is drawn, and none for query 1
        assert {*row} - spellings == {*range(21)} - refused - spellings
        assert len({*row} & spellings) == (query != 1)


def test_a_random_draw_leaves_out_what_it_is_told(small: Small) -> None:
    miner = RandomMiner(small.collection, 1)
    first = miner.draw(3, 6)
    assert not set(miner.draw(3, 6, but=frozenset(first))) & set(first)
    assert miner.draw(3, 0) == []


def test_random_documents_reach_those_beside_the_data_set(small: Small) -> None:
    drawn = RandomMiner(small.collection, 0).mine(ALL, 8)
    assert max(map(max, drawn)) >= len(small.dataset.documents)


def test_the_dense_miner_is_the_whole_model_whatever_the_student_starts_with(
    small: Small, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = EncoderStart(str(tiny_encoder), max_len=32)
    whole = documents(answers(small, Dense(4), start=start)[0])
    monkeypatch.setattr(DenseMiner, "mine", None)  # the very answer that was kept
    assert np.array_equal(documents(answers(small, Dense(4), start=dataclasses.replace(start, layers=1))[0]), whole)


@pytest.mark.slow
def test_answers_of_all_miners_with_their_depths(small: Small, tiny_encoder: Path) -> None:
    start = EncoderStart(str(tiny_encoder), max_len=32)
    found = answers(small, Labelled(), Random(), Lexical(3), Dense(4), start=start)
    assert [(answer.name, answer.bit, answer.depth, answer.retrieval) for answer in found] == [
        ("labelled", 1, None, False),
        ("random", 2, None, False),
        ("lexical", 4, 3, True),
        ("dense", 8, 4, True),
    ]
    assert [list(record.negatives) for record in small.dataset] == list(found[0].rows(slice(10)))
    assert [len(row) for row in found[1].rows(slice(10))] == [5] * 10
    assert [documents(answer).shape for answer in found[2:]] == [(10, 3), (10, 4)]
    pool = small.corpus.different()  # without the copy of query 1's positive
    assert isinstance(pool, Selection) and np.array_equal(pool.ids, np.delete(np.arange(21), 17))
    lexical = LexicalMiner(small.dataset.queries, pool, tokens="auto").mine(ALL, 3)
    lexical = np.where(lexical >= 0, pool.ids[lexical], -1)
    assert np.array_equal(documents(found[2]), lexical)
    for answer in found:  # of some queries alone
        assert list(answer.rows(slice(3, 7))) == list(answer.rows(slice(10)))[3:7]
    assert list(found[2].rows(slice(2))) == [[item for item in row if item >= 0] for row in lexical[:2].tolist()]
    dense = DenseMiner(small.dataset.queries, pool, start, batch_size=4)
    assert np.array_equal(documents(found[3]), pool.ids[dense.mine(ALL, 4)])


@pytest.mark.slow
def test_an_answer_is_given_again_without_an_index(
    small: Small, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, miners = EncoderStart(str(tiny_encoder)), (Lexical(4), Dense(4))
    first = answers(small, *miners, start=start)

    def none(*_: object) -> np.ndarray:
        raise AssertionError("mined again")

    monkeypatch.setattr(LexicalMiner, "mine", none)
    monkeypatch.setattr(DenseMiner, "mine", none)
    again = answers(small, *miners, start=start)
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(documents(one), documents(other))


@pytest.mark.slow
def test_an_answer_is_not_given_for_anything_else(
    small: Small, tiny_encoder: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mined: list[str] = []
    for kind in (LexicalMiner, DenseMiner):
        own = kind.mine
        monkeypatch.setattr(
            kind, "mine", lambda self, ids, depth, own=own: mined.append(self.name) or own(self, ids, depth)
        )

    # Words, not what auto finds: loading the morphemes' dictionary takes seconds each time.
    usual, start = (Lexical(4, "words"), Dense(4)), EncoderStart(str(tiny_encoder), max_len=32)

    def count(
        changed: Small = small,
        miners: tuple[MinerSettings, ...] = usual,
        start: EncoderStart = start,
        **changes: Any,
    ) -> list[str]:
        mined.clear()
        answers(changed, *miners, start=start, **changes)
        return list(mined)

    def other_start(**changes: Any) -> list[str]:
        return count(start=dataclasses.replace(start, **changes))

    both = ["lexical", "dense"]
    assert count() == both and count() == []
    assert count(seed=7) == []  # decides nothing here
    assert count(miners=(Lexical(5, "words"), Dense(5))) == both
    assert count(queries=ALL[:5]) == both
    assert count(queries=ALL[::-1]) == both
    assert count(miners=(Lexical(4, "auto"), Dense(4))) in ([], ["lexical"])  # what auto is for this text decides
    assert count(miners=(Lexical(4, "bigrams"), Dense(4))) == ["lexical"]
    assert other_start(max_len=8) == ["dense"]
    assert other_start(query_prompt="find ") == ["dense"]
    named = (Lexical(4, "words"), Dense(4, EncoderStart(str(tiny_teacher))))
    assert count(miners=named) == ["dense"]
    assert count(miners=named, start=EncoderStart("none", max_len=8)) == []  # the student's own
    shorter = dataclasses.replace(small, corpus=Corpus(small.dataset.documents))
    assert count(shorter) == both
    path = small.root / "small" / "train.csv"
    path.write_text(path.read_text() + "how to green,returns the green,1\n")
    dataset = load_split(path)
    assert count(dataclasses.replace(small, dataset=dataset, corpus=Corpus(dataset.documents, small.corpus))) == both
    assert count() == []


@pytest.mark.slow
def test_a_damaged_answer_is_made_again(small: Small, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    first = np.array(documents(answers(small, Lexical())[0]))
    (file,) = (cache_folder.cache_dir() / "data").glob("*/mined.npy")
    file.write_bytes(file.read_bytes()[:-8])
    assert np.array_equal(documents(answers(small, Lexical())[0]), first)
    assert "damaged and made again" in capsys.readouterr().err
