"""What a teacher makes of queries without labels, counted by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bistill.candidates import inspection
from bistill.candidates.building import build
from bistill.candidates.filtering import Verdict
from bistill.candidates.in_batch import DocumentsBeside, InBatchNegatives
from bistill.candidates.judging import judged
from bistill.candidates.lists import CandidateList
from bistill.candidates.mining.registry import LABELLED_BIT, LEXICAL_BIT, RANDOM_BIT
from bistill.candidates.pools import Counts, ScoredPools
from bistill.candidates.promotion import best_labelled, graded, promoted, promoted_beside, searching
from bistill.candidates.scores.cache import ScoreCache
from bistill.candidates.scores.scoring import score
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import (
    CrossEncoderRanked,
    Dense,
    Labelled,
    Lexical,
    Limits,
    Lists,
    Promotion,
    Random,
    TeacherReading,
)
from bistill.data.store.collection import Collection
from bistill.data.store.dataset import Dataset
from bistill.data.store.version import Version
from bistill.errors import DataError
from bistill.models.settings import EncoderStart
from tests.candidates.conftest import Small, import_scores
from tests.candidates.test_building import logit

NAN = float("nan")
WORDS = Lexical(tokens="words")


def scored(*logits: float) -> CandidateList:
    """Documents 10, 11 and so on with their logits; BM25 found all of them."""
    found = CandidateList.unscored(3, (), dict.fromkeys(range(10, 10 + len(logits)), LEXICAL_BIT))
    return dataclasses.replace(found, logits=np.array(logits, dtype=np.float32))


def of(item: CandidateList | None) -> tuple[list[int], list[int]]:
    """Positives, and the candidates that may be negatives."""
    assert item is not None
    return item.relevant.documents.tolist(), item.documents[item.kept].tolist()


def test_the_first_document_is_the_positive_and_those_nearly_as_relevant_are_no_negatives() -> None:
    counts = Counts()
    # 0.5; 0.9; 0.86, above 0.95 times 0.9 = 0.855; 0.85, below; no score
    item = scored(logit(0.5), logit(0.9), logit(0.86), logit(0.85), NAN)
    found = promoted(item, None, Promotion(), Limits(), counts)
    assert of(found) == ([11, 12], [10, 13])
    assert found is not None and found.sources.tolist() == [0, 0, LEXICAL_BIT, LEXICAL_BIT]
    np.testing.assert_allclose(found.relevance, [0.9, 0.86, 0.5, 0.85], atol=1e-6)
    assert (counts.promoted, counts.tied, counts.source_missed, counts.nothing_relevant) == (2, 0, 0, 0)
    assert of(promoted(item, None, Promotion(), Limits(max_ratio=None), counts)) == ([11], [10, 12, 13])
    strict = promoted(item, None, Promotion(), Limits(max_ratio=None, max_score=0.7), counts)
    assert of(strict) == ([11], [10]) and strict is not None
    assert strict.verdicts.tolist() == [Verdict.KEPT, Verdict.KEPT, Verdict.ABSOLUTE, Verdict.ABSOLUTE]


@pytest.mark.parametrize(
    ("source", "rank", "counts_for"),
    [(11, 1, True), (10, 1, False), (10, 2, True), (12, 3, False), (12, 4, True), (14, 4, False), (99, 4, False)],
)
def test_a_query_counts_where_its_source_stands_among_the_first(source: int, rank: int, counts_for: bool) -> None:
    """12 and 13 are level: either stands behind the other. 14 has no score, and 99 is no candidate."""
    counts = Counts()
    item = scored(1.0, 2.0, 0.0, 0.0, NAN)
    found = promoted(item, source, Promotion(source_rank=rank), Limits(), counts)
    assert (found is not None) is counts_for and counts.source_missed == (not counts_for)
    if found is not None:  # the source is no label: the first document is
        assert found.documents[0] == 11


def test_what_the_teacher_finds_irrelevant_is_no_positive() -> None:
    counts = Counts()
    item = scored(logit(0.09), logit(0.01))
    assert promoted(item, None, Promotion(), Limits(), counts) is None
    assert of(promoted(item, None, Promotion(), Limits(irrelevant_below=0.05), counts)) == ([10], [11])
    assert (counts.nothing_relevant, counts.promoted) == (1, 1)
    assert promoted(scored(NAN, NAN), None, Promotion(), Limits(), counts) is None
    assert promoted(scored(), None, Promotion(), Limits(), counts) is None
    assert dataclasses.asdict(counts) == dataclasses.asdict(Counts(nothing_relevant=1, promoted=1))


def test_scores_that_half_precision_makes_equal_keep_their_order_and_ties_are_counted() -> None:
    """All four are 1.0 as relevance in bfloat16, the last two in float32 as well."""
    counts = Counts()
    item = scored(15.0, 8.0, 19.0, 6.5)
    assert (item.relevance == 1.0).tolist() == [False, False, True, False]
    assert of(promoted(item, None, Promotion(), Limits(), counts)) == ([12, 10, 11, 13], [])
    assert counts.tied == 0
    assert of(promoted(scored(2.0, 2.0, 2.0, 2.0), None, Promotion(), Limits(max_ratio=None), counts))[0] == [
        *range(10, 14)
    ]
    assert of(promoted(scored(2.0), None, Promotion(), Limits(), counts)) == ([10], [])
    assert counts.tied == 1


def test_logits_are_cached_as_float32_whatever_precision_they_are_read_in() -> None:
    class Reader:
        source = "a teacher"

        def score(self, pairs: list[tuple[str, str]], *, batch_size: int) -> np.ndarray:
            return np.array([float(document) for _, document in pairs], dtype=np.float32)

    texts = ["6.5", "8", "11", "15"]
    pairs = np.array([[0, number] for number in range(4)])
    with ScoreCache.open({"fingerprint": "in order"}) as cache:
        how = {"batch_size": 4, "description": ""}
        first = score(cache, Reader, ["q"], texts, pairs, **how).logits  # type: ignore[arg-type]
        again = score(cache, None, ["q"], texts, pairs, **how).logits  # type: ignore[arg-type]
    assert first.dtype == again.dtype == np.float32
    assert first.tolist() == again.tolist() == [6.5, 8.0, 11.0, 15.0]


def test_truth_is_the_relevance_of_all_that_is_not_irrelevant() -> None:
    found = graded(scored(logit(0.05), logit(0.5), NAN, logit(0.9), logit(0.11)), Limits())
    assert found is not None and found.documents.tolist() == [13, 11, 14, 10] and found.positives == 3
    np.testing.assert_allclose(found.labels, [0.9, 0.5, 0.11, 0.05], atol=1e-6)
    assert graded(scored(logit(0.09), NAN), Limits()) is None


def test_who_searches_for_queries_without_labels() -> None:
    promotion = Promotion(reads=20)
    given = (Labelled(), Lexical(tokens="words"), Random(3))
    assert searching(given, Lexical(), promotion) == [Lexical(9, "words"), Dense(9), Random(1)]
    assert searching((Random(),), Lexical(tokens="bigrams"), promotion) == [Lexical(9, "bigrams"), Dense(9), Random(1)]
    found = searching((CrossEncoderRanked(), Dense(40)), Lexical(), promotion)
    assert found == [CrossEncoderRanked(6), Dense(40), Lexical(6), Random(1)]


@pytest.fixture
def logged(small: Small, write_csv: Callable[[Path, list[list[str]]], Path]) -> Collection:
    """``small`` with three queries behind its ten: one was made from a document, one has a source that it is not
    about."""
    rows = [["query", "source"], ["sort a list", ""], ["slow tree how", "slow tree"], ["fast graph", "parse json"]]
    write_csv(small.root / "small" / "queries.csv", rows)
    version = Version(small.root, "small")
    found: Dataset = version.unlabelled(small.dataset, rejected_to=small.root)
    assert found.labelled == 10 and found.unlabelled.tolist() == [10, 11, 12]
    return version.collection(found)


def built(collection: Collection, teacher: str, student: Path, query_ids: np.ndarray, **changes: object) -> ScoredPools:
    settings = {"lists": Lists(4), "limits": Limits(), "miners": (Labelled(), Random()), "lexical": WORDS, **changes}
    with Teachers.open([teacher], (), TeacherReading()) as teachers:
        start = EncoderStart(str(student), max_len=32)
        return build(collection, query_ids, teachers, epochs=2, start=start, seed=42, **settings)  # type: ignore[arg-type]


def scores_of(collection: Collection, chosen: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Logits of every pair: relevance 0.8 of what is labelled relevant, 0.05 of others, but for the chosen ones."""
    dataset, corpus = collection
    scores = {
        (record.query, text): logit(0.8 if number in record.positives else 0.05)
        for record in dataset
        for number, text in enumerate(corpus)
    }
    return scores | {pair: logit(relevance) for pair, relevance in chosen.items()}


