"""Candidates counted by hand: what is mined, removed, scored, filtered, topped up and left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bistill.candidates import building, pools
from bistill.candidates.building import build
from bistill.candidates.filtering import Verdict
from bistill.candidates.mining.random_miner import RandomMiner
from bistill.candidates.mining.registry import LABELLED_BIT, NAMES, RANDOM_BIT
from bistill.candidates.pools import ScoredPools
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import (
    CrossEncoderRanked,
    Dense,
    Labelled,
    Lexical,
    Limits,
    Lists,
    MinerSettings,
    Random,
    TeacherReading,
)
from bistill.data.store.corpus import Corpus
from bistill.data.store.opening import load_split
from bistill.errors import DataError
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.settings import EncoderStart
from tests.candidates.conftest import WORDS, Small, import_scores

SEED = 42
LISTS, UNLIMITED = Lists(4), Limits(max_ratio=None)
LEXICAL_BIT = 1 << NAMES.index("lexical")


def logit(relevance: float) -> float:
    return float(np.log(relevance / (1 - relevance)))


def all_scores(small: Small, chosen: dict[tuple[str, str], float], rest: float = 0.05) -> dict[tuple[str, str], float]:
    """Logits of every pair: 0.9 for positives, ``rest`` for others, but for the chosen relevances."""
    scores = {
        (record.query, text): logit(0.9 if number in record.positives else rest)
        for record in small.dataset
        for number, text in enumerate(small.corpus)
    }
    return scores | {pair: logit(relevance) for pair, relevance in chosen.items()}


def built(
    small: Small,
    teacher: Path | str,
    *miners: MinerSettings,
    lists: Lists = LISTS,
    limits: Limits = UNLIMITED,
    epochs: int = 2,
    start: str = "none",
    queries: np.ndarray | None = None,
) -> ScoredPools:
    with Teachers.open([str(teacher)], (), TeacherReading(precision="fp32", batch_size=8)) as teachers:
        return build(
            small.collection,
            np.arange(len(small.dataset)) if queries is None else queries,
            teachers,
            miners=miners or (Labelled(), Random()),
            lists=lists,
            limits=limits,
            epochs=epochs,
            start=EncoderStart(start, max_len=32),
            seed=SEED,
        )


def test_labelled_and_random_candidates_by_hand(small: Small, tiny_teacher: Path) -> None:
    pools = built(small, tiny_teacher)
    random = RandomMiner(small.collection, SEED).mine(np.arange(10), 6)
    assert pools.query_ids.tolist() == list(range(10))
    teacher = CrossEncoder.load(str(tiny_teacher))
    for row, record in enumerate(small.dataset):
        places = 3 - len(record.negatives)  # of K - 1; random documents fill them in each of two epochs
        drawn = random[row][: 2 * places]
        expected = dict.fromkeys(record.negatives, LABELLED_BIT) | dict.fromkeys(drawn, RANDOM_BIT)
        pool = pools[row].candidates
        assert dict(zip(pool.documents.tolist(), pool.sources.tolist(), strict=True)) == expected
        relevant = pools[row].relevant
        assert relevant.documents.tolist() == list(record.positives)
        assert not pool.verdicts.any() and pool.labelled.sum() == len(record.negatives)
        for part in (pool, relevant):
            asked = [(record.query, text) for text in small.corpus.take(part.documents)]
            np.testing.assert_allclose(part.logits, teacher.score(asked), atol=1e-5)
    counts = pools.counts
    assert counts.candidates == {"labelled": 6, "random": 6 * 4 + 4 * 6}
    assert counts.equal_text == 0  # what equals a positive is not drawn
    assert counts.pairs == counts.scored == 11 + 6 + 48
    assert (counts.queries, counts.labelled_positive, counts.ratio, counts.absolute, counts.unscored) == (
        10,
        0,
        0,
        0,
        0,
    )
    assert (counts.topped_up, counts.lowest_kept, counts.short, counts.left_out) == (0, 0, 0, 0)
    assert counts.found_positives == {}
    assert built(small, tiny_teacher).counts.scored == 0


@pytest.mark.parametrize("size", [1, 3, 9])
def test_blocks_of_queries_change_nothing(small: Small, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Neither pools nor counts, whatever is mined, removed, topped up or left out."""
    scores = all_scores(small, {("how to list", "returns the list"): 0.01, ("how to graph", "error in graph"): 0.999})
    del scores["how to map", "returns the map"]  # a query without a scored positive is left out
    teacher = import_scores("blocks", scores)

    def made() -> ScoredPools:
        miners = Labelled(), Lexical(4, "words"), Random(2)
        return built(small, teacher, *miners, lists=Lists(8), limits=Limits(max_ratio=None, max_score=0.5))

    whole = made()
    for module in (building, pools):
        monkeypatch.setattr(module, "POOLS_OF_A_BLOCK", size)
    parts = made()
    assert parts.fingerprint() == whole.fingerprint()
    assert parts.counts == whole.counts
    assert whole.counts.left_out and whole.counts.topped_up and whole.counts.found_positives["lexical"] > 0


