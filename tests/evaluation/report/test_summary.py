"""What stands on the terminal."""

from __future__ import annotations

import pytest

from bistill.evaluation.report import summary
from tests.evaluation.conftest import Evaluated


def test_intervals_say_where_they_end() -> None:
    item = {"difference": 0.0304, "low": -0.001, "high": 0.0616}
    assert summary.signed(item) == "+0.030 (-0.001 to +0.062)"
    assert summary.signed(None) == "-"
    assert summary.bounds({"low": None, "high": 0.5}, "{:.2f}") == "(unbounded to 0.50)"
    assert summary.bounds({"low": None, "high": None}, "{:.0%}") == "(unbounded)"


def test_everything_measured_is_said(everything: Evaluated, capsys: pytest.CaptureFixture[str]) -> None:
    summary.print_summary(everything.result)
    printed = capsys.readouterr().out
    for said in (
        "student - base", "student - bm25", "student - compared", "asked by other queries", "best F1",
        "expected calibration error", "not trained on", "re-ranks the first 5 documents of the base model",
    ):  # fmt: skip
        assert said in printed


def test_the_share_of_the_lead_is_said_where_there_is_one(everything: Evaluated) -> None:
    comparisons = {**everything.result["comparisons"], "gap_closed": {"share": 0.62, "low": 0.41, "high": None}}
    said = list(summary.sentences({**everything.result, "comparisons": comparisons}))
    assert "that the student has: 62% (41% to unbounded)." in said[1]


def test_columns_are_of_what_was_measured(everything: Evaluated) -> None:
    assert summary.shown_roles(everything.result) == ["base", "bm25", "teacher", "student", "compared"]
    ranking = {**everything.result["ranking"], "teacher": None, "bm25": None, "compared": None}
    assert summary.shown_roles({**everything.result, "ranking": ranking}) == ["base", "teacher", "student"]
