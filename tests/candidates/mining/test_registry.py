"""Miners beside those of the package: a user's own, and the one of ``docs/extending.md``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill import own_classes
from bistill.candidates import inspection
from bistill.candidates.building import build
from bistill.candidates.depths import Depths
from bistill.candidates.mining import registry
from bistill.candidates.mining.miners import Mined, mine
from bistill.candidates.scores.teachers import CachedTeacher, Teachers
from bistill.candidates.settings import Labelled, Limits, Lists, Random, TeacherReading
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.opening import load_split
from bistill.errors import OptionError
from bistill.models.settings import EncoderStart
from tests.candidates.conftest import Small
from tests.documented import documented, entry

NOTHING = EncoderStart("none")


class Neighbours:
    """The documents whose ids follow that of the query."""

    def __init__(self, name: str = "neighbours", step: int = 1) -> None:
        self.name, self.step, self.asked = name, step, 0

    def fingerprint(self) -> str:
        return f"step {self.step}" if self.step else ""

    def mine(self, query_ids: np.ndarray, depth: int) -> np.ndarray:
        self.asked += 1
        return query_ids[:, None] + self.step * np.arange(1, depth + 1)


class Given(Neighbours):
    """The same ids for every query."""

    def __init__(self, ids: Any) -> None:
        super().__init__("given")
        self.ids = ids

    def fingerprint(self) -> str:
        return str(self.ids)

    def mine(self, query_ids: np.ndarray, depth: int) -> np.ndarray:
        return np.array([self.ids] * len(query_ids))


def answers(small: Small, *miners: Any, own: int = 3) -> list[Mined]:
    depths, teachers = Depths(own, epochs=1, mined=True), Teachers([], [])
    ids = np.arange(4)
    return mine(small.collection, ids, miners, depths=depths, start=NOTHING, seed=0, teachers=teachers)


def test_a_users_own_miner_has_the_next_bit_and_gives_ids_of_the_corpus(small: Small) -> None:
    labelled, own, other = answers(small, Labelled(), Neighbours(), Neighbours("others", step=2))
    assert [(answer.name, answer.bit) for answer in (labelled, own, other)] == [
        ("labelled", 1),
        ("neighbours", 32),
        ("others", 64),
    ]
    # four for every three places of a list
    assert list(own.rows(slice(4))) == [[query + place for place in (1, 2, 3, 4)] for query in range(4)]
    assert list(other.rows(slice(1, 2))) == [[3, 5, 7, 9]]


def test_of_copies_in_an_answer_the_first_document_stands_once(small: Small) -> None:
    copy, first = small.id("Returns  THE list"), small.id("returns the list")
    (answer,) = answers(small, Given([5, copy, first, -1]))
    assert list(answer.rows(slice(1))) == [[5, first]]


def test_an_answer_is_kept_by_the_source_and_the_fingerprint_of_a_miner(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    miners = [Neighbours(), Neighbours(), Neighbours(step=2), Neighbours(step=0), Neighbours(step=0)]
    for miner in miners:
        answers(small, miner)
    assert [miner.asked for miner in miners] == [1, 0, 1, 1, 1]  # "" is mined each time
    known = registry.identity(miners[0])
    assert known["kind"] == f"{__name__}.Neighbours" and known["settings"] == "step 1" and len(known["source"]) == 64
    assert registry.identity(Given([1]))["source"] != known["source"]

    def no_source(_: object) -> str:
        raise OSError("could not get source code")

    monkeypatch.setattr(own_classes.inspect, "getsource", no_source)
    again = Neighbours()
    answers(small, again)
    assert again.asked == 1 and registry.identity(again)["source"] is None


@pytest.mark.parametrize(
    ("miners", "message"),
    [
        ([Neighbours(), Neighbours()], "`miners`: two miners have one name\n  found: 'neighbours'"),
        ([Neighbours("lexical")], "`miners`: the name of a miner of bistill\n  found: 'lexical'"),
        ([Neighbours(str(n)) for n in range(4)], "`miners`: too many miners\n  found: .*\n  do: give 3 of your own"),
        ([Given([0, 99])], "given: a miner gives an array of ids of the corpus"),
        ([Given([0, -2])], "given: a miner gives an array of ids of the corpus"),
        ([Given([0.5])], "given: a miner gives an array of ids of the corpus"),
        ([Given(3)], "given: a miner gives an array of ids of the corpus"),
    ],
)
def test_own_miners_that_cannot_be_used_are_errors(small: Small, miners: list[Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        answers(small, *miners)


def test_the_miner_of_the_document_serves_beside_the_others(
    tmp_path: Path,
    tiny_teacher: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_csv: Callable[[Path, list[list[str]]], Path],
) -> None:
    opening: Any = documented("bistill/candidates/mining/opening.py", tmp_path, monkeypatch).Opening
    monkeypatch.setattr(registry, "MINERS", (*registry.MINERS, opening))
    monkeypatch.setattr(registry, "NAMES", (*registry.NAMES, "opening"))
    with pytest.raises(OptionError, match=r"`Opening\.letters`: the value is out of range"):
        opening(letters=0)
    rows = [["query", "positive"], ["sort a list", "sort it"], ["read a file", "open it"]]
    dataset = load_split(write_csv(tmp_path / "rows.csv", rows))
    corpus = Corpus(dataset.documents, ["sort of tree", "sorted map", "reads json", "red"])
    with Teachers.open([str(tiny_teacher)], (), TeacherReading(precision="fp32")) as teachers:
        pools = build(
            Collection(dataset, corpus),
            np.arange(2),
            teachers,
            miners=[Random(1), opening(6, letters=4)],
            lists=Lists(2),
            limits=Limits(max_ratio=None),
            epochs=1,
            start=NOTHING,
            seed=0,
        )
    found = [{corpus[int(n)] for n in pool.documents[pool.sources & 32 > 0]} for pool in pools]
    assert found == [{"sort of tree", "sorted map"}, {"reads json"}]
    assert inspection.by_miner(pools)["opening"]["candidates"] == 3
    assert pools.counts.found_positives == {"opening": 0.5}  # "sort it"


def test_the_kind_of_teacher_of_the_document_scores(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documented("bistill/candidates/scores/overlap.py", tmp_path, monkeypatch)
    from bistill.candidates.scores import teachers as module

    monkeypatch.setattr(module, "KINDS", {**entry("KINDS"), **module.KINDS})
    pairs = np.array([(0, small.id("returns the file")), (0, small.id("slow tree"))])
    names = ("overlap:", "scores:bought", "models/teacher", "BAAI/bge-reranker-v2-m3")
    assert [module.is_model(name) for name in names] == [False, False, True, True]
    with CachedTeacher.open("overlap:", TeacherReading()) as teacher:
        assert not teacher.imported
        found = teacher.logits(small.dataset.queries, small.corpus, pairs, "")
        again = teacher.logits(small.dataset.queries, small.corpus, pairs, "")
    assert (found.scored, again.scored) == (2, 0)
    assert found.logits.tolist() == again.logits.tolist() == [1.0, 0.0]  # "file" is shared