def test_pools_of_labelled_queries_are_as_ever_and_others_have_the_teachers_positives(
    logged: Collection, tiny_encoder: Path
) -> None:
    chosen = {("sort a list", "returns the sort"): 0.9, ("sort a list", "returns the list"): 0.89}
    chosen |= {("slow tree how", "slow tree"): 0.7, ("fast graph", "returns the graph"): 0.6}
    teacher = import_scores("promoting", scores_of(logged, chosen))
    pools = built(logged, teacher, tiny_encoder, np.arange(13))
    alone = built(logged, teacher, tiny_encoder, np.arange(10))
    assert pools.query_ids.tolist() == [*range(10), 10, 11]  # fast graph was not made from what it is about
    for mine, theirs in zip(pools, alone, strict=False):
        for name in ("documents", "positives", "sources", "verdicts", "logits"):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name)), name
    texts = [logged.corpus.take(pools[row].relevant.documents) for row in (10, 11)]
    assert texts == [["returns the sort", "returns the list"], ["slow tree"]]
    for row in (10, 11):
        others = pools[row].candidates
        assert 3 <= len(others.documents) <= 20 and (others.sources & RANDOM_BIT).any()
        assert not {*pools[row].relevant.documents.tolist()} & {*others.documents.tolist()}
        np.testing.assert_allclose(others.relevance, 0.05, atol=1e-6)
    counts = pools.counts
    assert (counts.queries, counts.unlabelled, counts.promoted, counts.left_out) == (12, 2, 3, 0)
    assert (counts.source_missed, counts.nothing_relevant, counts.tied) == (1, 0, 0)
    assert counts.found_positives == {}  # of labels, which no miner has searched for
    assert (
        built(logged, teacher, tiny_encoder, np.arange(13), promotion=Promotion(source_rank=20)).counts.unlabelled == 3
    )


