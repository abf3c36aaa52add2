"""Ranking measures against hand-computed values and independent implementations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bistill.evaluation.measures import ranking
from tests.documented import documented, entry


def test_gains_by_hand() -> None:
    assert ranking.gains([1.0, 0.5, 0.004, 0.336]) == [100, 50, 1, 34]


def test_ranking_by_hand() -> None:
    qrels = {"a": {"d1": 100, "d3": 50}, "b": {"d9": 100}}
    run = {"a": {"d1": 0.2, "d2": 0.9, "d3": 0.1}, "c": {"d1": 1.0}}
    found = ranking.figures_by_query(qrels, run)
    # ranks of a: d2, d1 (gain 100), d3 (gain 50)
    ideal = 100 / math.log2(2) + 50 / math.log2(3)
    assert found["a"]["ndcg_at_10"] == pytest.approx((100 / math.log2(3) + 50 / math.log2(4)) / ideal)
    assert found["a"]["mrr_at_10"] == 0.5
    assert found["a"]["map"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert (found["a"]["recall_at_1"], found["a"]["recall_at_10"]) == (0.0, 1.0)
    assert set(found["b"].values()) == {0.0}
    assert ranking.figures(qrels, run)["mrr_at_10"] == 0.25


def test_reciprocal_rank_ends_at_ten_and_recall_at_hundred() -> None:
    run = {"q": {f"d{rank:03d}": -float(rank) for rank in range(1, 151)}}
    found = ranking.figures({"q": {"d011": 1, "d101": 1}}, run)
    assert found["mrr_at_10"] == 0.0
    assert found["recall_at_10"] == 0.0
    assert found["recall_at_100"] == 0.5
    assert found["map"] == pytest.approx((1 / 11 + 2 / 101) / 2)


def random_case(
    queries: int = 20, documents: int = 150
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    random = np.random.default_rng(2)
    names = [f"d{number}" for number in range(documents)]
    qrels = {
        f"q{query}": {str(name): int(random.integers(1, 101)) for name in random.choice(names, 4, replace=False)}
        for query in range(queries)
    }
    run = {
        query: {name: float(score) for name, score in zip(names, random.normal(size=documents), strict=True)}
        for query in qrels
    }
    return qrels, run


def test_ranking_equals_ir_measures() -> None:
    import ir_measures
    from ir_measures import AP, RR, R, nDCG

    qrels, run = random_case()
    expected = ir_measures.calc_aggregate([nDCG @ 10, RR @ 10, AP, R @ 1, R @ 10, R @ 100], qrels, run)
    found = ranking.figures(qrels, run)
    assert found == pytest.approx(
        {name: expected[ir_measures.parse_measure(measure.of)] for name, measure in ranking.MEASURES.items()}
    )


def test_ranking_equals_numpy_and_sklearn() -> None:
    from sklearn.metrics import average_precision_score, ndcg_score

    qrels, run = random_case()
    found = ranking.figures_by_query(qrels, run)
    for query, scores in run.items():
        gain = np.array([qrels[query].get(document, 0) for document in scores])
        values = np.array(list(scores.values()))
        assert found[query]["ndcg_at_10"] == pytest.approx(ndcg_score([gain], [values], k=10), abs=1e-9)
        assert found[query]["map"] == pytest.approx(average_precision_score(gain > 0, values), abs=1e-9)
        top = gain[np.argsort(-values)] > 0
        assert found[query]["recall_at_10"] == pytest.approx(top[:10].sum() / 4)
        assert found[query]["mrr_at_10"] == pytest.approx(max(top[:10] / np.arange(1, 11)))


def test_ranking_ignores_monotone_transforms_order_and_gain_scale() -> None:
    qrels, run = random_case()
    before = ranking.figures(qrels, run)
    squeezed = {
        query: {name: math.exp(scores[name]) for name in reversed(list(scores))} for query, scores in run.items()
    }
    assert ranking.figures(qrels, squeezed) == before
    doubled = {query: {name: 2 * gain for name, gain in gains.items()} for query, gains in qrels.items()}
    assert ranking.figures(doubled, run) == pytest.approx(before)


@pytest.mark.parametrize("name", ["a", "z"])
def test_equal_scores_and_nan_gain_nothing(name: str) -> None:
    flat = {"q": {name: 0.5, "m": 0.5, "n": 0.5}}
    assert ranking.figures({"q": {name: 1}}, flat)["mrr_at_10"] == pytest.approx(1 / 3)
    broken = {"q": {name: math.nan, "m": 0.5}}
    assert ranking.figures({"q": {name: 1}}, broken)["mrr_at_10"] == 0.5


def test_no_queries_gives_nan() -> None:
    assert all(math.isnan(value) for value in ranking.figures({}, {}).values())


def test_rankings_are_the_dictionaries_that_are_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    documents = np.stack([random.permutation(30)[:12] for _ in range(20)])
    documents[:, 10:] = -1  # places without a document
    scores = random.integers(4, size=documents.shape).astype(np.float32)
    ids = random.permutation(100)[:20].tolist()
    written = {
        str(query): {str(place): float(score) for place, score in zip(row[:10], own[:10], strict=True)}
        for query, row, own in zip(ids, documents.tolist(), scores.tolist(), strict=True)
    }
    found = ranking.Rankings(ids, documents, scores)
    assert found == written and list(found) == list(map(str, ids)) and len(found) == 20
    qrels = {str(query): {str(place): 100 for place in random.integers(30, size=3)} for query in [*ids[:15], 1000]}
    expected = ranking.figures_by_query(qrels, written)
    assert ranking.figures_by_query(qrels, found) == expected
    assert expected["1000"] == dict.fromkeys(ranking.MEASURES, 0.0)
    for size in (1, 4, 15):
        monkeypatch.setattr(ranking, "RANKINGS_AT_ONCE", size)
        assert ranking.figures_by_query(qrels, found) == expected


def test_the_measure_of_the_document_is_a_function_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ir_measures

    module = documented("bistill/evaluation/measures/r_precision.py", tmp_path, monkeypatch)
    entries = entry("MEASURES", Measure=ranking.Measure, r_precision=module.r_precision)
    monkeypatch.setattr(ranking, "MEASURES", {**ranking.MEASURES, **entries})
    qrels, run = random_case(documents=12)
    found = ranking.figures_by_query(qrels, run)
    expected = {item.query_id: item.value for item in ir_measures.iter_calc([ir_measures.Rprec], qrels, run)}
    assert {query: values["r_precision"] for query, values in found.items()} == expected
    assert len(set(expected.values())) > 2
    assert ranking.figures(qrels, run)["r_precision"] == pytest.approx(np.mean(list(expected.values())))
    # Ties stand with the irrelevant documents first; a query without a ranking counts 0.
    tied = ranking.figures_by_query({"q": {"a": 100}, "r": {"a": 100}}, {"q": {"a": 0.5, "m": 0.5}})
    assert (tied["q"]["r_precision"], tied["r"]["r_precision"]) == (0.0, 0.0)


def test_a_measure_of_ones_own_sees_gains_from_the_best_rank_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[list[int], list[int]]] = []

    def watch(found: Sequence[int], relevant: Sequence[int]) -> float:
        seen.append((list(found), list(relevant)))
        return 1.0

    monkeypatch.setitem(ranking.MEASURES, "watch", ranking.Measure("watch", watch))
    ranking.figures({"q": {"a": 50, "b": 100, "c": 20}}, {"q": {"b": 0.1, "x": 0.9, "a": 0.5}})
    assert seen == [([0, 50, 100], [100, 50, 20])]


def test_measures_of_partly_judged_files_by_hand() -> None:
    judged = {"q": {"a": 100, "b": 0, "c": 50, "d": 0, "e": 100}}
    run = {"q": {"x": 9.0, "b": 8.0, "a": 7.0, "y": 6.0, "d": 5.0, "c": 4.0, **{f"z{n:02d}": -n for n in range(9)}}}
    found = ranking.figures_by_query(judged, run, ranking.PARTLY_JUDGED)["q"]
    assert found["judged_at_10"] == 4 / 10
    # the judged documents alone: b, a (gain 100), d, c (gain 50); e is not found
    ideal = 100 + 100 / math.log2(3) + 50 / math.log2(4)
    assert found["condensed_ndcg_at_10"] == pytest.approx((100 / math.log2(3) + 50 / math.log2(5)) / ideal)
    # above a stands one of the two irrelevant ones, above c both
    assert found["bpref"] == pytest.approx(((1 - 1 / 2) + (1 - 2 / 2) + 0) / 3)


def test_documents_that_nobody_judged_change_neither_condensed_ndcg_nor_bpref() -> None:
    qrels, run = random_case()
    names = list(next(iter(run.values())))
    judged = {query: {**dict.fromkeys(names[:30], 0), **relevant} for query, relevant in qrels.items()}
    alone = {query: {name: run[query][name] for name in judged[query]} for query in run}
    whole, without = (ranking.figures_by_query(judged, found, ranking.PARTLY_JUDGED) for found in (run, alone))
    for query in run:
        for name in ("condensed_ndcg_at_10", "bpref"):
            assert whole[query][name] == pytest.approx(without[query][name])
        assert without[query]["judged_at_10"] == 1
        assert without[query]["condensed_ndcg_at_10"] == pytest.approx(
            ranking.figures_by_query(qrels, alone)[query]["ndcg_at_10"]
        )
    assert ranking.means(whole)["judged_at_10"] < 0.5
