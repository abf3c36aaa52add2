"""What stands on the terminal."""

from __future__ import annotations

from typing import Any

import pytest

from bistill.evaluation.report import summary, verdict
from tests.evaluation.conftest import Evaluated


def test_intervals_say_where_they_end() -> None:
    item = {"difference": 0.0304, "low": -0.001, "high": 0.0616}
    assert summary.signed(item) == "+0.030 (-0.001 to +0.062)"
    assert summary.signed(None) == "-"
    assert summary.bounds({"low": None, "high": 0.5}, "{:.2f}") == "(unbounded to 0.50)"
    assert summary.bounds({"low": None, "high": None}, "{:.0%}") == "(unbounded)"


def test_a_difference_stands_above_its_interval(everything: Evaluated, capsys: pytest.CaptureFixture[str]) -> None:
    found = everything.result["comparisons"]["student_minus_base"]["ndcg_at_10"]
    summary.print_summary(everything.result)
    lines = capsys.readouterr().out.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("differences"))
    row = next(place for place, line in enumerate(lines) if place > start and "nDCG@10" in line)
    assert lines[row].split("│")[2].strip() == f"{found['difference']:+.3f}"
    assert lines[row + 1].split("│")[2].strip() == summary.bounds(found, "{:+.3f}")
    assert max(map(len, lines[start : row + 2])) <= 120


def test_everything_measured_is_said(everything: Evaluated, capsys: pytest.CaptureFixture[str]) -> None:
    summary.print_summary(everything.result)
    printed = capsys.readouterr().out
    for said in (
        "uniformity, labelled", "uniformity, random",
        "student - base", "student - bm25", "student - compared", "with shuffled queries", "best F1",
        "expected calibration error", "not trained on", "re-ranks the first 5 documents of the base model",
    ):  # fmt: skip
        assert said in printed


def test_the_worst_queries_come_last_in_lines_of_a_terminal(
    everything: Evaluated, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = everything.result["failures"]
    worst = {**failures["worst"][0], "query": "가 " * 50 + "끝", "ranks": {"student": None}}
    long = {**everything.result, "failures": {"queries": 7, "worst": [worst]}}
    summary.print_summary(long)
    *_, said, query, first, expected = capsys.readouterr().out.splitlines()
    assert said == (
        "7 of 24 queries have documents above their first relevant one "
        "(all queries: bi_encoder_evaluation_queries.csv). The worst:"
    )
    assert query == "  query     " + "가 " * 21 + "가…"
    assert first == f"  rank 1    {worst['above'][0]['document']}"
    assert expected == f"  expected  {worst['positive']['document']}"
    summary.print_summary({**long, "failures": {"queries": 0, "worst": []}})
    assert "above their first relevant" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        ({"useless": "finds_few", "recall": 0.004, "precision": 1.0}, "finds 0.4% of the relevant pairs"),
        (
            {"useless": "keeps_all", "recall": 1.0, "precision": 0.2},
            "lets nearly all pairs count, 20.0% of them relevant",
        ),
        ({"useless": None, "recall": 0.5, "precision": 0.9}, None),
        ({"recall": 0.004, "precision": 1.0}, None),  # a report of an earlier version
    ],
)
def test_a_threshold_of_no_use_says_why(cut: dict[str, Any], said: str | None) -> None:
    assert summary.useless(cut) == said


def test_thresholds_of_no_use_are_said(everything: Evaluated) -> None:
    found = everything.result["thresholds"]
    cut = {**found["random_negatives"]["best_f1"], "useless": "finds_few", "recall": 0.05}
    cuts = {"labelled_negatives": None, "random_negatives": {"best_f1": None, "precision_95": cut}}
    said = list(summary.sentences({**everything.result, "thresholds": {**found, **cuts}}))
    assert [text for text in said if "useless" in text] == [
        'The threshold "lowest with 95 % precision" against random negatives is useless: '
        "it finds 5.0% of the relevant pairs."
    ]


def test_documents_and_verdict_come_first(everything: Evaluated, capsys: pytest.CaptureFixture[str]) -> None:
    summary.print_summary(everything.result)
    first = [summary.ranked_among(everything.result), verdict.verdict(everything.result)]
    assert capsys.readouterr().out.splitlines()[:2] == first


def test_what_a_handful_of_queries_cannot_tell_is_not_printed(
    everything: Evaluated, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = (
        "differences and their",
        "interval",
        "Cosine of the best F1",
        "expected calibration",
        "higher than the base",
    )
    summary.print_summary(everything.result)
    whole = capsys.readouterr().out
    assert all(said in whole for said in shown)
    few = {**everything.result, "counts": {**everything.result["counts"], "queries": 3}}
    summary.print_summary(few)
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].startswith("Too few queries to tell")
    assert not any(said in printed for said in shown)
    assert "nDCG@10" in printed and "above their first relevant" in printed
    assert len(printed.splitlines()) < len(whole.splitlines()) - 15


def test_a_row_without_a_figure_is_not_printed(everything: Evaluated, capsys: pytest.CaptureFixture[str]) -> None:
    separation = {
        role: {**found, "labelled_negatives": {}} for role, found in everything.result["separation"].items() if found
    }
    summary.print_summary({**everything.result, "separation": separation})
    table = capsys.readouterr().out.partition("differences and their")[0]
    assert "AUC, random" in table and "AUC, labelled" not in table


def test_what_limits_the_verdict_stands_before_the_other_figures(everything: Evaluated) -> None:
    comparisons = {**everything.result["comparisons"], "gap_closed": {"share": 0.62, "low": 0.41, "high": 0.9}}
    said = list(summary.sentences({**everything.result, "comparisons": comparisons}))
    share = "Share of the teacher's lead over the base in nDCG@10 that the student has: 62% (41% to 90%)."
    assert said.index(share) < next(place for place, text in enumerate(said) if text.startswith("Margin"))


def test_columns_are_of_what_was_measured(everything: Evaluated) -> None:
    assert summary.shown_roles(everything.result) == ["base", "bm25", "teacher", "student", "compared"]
    ranking = {**everything.result["ranking"], "teacher": None, "bm25": None, "compared": None}
    assert summary.shown_roles({**everything.result, "ranking": ranking}) == ["base", "teacher", "student"]