@pytest.fixture
def taken_out(small: Small, write_csv: Callable[[Path, list[list[str]]], Path]) -> Collection:
    """``small`` with two queries behind its ten that are taken out of one document, and a third that is about it."""
    text = "the slow tree returns the list"
    rows = [["query", "source", "taken_out"], ["slow tree", text, "4-13"], ["the list", text, "22-30"]]
    write_csv(small.root / "small" / "queries.csv", [*rows, ["what is slow", "", ""]])
    version = Version(small.root, "small")
    return version.collection(version.unlabelled(small.dataset, rejected_to=small.root))


def left_scores(collection: Collection, first: float) -> dict[tuple[str, str], float]:
    """Relevance 0.8 of what the first query left of its document, ``first`` of what the second did; 0.9 of the whole
    document for all three."""
    whole = "the slow tree returns the list"
    chosen = {(query, whole): 0.9 for query in ("slow tree", "the list", "what is slow")}
    changed = {("slow tree", "the returns the list"): logit(0.8), ("the list", "the slow tree returns"): logit(first)}
    return scores_of(collection, chosen) | changed


def test_a_query_is_read_beside_what_it_left_of_its_document_and_never_beside_the_whole(
    taken_out: Collection, tiny_encoder: Path
) -> None:
    corpus, texts = taken_out.corpus, taken_out.documents
    whole = list(corpus).index("the slow tree returns the list")
    assert texts.changed(np.arange(10, 13)).tolist() == [len(corpus), len(corpus) + 1, -1]
    teacher = import_scores("left", left_scores(taken_out, 0.7))
    pools = built(taken_out, teacher, tiny_encoder, np.arange(9, 13), lists=Lists(8))
    assert pools.query_ids.tolist() == [9, 10, 11, 12]
    assert [texts.take(pools[row].relevant.documents) for row in (1, 2, 3)] == [
        ["the returns the list"],
        ["the slow tree returns"],
        ["the slow tree returns the list"],
    ]
    for row in (1, 2):
        others = pools[row].candidates.documents
        assert len(others) >= 7 and whole not in others and (others < len(corpus)).all()
    assert (pools.counts.taken_out, pools.counts.unlabelled, pools.counts.source_missed) == (2, 3, 0)
    # As a candidate that does not stand first, it decides whether the query counts.
    missed = import_scores("left low", left_scores(taken_out, 0.04))
    assert built(taken_out, missed, tiny_encoder, np.arange(10, 13)).counts.source_missed == 1