def test_random_documents_serve_all_epochs_where_nothing_else_is_mined(small: Small) -> None:
    name = import_scores("all", all_scores(small, {}))
    given = {
        miners: built(small, name, *miners, lists=Lists(3), epochs=3).counts.candidates["random"]
        for miners in (
            (Random(),),
            (Labelled(), Random()),
            (Lexical(2, "words"), Random()),
            (Lexical(2, "words"), Random(4)),
        )
    }
    # Ten queries: K - 1 negatives of each of three epochs, less the labelled ones of six; of one epoch; what is named.
    assert list(given.values()) == [60, 42, 20, 40]


def test_positives_found_by_a_miner_are_counted_and_never_candidates(small: Small) -> None:
    name = import_scores("all", all_scores(small, {}))
    pools = built(small, name, Lexical(3, "words"), Labelled())
    # What shares a word with the query: documents with the query's own word.
    sharing = {
        query: {
            number
            for number, text in enumerate(small.corpus)
            if set(text.lower().split()) & set(small.dataset.queries[query].split())
        }
        for query in range(10)
    }
    assert all(len(found) <= 3 for found in sharing.values())
    positives = {query: set(small.dataset[query].positives) for query in range(10)}
    equal = small.id("Returns  THE list")
    assert equal in sharing[1] and small.id("slow tree") in sharing[5]
    mined = {query: found - positives[query] - {equal} for query, found in sharing.items()}
    counts = pools.counts
    assert counts.candidates == {"lexical": sum(map(len, mined.values())), "labelled": 6}
    assert counts.labelled_positive == sum(len(sharing[query] & positives[query]) for query in range(10)) == 11
    assert counts.found_positives == {"lexical": 1.0}
    assert (counts.equal_text, counts.copies, counts.own_text) == (0, 1, 0)  # each text is searched once
    for query in range(10):
        pool = pools[query].candidates
        sources = dict(zip(pool.documents.tolist(), pool.sources.tolist(), strict=True))
        assert not positives[query] & set(sources) and (query != 1 or equal not in sources)
        for document in mined[query]:
            both = LEXICAL_BIT + LABELLED_BIT * (document in small.dataset[query].negatives)
            assert sources[document] == both


