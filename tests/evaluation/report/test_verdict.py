"""The verdict, the shares of a lead, and the best figure of a row: hand-made figures in, words out."""

from __future__ import annotations

from typing import Any

import pytest

from bistill.evaluation.report import verdict

ROLES = ("base", "bm25", "teacher", "student")


def report(
    base: tuple[float, float, float] | None = (0.04, 0.01, 0.07),
    *,
    bm25: tuple[float, float, float] = (0.2, 0.1, 0.3),
    teacher: bool = True,
    closed: tuple[float, float | None, float | None] | None = None,
) -> dict[str, Any]:
    """Figures of 50 queries: student minus base and minus BM25 with their intervals, share of the teacher's lead."""

    def difference(found: tuple[float, float, float] | None) -> dict[str, Any] | None:
        return {"ndcg_at_10": dict(zip(("difference", "low", "high"), found, strict=True))} if found else None

    figures = dict(zip(ROLES, (0.7, 0.5, 0.8, 0.74), strict=True))
    ranking: dict[str, Any] = {role: {"ndcg_at_10": figure} for role, figure in figures.items()}
    return {
        "counts": {"queries": 1050},
        "ranking": ranking | ({} if base else {"base": None}) | ({} if teacher else {"teacher": None}),
        "comparisons": {
            "confidence": 0.95,
            "student_minus_base": difference(base),
            "student_minus_bm25": difference(bm25),
            "gap_closed": dict(zip(("share", "low", "high"), closed, strict=True)) if closed else None,
        },
    }


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (
            (0.04, 0.01, 0.07),
            "The student ranks better than the base model: nDCG@10 0.7400 against 0.7000, "
            "+0.040 (95% interval +0.010 to +0.070), over 1,050 queries.",
        ),
        (
            (-0.04, -0.07, -0.01),
            "The student ranks worse than the base model: nDCG@10 0.7400 against 0.7000, "
            "-0.040 (95% interval -0.070 to -0.010), over 1,050 queries.",
        ),
        (
            (0.04, 0.0, 0.07),  # an interval that ends at 0 holds it
            "Student and base model are not told apart: nDCG@10 0.7400 against 0.7000, "
            "+0.040 (95% interval +0.000 to +0.070), which holds 0, over 1,050 queries.",
        ),
        (
            (0.0, 0.0, 0.0),
            "The student ranks exactly like its base model: nDCG@10 0.7400 of both, query by query, "
            "over 1,050 queries.",
        ),
        (None, "No base model was measured, so there is no verdict: the student has nDCG@10 0.7400."),
    ],
)
def test_the_verdict_follows_the_interval(difference: tuple[float, float, float] | None, said: str) -> None:
    assert verdict.verdict(report(difference)) == said


@pytest.mark.parametrize(
    ("closed", "said"),
    [
        (
            (0.62, 0.41, 1.1),
            "Share of the teacher's lead over the base in nDCG@10 that the student has: 62% (41% to 110%).",
        ),
        (
            (2.46, None, None),
            "The teacher's lead over the base model is not told apart from 0 (nDCG@10): no share of it is given.",
        ),
        (
            (2.46, 0.3, None),
            "The teacher's lead over the base model is not told apart from 0 (nDCG@10): no share of it is given.",
        ),
        (
            None,
            "The teacher does not rank better than the base model (nDCG@10): there is no lead to take a share of.",
        ),
    ],
)
def test_a_share_is_given_of_a_lead_that_is_told_apart_from_none(
    closed: tuple[float, float | None, float | None] | None, said: str
) -> None:
    assert list(verdict.cautions(report(closed=closed))) == [said]


def test_a_handful_of_queries_tells_nothing() -> None:
    found = report((0.04, 0.01, 0.07), bm25=(-0.1, -0.2, -0.05), closed=(0.62, 0.41, 1.1))
    few = {**found, "counts": {"queries": 5}}
    assert verdict.verdict(few) == (
        "Too few queries to tell student and base model apart: nDCG@10 0.7400 against 0.7000 over 5; "
        "at least 6 are needed."
    )
    assert verdict.verdict(few, "ko") == (
        "쿼리 5개로는 학생 모델과 베이스 모델의 차이를 알 수 없습니다: nDCG@10 0.7400, 베이스 0.7000. "
        "쿼리가 6개 이상 있어야 합니다."
    )
    assert list(verdict.cautions(few)) == []
    enough = {**found, "counts": {"queries": 6}}
    assert verdict.verdict(enough).startswith("The student ranks better") and len(list(verdict.cautions(enough))) == 2


def test_no_teacher_no_share() -> None:
    assert list(verdict.cautions(report(teacher=False))) == []
    assert list(verdict.cautions(report(None))) == []


def test_a_student_below_bm25_is_said() -> None:
    assert list(verdict.cautions(report(bm25=(-0.1, -0.2, -0.05), teacher=False))) == [
        "BM25 ranks better than the student: nDCG@10 0.5000, student - bm25 -0.100 (95% interval -0.200 to -0.050)."
    ]
    assert list(verdict.cautions(report(bm25=(-0.1, -0.2, 0.05), teacher=False))) == []


@pytest.mark.parametrize(
    ("title", "values", "places"),
    [
        ("nDCG@10", (0.5, 0.7, None, 0.6), {1}),
        ("nDCG@10", (0.70001, 0.5, 0.7, None), {0, 2}),  # equal as shown
        ("AUC, random", (0.5, 0.5), set()),
        ("Recall@1", (None, 0.5, None), set()),
        ("mean labelled negative", (0.3, 0.5), set()),  # less would be better, where the positives stay
        ("margin, labelled", (-0.1, -0.2), {0}),
    ],
)
def test_the_best_of_a_row_is_not_always_the_students(
    title: str, values: tuple[float | None, ...], places: set[int]
) -> None:
    assert verdict.best(title, values) == places