def test_forms_of_a_document_are_no_negatives_of_a_query_that_was_made_from_it(
    taken_out: Collection, tiny_encoder: Path
) -> None:
    teacher = import_scores("forms", left_scores(taken_out, 0.7))
    pools = built(taken_out, teacher, tiny_encoder, np.arange(13), lists=Lists(3))
    rows = np.array([1, 10, 11, 12])
    lists = [pools[int(row)].part(np.array([0])) for row in rows]
    texts = taken_out.documents
    found = [texts.take(documents) for documents in DocumentsBeside(taken_out, pools).of(lists)]
    positive = texts[int(lists[0].documents[0])]
    # The first id of a text stands for all its forms: the whole document, which the last list holds.
    assert found == [["the slow tree returns the list"], [positive], [positive], [positive]]
    extended = InBatchNegatives(taken_out, pools).extended(lists, rows)
    assert [texts.take(item.documents[1:]) for item in extended] == found


def test_held_out_queries_are_judged_beside_whole_documents(taken_out: Collection, tiny_encoder: Path) -> None:
    teacher = import_scores("whole", left_scores(taken_out, 0.7))
    with Teachers.open([teacher], (), TeacherReading()) as teachers:
        start = EncoderStart(str(tiny_encoder), max_len=32)
        how = {"limits": Limits(), "promotion": Promotion(), "lexical": WORDS, "start": start, "seed": 42}
        found = judged(taken_out, np.array([10, 11]), teachers, miners=(Random(),), **how)  # type: ignore[arg-type]
    assert [taken_out.corpus.take(item.relevant.documents) for item in found] == [
        ["the slow tree returns the list"]
    ] * 2


def test_what_stands_above_the_labelled_positive_by_the_margin_becomes_one() -> None:
    """Relevance 0.5 of the best positive; 0.9, 0.7, 0.68, and 0.95 that a person called irrelevant; 0.4."""
    found = CandidateList.unscored(
        3, (7, 8), {9: LEXICAL_BIT, 10: 0, 11: RANDOM_BIT, 12: LABELLED_BIT, 13: LEXICAL_BIT}
    )
    logits = np.array([logit(value) for value in (0.3, 0.5, 0.68, 0.9, 0.7, 0.95, 0.4)], dtype=np.float32)
    verdicts = np.array([0, 0, Verdict.RATIO, Verdict.RATIO, Verdict.RATIO, 0, 0], dtype=np.uint8)
    item = dataclasses.replace(found, logits=logits, verdicts=verdicts)
    made = promoted_beside(item, (7, 8), Promotion(labelled_margin=0.19), Limits())
    assert made.documents.tolist() == [7, 8, 10, 11, 9, 12, 13] and made.positives == 4
    np.testing.assert_allclose(made.relevance, [0.3, 0.5, 0.9, 0.7, 0.68, 0.95, 0.4], atol=1e-6)
    assert made.verdicts.tolist() == [0, 0, 0, 0, Verdict.RATIO, 0, 0]
    assert made.sources.tolist() == [0, 0, 0, 0, LEXICAL_BIT, LABELLED_BIT, LEXICAL_BIT]
    assert best_labelled(made, (7, 8)) == 1 and best_labelled(made, ()) == 2
    assert promoted_beside(item, (7, 8), Promotion(), Limits()) is item
    assert promoted_beside(item, (7, 8), Promotion(labelled_margin=0.41), Limits()) is item
    level = promoted_beside(item, (7, 8), Promotion(labelled_margin=0.0), Limits(irrelevant_below=0.8))
    assert level.documents[: level.positives].tolist() == [7, 8, 10]
    unknown = dataclasses.replace(item, logits=np.where(np.arange(7) < 2, np.float32(NAN), logits))
    assert promoted_beside(unknown, (7, 8), Promotion(labelled_margin=0.0), Limits()) is unknown


