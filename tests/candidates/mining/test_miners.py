"""Which miners a run has, and that an answer is kept and given again only where nothing that decides it differs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bistill import artifacts
from bistill.candidates.depths import Depths
from bistill.candidates.mining import miners
from bistill.candidates.mining.dense import DenseMiner
from bistill.candidates.mining.lexical import LexicalMiner
from bistill.candidates.mining.miners import LabelledMiner, Mined, RandomMiner, Source, mine, parse
from bistill.config import CandidatesOptions, ListOptions
from bistill.data.queries.copies import Selection
from bistill.data.store.corpus import Corpus
from bistill.data.store.opening import load_split
from bistill.errors import OptionError
from tests.candidates.conftest import Small

ALL = np.arange(10)


def answers(small: Small, options: CandidatesOptions, queries: np.ndarray = ALL) -> list[Mined]:
    return mine(
        options,
        options,
        small.dataset,
        small.corpus,
        queries,
        depths=Depths(own=5, epochs=1, mined=True),
        seed=options.seed,
        precision="fp32",
        teacher=None,
    )


def documents(answer: Mined) -> np.ndarray:
    """Of all queries, of a miner that answers with an array."""
    found = answer.answer(slice(len(ALL)))
    assert isinstance(found, np.ndarray)
    return found


def test_miners_and_their_depths_are_parsed() -> None:
    given = ListOptions(miners=("lexical:7", "labelled", "random", "dense", "cross_encoder:1"))
    assert parse(given) == [
        Source("lexical", 7),
        Source("labelled", None),
        Source("random", None),
        Source("dense", None),
        Source("cross_encoder", 1),
    ]
    assert parse(ListOptions(miners=("dense", "lexical:7"), mining_depth=3)) == [
        Source("dense", 3),
        Source("lexical", 7),
    ]
    assert parse(ListOptions(miners=("random:9", "labelled:2"))) == [Source("random", 9), Source("labelled", 2)]
    assert [Source(name, None).bit for name in miners.NAMES] == [1, 2, 4, 8, 16]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("lexcal",), r"--miners: unknown miner\n  found: 'lexcal'\n  do: give any of labelled, random, lexical"),
        (("dense:0",), r"the depth is no number above 0\n  found: 'dense:0'\n  do: give dense:50"),
        (("dense:-3",), "no number above 0"),
        (("dense:x",), "no number above 0"),
        (("dense:",), "no number above 0"),
        (("lexical:5", "random", "lexical:9"), r"named twice\n  found: 'lexical:9'"),
        ((), "at least one miner is needed"),
    ],
)
def test_what_is_no_miner_is_an_error(given: tuple[str, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse(ListOptions(miners=given))


def test_the_labelled_miner_gives_the_negatives_of_the_file(small: Small) -> None:
    miner = LabelledMiner(small.dataset, seed=0)
    for found in (miner.mine(np.array([7, 1, 0]), 3), miner.draw(np.array([7, 1, 0]), 3)):
        assert found == [[], [small.id("error in list")], [small.id("error in file")]]
    assert miner.draw(np.array([1, 7]), 0) == [[], []]


def test_of_many_labelled_negatives_some_are_drawn(
    tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [["query", "passage", "label"], ["q", "right", "1"], *[["q", f"wrong {n}", "0"] for n in range(40)]]
    dataset = load_split(write_csv(tmp_path / "many.csv", rows))
    negatives, ids = list(dataset[0].negatives), np.array([0])
    miner = LabelledMiner(dataset, seed=3)
    assert miner.mine(ids, 4) == [negatives[:4]]
    drawn = [miner.draw(ids, count)[0] for count in (4, 10, 40, 99)]
    assert [len(own) for own in drawn] == [4, 10, 40, 40] and drawn[2] == drawn[3] == negatives
    assert all(own == sorted(own, key=negatives.index) for own in drawn)
    assert set(drawn[0]) < set(drawn[1]) and drawn[0] != negatives[:4]
    assert drawn[1] == miner.draw(ids, 10)[0] != LabelledMiner(dataset, seed=4).draw(ids, 10)[0]


def test_random_documents_are_never_labelled_and_nested_by_depth(small: Small) -> None:
    miner = RandomMiner(small.dataset, small.corpus, 1)
    deep = miner.mine(ALL, 12)
    for query, row in enumerate(deep.tolist()):
        record = small.dataset[query]
        assert len(set(row)) == 12 and not {*row} & {*record.positives, *record.negatives}
        assert min(row) >= 0 and max(row) < len(small.corpus) == 21
    assert np.array_equal(miner.mine(ALL, 5), deep[:, :5])
    assert np.array_equal(miner.mine(ALL[::-1], 12), deep[::-1])
    assert not np.array_equal(RandomMiner(small.dataset, small.corpus, 2).mine(ALL, 12), deep)
    everything = miner.mine(ALL, 100)
    copy = small.id("Returns  THE list")  # of a positive of query 1
    for query, row in enumerate(everything.tolist()):
        record = small.dataset[query]
        refused = {*record.positives, *record.negatives}
        spellings = {copy, small.id("returns the list")}  # one text, of which one is drawn, and none for query 1
        assert {*row} - {-1} - spellings == {*range(21)} - refused - spellings
        assert len({*row} & spellings) == (query != 1)


def test_a_random_draw_leaves_out_what_it_is_told(small: Small) -> None:
    miner = RandomMiner(small.dataset, small.corpus, 1)
    first = miner.draw(3, 6)
    assert not set(miner.draw(3, 6, but=frozenset(first))) & set(first)
    assert miner.draw(3, 0) == []


def test_random_documents_reach_those_beside_the_data_set(small: Small) -> None:
    drawn = RandomMiner(small.dataset, small.corpus, 0).mine(ALL, 8)
    assert (drawn >= len(small.dataset.documents)).any()


def test_the_dense_miner_is_the_whole_model_whatever_the_student_starts_with(
    small: Small, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = small.options("", tiny_encoder, miners=("dense",), mining_depth=4)
    whole = documents(answers(small, given)[0])
    monkeypatch.setattr(DenseMiner, "mine", None)  # the very answer that was kept
    assert np.array_equal(documents(answers(small, dataclasses.replace(given, student_layers=1))[0]), whole)


def test_answers_of_all_miners_with_their_depths(small: Small, tiny_encoder: Path) -> None:
    options = small.options("", tiny_encoder, miners=("labelled", "random", "lexical:3", "dense"), mining_depth=4)
    found = answers(small, options)
    assert [answer.source for answer in found] == [
        Source("labelled", None),
        Source("random", None),
        Source("lexical", 3),
        Source("dense", 4),
    ]
    assert [list(record.negatives) for record in small.dataset] == list(found[0].rows(slice(10)))
    assert [documents(answer).shape for answer in found[1:]] == [(10, 5), (10, 3), (10, 4)]
    pool = small.corpus.different()  # without the copy of query 1's positive
    assert isinstance(pool, Selection) and np.array_equal(pool.ids, np.delete(np.arange(21), 17))
    lexical = LexicalMiner(small.dataset.queries, pool, tokens="auto").mine(ALL, 3)
    lexical = np.where(lexical >= 0, pool.ids[lexical], -1)
    assert np.array_equal(documents(found[2]), lexical)
    for answer in found:  # of some queries alone
        assert list(answer.rows(slice(3, 7))) == list(answer.rows(slice(10)))[3:7]
    assert list(found[2].rows(slice(2))) == [[item for item in row if item >= 0] for row in lexical[:2].tolist()]
    dense = DenseMiner(small.dataset.queries, pool, str(tiny_encoder), precision="fp32", batch_size=4, max_len=32)
    assert np.array_equal(documents(found[3]), pool.ids[dense.mine(ALL, 4)])


def test_an_answer_is_given_again_without_an_index(
    small: Small, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = small.options("", tiny_encoder, miners=("lexical", "dense"), mining_depth=4)
    first = answers(small, options)

    def none(*_: object) -> np.ndarray:
        raise AssertionError("mined again")

    monkeypatch.setattr(LexicalMiner, "mine", none)
    monkeypatch.setattr(DenseMiner, "mine", none)
    again = answers(small, options)
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(documents(one), documents(other))


def test_an_answer_is_not_given_for_anything_else(
    small: Small, tiny_encoder: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mined: list[str] = []
    for kind in (LexicalMiner, DenseMiner):
        own = kind.mine
        monkeypatch.setattr(
            kind, "mine", lambda self, ids, depth, own=own: mined.append(self.name) or own(self, ids, depth)
        )

    def count(changed: Small = small, queries: np.ndarray = ALL, **changes: object) -> list[str]:
        # Words, not what auto finds: loading the morphemes' dictionary takes seconds each time.
        settings = {"miners": ("lexical", "dense"), "mining_depth": 4, "lexical_tokens": "words", **changes}
        mined.clear()
        answers(changed, changed.options("", settings.pop("student", tiny_encoder), **settings), queries)
        return list(mined)

    both = ["lexical", "dense"]
    assert count() == both and count() == []
    assert count(seed=7) == []  # decides nothing here
    assert count(mining_depth=5) == both
    assert count(queries=ALL[:5]) == both
    assert count(queries=ALL[::-1]) == both
    assert count(lexical_tokens="auto") in ([], ["lexical"])  # what auto is for this text decides
    assert count(lexical_tokens="bigrams") == ["lexical"]
    assert count(max_len=8) == ["dense"]
    assert count(query_prompt="find ") == ["dense"]
    assert count(miner_model=str(tiny_teacher)) == ["dense"]
    assert count(miner_model=str(tiny_teacher), max_len=8, query_prompt="x ") == []  # the student's own
    shorter = dataclasses.replace(small, corpus=Corpus(small.dataset.documents))
    assert count(shorter) == both
    path = small.root / "small" / "train.csv"
    path.write_text(path.read_text() + "how to green,returns the green,1\n")
    dataset = load_split(path)
    assert count(dataclasses.replace(small, dataset=dataset, corpus=Corpus(dataset.documents, small.corpus))) == both
    assert count() == []


def test_a_damaged_answer_is_made_again(small: Small, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    options = small.options("", miners=("lexical",))
    first = np.array(documents(answers(small, options)[0]))
    (file,) = (artifacts.cache_dir() / "data").glob("*/mined.npy")
    file.write_bytes(file.read_bytes()[:-8])
    assert np.array_equal(documents(answers(small, options)[0]), first)
    assert "damaged and made again" in capsys.readouterr().err