def test_of_each_text_there_is_one_candidate_and_none_of_the_query_or_a_positive(
    tmp_path: Path, small: Small, tiny_teacher: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [
        ["query", "positive", "negative"],
        ["how to list", "the list", "the tree"],
        ["which list", "THE  list", "the MAP"],  # its positive is another spelling of the first one's
        ["the map", "Key to list", "tree list"],  # the query itself is a document
    ]
    dataset = load_split(write_csv(tmp_path / "other.csv", rows))
    corpus = Corpus(dataset.documents, ["ｔｈｅ list", "Tree  LIST", "red list", "the map list"])
    other = dataclasses.replace(small, dataset=dataset, corpus=corpus)
    pools = built(other, tiny_teacher, Lexical(9, "words"), Labelled(), Random(9))
    texts = [corpus.take(np.sort(pools[row].candidates.documents)) for row in range(3)]
    assert texts[0] == ["the tree", "the MAP", "Key to list", "tree list", "red list", "the map list"]
    assert texts[1] == texts[0]  # "the list" is its positive, too
    assert [text.casefold() for text in texts[2]] == ["the list", "the tree", "tree list", "red list", "the map list"]
    labelled = [corpus.take(pool.documents[pool.labelled]) for pool in pools]
    assert labelled == [["the tree"], ["the MAP"], ["tree list"]]
    counts = pools.counts
    assert (counts.own_text, counts.copies) == (1, 3)
    assert counts.equal_text == 1  # "the list", found for the second query
    assert (counts.labelled_positive, counts.found_positives) == (1, {"lexical": 2 / 3})  # the third shares no word


def test_a_miner_gives_as_many_documents_as_asked_beside_copies_and_the_query(
    tmp_path: Path, small: Small, tiny_teacher: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    """Ten spellings of one text and the query itself rank highest; the depth is filled with what stands below."""
    rows = [["query", "positive"], ["red red tree", "blue map"], ["red red tree", "red red tree key"]]
    dataset = load_split(write_csv(tmp_path / "other.csv", [*rows, ["x", "y"]]))
    spellings = [" " * number + "red red tree graph" for number in range(10)]
    others = ["red tree of it", "red of it all", "tree of it all is", "it is"]
    corpus = Corpus(dataset.documents, ["Red red tree", *spellings, *others])
    other = dataclasses.replace(small, dataset=dataset, corpus=corpus)
    for miner in (Lexical(4, "words"), Dense(4), CrossEncoderRanked(4, lexical=Lexical(4, "words"))):
        pools = built(other, tiny_teacher, miner, lists=Lists(2), start=str(tiny_teacher), queries=np.arange(1))
        found = [corpus[int(document)].strip() for document in pools[0].candidates.documents]
        assert "red red tree" not in map(str.lower, found) and len(set(found)) == len(found)
        assert len(found) + pools.counts.labelled_positive == 4
        if isinstance(miner, Lexical):
            assert set(found) == {"red red tree graph", *others[:2]}


def test_limits_remove_all_but_labelled_and_irrelevant_candidates(small: Small) -> None:
    chosen = {
        ("how to sort", "returns the red"): 0.88,  # above 0.95 * 0.9
        ("how to sort", "returns the map"): 0.85,  # below
        ("how to sort", "error in sort"): 0.99,  # labelled
        ("how to set", "returns the set"): 0.08,  # its only positive is missed by the teacher
        ("how to set", "returns the red"): 0.09,  # above its share, but irrelevant
        ("how to set", "returns the map"): 0.11,  # neither
        ("how to map", "returns the red"): 0.95,  # above both limits
    }
    name = import_scores("all", all_scores(small, chosen))
    miners = Labelled(), Random(99)
    pools = built(small, name, *miners, limits=Limits(max_ratio=0.95, irrelevant_below=0.1))

    def verdict(query: str, text: str, pools: ScoredPools = pools) -> int:
        pool = pools[WORDS.index(query)]
        return int(pool.verdicts[pool.documents.tolist().index(small.id(text))])

    assert verdict("sort", "returns the red") == Verdict.RATIO
    assert verdict("sort", "returns the map") == verdict("sort", "error in sort") == Verdict.KEPT
    assert verdict("set", "returns the red") == Verdict.KEPT
    assert verdict("set", "returns the map") == Verdict.RATIO
    assert (pools.counts.ratio, pools.counts.absolute) == (3, 0)
    assert (pools.counts.pairs, pools.counts.equal_text) == (
        200,
        0,
    )  # no text is drawn twice, no copy of a positive once
    other = built(small, name, *miners, limits=Limits(max_ratio=None, max_score=0.84))
    assert (other.counts.ratio, other.counts.absolute) == (0, 3)
    assert verdict("sort", "returns the map", other) == verdict("map", "returns the red", other) == Verdict.ABSOLUTE
    assert verdict("sort", "error in sort", other) == Verdict.KEPT


def test_queries_with_too_few_candidates_get_random_ones(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    name = import_scores("all", all_scores(small, {}))
    pools = built(small, name, Labelled(), lists=Lists(6))
    assert (pools.counts.topped_up, pools.counts.short, pools.counts.equal_text) == (10, 0, 0)
    miner = RandomMiner(small.collection, SEED)
    for row, record in enumerate(small.dataset):
        drawn = miner.draw(row, 5 - len(record.negatives))
        assert pools[row].candidates.documents.tolist() == [*record.negatives, *drawn]
        assert pools[row].candidates.sources.tolist() == [LABELLED_BIT] * len(record.negatives) + [RANDOM_BIT] * len(
            drawn
        )
    assert pools.counts.candidates == {"labelled": 6}
    assert "10 of 10 queries had too few candidates and got random documents" in capsys.readouterr().err


def test_what_was_filtered_is_not_drawn_again(small: Small) -> None:
    # Of query 6 every document but one is nearly as relevant as the positive.
    high = {("how to graph", text): 0.89 for text in small.corpus} | {
        ("how to graph", "returns the graph"): 0.9,
        ("how to graph", "parse json"): 0.2,
    }
    name = import_scores("all", all_scores(small, high))
    pool = built(small, name, Random(5), limits=Limits(max_ratio=0.95))[6].candidates
    assert len(set(pool.documents.tolist())) == len(pool.documents)
    drawn = RandomMiner(small.collection, SEED).mine(np.array([6]), 5)[0]
    again = RandomMiner(small.collection, SEED).mine(np.array([6]), 8)[0]
    need = 3 - (small.id("parse json") in drawn)
    assert pool.documents.tolist() == again[: 5 + need]


def test_a_query_whose_every_candidate_is_filtered_keeps_the_lowest(
    small: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    high = {("how to graph", text): 0.89 for text in small.corpus} | {
        ("how to graph", "returns the graph"): 0.9,
        ("how to graph", "returns the red"): 0.87,
    }
    name = import_scores("all", all_scores(small, high))
    pools = built(small, name, Random(99), limits=Limits(max_ratio=0.95))
    kept = pools[6].documents[pools[6].kept]
    assert small.corpus.take(kept) == ["returns the red"]
    assert (pools.counts.lowest_kept, pools.counts.short, pools.counts.ratio) == (1, 1, len(small.corpus) - 3)
    assert "1 of 10 queries had no other candidates and keep the least relevant of these" in capsys.readouterr().err


def test_a_corpus_smaller_than_the_list(small: Small, tiny_teacher: Path) -> None:
    pools = built(small, tiny_teacher, lists=Lists(50))
    sizes = [len(pool.candidates.documents) for pool in pools]
    assert sizes == [20 - len(record.positives) for record in small.dataset]  # two of 21 documents are one text
    assert (pools.counts.short, pools.counts.topped_up, pools.counts.left_out) == (10, 0, 0)
    assert pools.counts.scored == pools.counts.pairs == 200


def test_without_a_scored_positive_a_query_is_left_out(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    scores = all_scores(small, {})
    del scores["how to sort", "returns the sort"]  # its only positive
    del scores["how to file", "open the file"]  # one of two
    name = import_scores("some", scores)
    pools = built(small, name)
    assert pools.query_ids.tolist() == [0, 1, *range(3, 10)]
    assert small.corpus.take(pools[0].relevant.documents) == ["returns the file"]
    assert (pools.counts.queries, pools.counts.left_out, pools.counts.unscored) == (9, 1, 2)
    assert "1 of 10 queries have no negative or no scored positive and are left out" in capsys.readouterr().err


def test_without_any_scored_negative_a_query_is_left_out(small: Small) -> None:
    scores = {pair: value for pair, value in all_scores(small, {}).items() if pair[0] != "how to sort"}
    scores["how to sort", "returns the sort"] = 3.0
    pools = built(small, import_scores("some", scores))
    assert pools.query_ids.tolist() == [0, 1, *range(3, 10)]
    assert pools.counts.left_out == 1


def test_random_documents_without_an_imported_score_are_counted_as_unscored(small: Small) -> None:
    scores = {
        (record.query, text): 1.0
        for record in small.dataset
        for text in small.corpus.take([*record.positives, *record.negatives])
    }
    pools = built(small, import_scores("labelled", scores), Labelled(), lists=Lists(3))
    assert pools.query_ids.tolist() == list(range(6))
    # One of the six with a labelled negative, two of the four without: nobody scored what was drawn.
    assert (pools.counts.unscored, pools.counts.topped_up, pools.counts.short) == (6 + 4 * 2, 0, 6)


def test_scores_of_other_texts_are_an_error(small: Small) -> None:
    name = import_scores("other", {("who", "knows"): 1.0})
    with pytest.raises(DataError, match=r"no query has a scored positive and a negative\n  found: 10 queries, \d+ pai"):
        built(small, name)


def test_pools_of_some_queries_are_those_of_all(small: Small, tiny_teacher: Path) -> None:
    every, some = built(small, tiny_teacher), built(small, tiny_teacher, queries=np.array([7, 2]))
    assert some.query_ids.tolist() == [7, 2] and some.counts.scored == 0
    for row, query in enumerate((7, 2)):
        assert np.array_equal(some[row].documents, every[query].documents)
        assert np.array_equal(some[row].logits, every[query].logits)
    assert small.dataset[2].negatives[0] in some[1].documents