def test_pools_with_promoted_documents_beside_labels(small: Small, tiny_encoder: Path) -> None:
    collection = small.collection
    chosen = {("how to list", "returns the sort"): 0.95, ("how to list", "returns the set"): 0.85}
    chosen |= {("how to list", "returns the list"): 0.6, ("how to graph", "returns the graph"): 0.02}
    teacher = import_scores("beside labels", scores_of(collection, chosen))
    how = {"miners": (Labelled(), Random(30)), "lists": Lists(4)}
    queries = np.arange(10)
    plain = built(collection, teacher, tiny_encoder, queries, **how)
    made = built(collection, teacher, tiny_encoder, queries, promotion=Promotion(labelled_margin=0.3), **how)
    assert (plain.counts.promoted_beside, plain.counts.suspect) == (0, 1)
    assert (made.counts.promoted_beside, made.counts.suspect) == (1, 1)
    row = list(collection.dataset.queries).index("how to list")
    assert collection.corpus.take(made[row].relevant.documents) == ["returns the list", "returns the sort"]
    between = list(collection.corpus).index("returns the set")  # above the positive, and not by the margin
    place = made[row].documents.tolist().index(between)
    assert made[row].verdicts[place] == Verdict.RATIO
    for other in range(10):
        if other != row:
            assert np.array_equal(made[other].documents, plain[other].documents)
    (found,) = inspection.promoted(made, collection.dataset)
    assert inspection.promoted(plain, collection.dataset) == []
    assert collection.corpus[found.document] == "returns the sort"
    assert (found.query_id, found.relevance, found.positive_relevance) == (row, pytest.approx(0.95), pytest.approx(0.6))
    # Beside other lists of a batch it is no negative either.
    holds = [CandidateList.unscored(row, (collection.dataset[row].positives[0],), {})]
    holds.append(CandidateList.unscored((row + 1) % 10, (found.document,), {}))
    assert [len(next(iter(DocumentsBeside(collection, pools).of(holds)))) for pools in (plain, made)] == [1, 0]


def test_what_was_promoted_is_no_negative_beside_other_lists(logged: Collection, tiny_encoder: Path) -> None:
    chosen = {("sort a list", "returns the sort"): 0.9, ("sort a list", "returns the list"): 0.89}
    teacher = import_scores("beside", scores_of(logged, chosen))
    pools = built(logged, teacher, tiny_encoder, np.arange(11))
    lists = [
        CandidateList.unscored(row, tuple(pools[row].relevant.documents[:1].tolist()), {}) for row in (1, 2, 3, 10)
    ]
    *_, found = DocumentsBeside(logged, pools).of(lists)
    assert logged.corpus.take(lists[0].documents) == ["returns the list"]
    assert logged.corpus.take(found) == ["returns the set"]  # neither the list nor the sort


def test_a_list_without_negatives_gets_random_ones_and_none_of_its_positives(
    logged: Collection, tiny_encoder: Path
) -> None:
    level = {("sort a list", text): 0.9 for text in list(logged.corpus)[:-3]}
    pools = built(
        logged, import_scores("level", scores_of(logged, level)), tiny_encoder, np.array([10]), lists=Lists(3)
    )
    (pool,) = pools
    assert pools.counts.tied == 1 and pool.positives == pools.counts.promoted > 5
    kept = pool.documents[pool.kept]
    assert 1 <= len(kept) <= 3 and not {*kept.tolist()} & {*pool.relevant.documents.tolist()}


def test_lists_that_the_teachers_judge(logged: Collection, small: Small, tiny_encoder: Path) -> None:
    """The mean of two that nobody could calibrate is the relevance that both give."""
    without = Version(small.root, "small").unlabelled(rejected_to=small.root)
    assert (without.labelled, len(without)) == (0, 3)
    chosen = {("sort a list", "returns the sort"): 0.9, ("sort a list", "returns the list"): 0.3}
    names = [import_scores(f"judge {number}", scores_of(logged, chosen)) for number in range(2)]

    def lists(queries: list[int], **limits: float) -> list[CandidateList]:
        with Teachers.open(names, (), TeacherReading()) as teachers:
            teachers.calibrate(without, seed=42)
            return judged(
                logged,
                np.array(queries, dtype=np.int64),
                teachers,
                miners=(Labelled(), Random()),
                limits=Limits(**limits),  # type: ignore[arg-type]
                promotion=Promotion(),
                lexical=WORDS,
                start=EncoderStart(str(tiny_encoder), max_len=32),
                seed=42,
            )

    (item,) = lists([10, 11])
    assert item.query_id == 10 and item.positives == 2
    assert logged.corpus.take(item.relevant.documents) == ["returns the sort", "returns the list"]
    np.testing.assert_allclose(item.labels[:3], [0.9, 0.3, 0.05], atol=1e-6)
    assert [found.query_id for found in lists([10, 11], irrelevant_below=0.04)] == [10, 11]
    for queries in ([11], []):
        with pytest.raises(DataError, match="finds no relevant document for any of the queries that it judges"):
            lists(queries)
