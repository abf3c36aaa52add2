"""What an evaluation comes to, told by intervals: the verdict, shares of a lead, and the best figure of a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from bistill.evaluation.measures.bootstrap import FEWEST
from bistill.evaluation.measures.ranking import MEASURES, PARTLY_JUDGED
from bistill.evaluation.report.words import said
from bistill.languages import Language

MEASURE: Final = "ndcg_at_10"
TITLE: Final = MEASURES[MEASURE].title
# Figures beside ``MEASURES`` of which more is better; of the others neither more nor less is better for every data set.
RISING: Final = (
    *("margin, labelled", "margin, random", "AUC, labelled", "AUC, random"),
    *(PARTLY_JUDGED[name].title for name in ("condensed_ndcg_at_10", "bpref")),
)
DECIMALS: Final = 4
IN_PART: Final = (
    "The test file was judged in part. Judged of the first 10 documents of each query: {shares}. The others count 0 in "
    "nDCG@10, relevant or not: compare condensed nDCG@10 and bpref, which leave them out."
)
VERDICTS: Final = {
    "few": (
        "Too few queries to tell student and base model apart: {measure} {student} against {base} over {queries}; "
        "at least {fewest} are needed."
    ),
    "better": "The student ranks better than the base model: {figures}, over {queries} queries.",
    "worse": "The student ranks worse than the base model: {figures}, over {queries} queries.",
    "same": (
        "The student ranks exactly like its base model: {measure} {student} of both, query by query, "
        "over {queries} queries."
    ),
    "undecided": "Student and base model are not told apart: {figures}, which holds 0, over {queries} queries.",
}


def verdict(result: Mapping[str, Any], language: Language = "en") -> str:
    """One sentence: whether the student ranks better than the base model, by nDCG@10 and its paired interval."""
    say = partial(said, language)
    ranked, queries = result["ranking"], f"{result['counts']['queries']:,}"
    student = f"{ranked['student'][MEASURE]:.4f}"
    if not (found := _difference(result, "base")):
        text = "No base model was measured, so there is no verdict: the student has {measure} {student}."
        return say(text, measure=TITLE, student=student)
    base = f"{ranked['base'][MEASURE]:.4f}"
    if too_few(result):
        return say(VERDICTS["few"], queries=queries, measure=TITLE, student=student, base=base, fewest=FEWEST)
    interval = _interval(result, found, language)
    figures = say(
        "{measure} {student} against {base}, {interval}", measure=TITLE, student=student, base=base, interval=interval
    )
    return say(VERDICTS[finding(found)], figures=figures, queries=queries, measure=TITLE, student=student)


def too_few(result: Mapping[str, Any]) -> bool:
    """Whether the queries are fewer than an interval can tell anything about."""
    return bool(result["counts"]["queries"] < FEWEST)


def finding(difference: Mapping[str, float]) -> str:
    """ "better" or "worse" where the interval excludes 0, "same" where it is 0 alone, else "undecided"."""
    if difference["low"] > 0:
        return "better"
    if difference["high"] < 0:
        return "worse"
    return "same" if difference["low"] == difference["high"] == 0 else "undecided"


def cautions(result: Mapping[str, Any], language: Language = "en") -> Iterator[str]:
    """What a reader of the verdict has to know beside it: BM25 ahead, and what the teacher's lead is worth; nothing
    where the queries are too few to tell."""
    if too_few(result):
        return
    if (found := _difference(result, "bm25")) and finding(found) == "worse":
        bm25, interval = f"{result['ranking']['bm25'][MEASURE]:.4f}", _interval(result, found, language)
        text = "BM25 ranks better than the student: {measure} {bm25}, student - bm25 {interval}."
        yield said(language, text, measure=TITLE, bm25=bm25, interval=interval)
    if not (result["ranking"]["base"] and result["ranking"]["teacher"]):
        return
    closed = result["comparisons"]["gap_closed"]
    if not closed:
        text = "The teacher does not rank better than the base model ({measure}): there is no lead to take a share of."
        yield said(language, text, measure=TITLE)
    elif closed["low"] is None or closed["high"] is None:  # some 2.5 % of the draws have no lead: its interval holds 0
        text = "The teacher's lead over the base model is not told apart from 0 ({measure}): no share of it is given."
        yield said(language, text, measure=TITLE)
    else:
        text = "Share of the teacher's lead over the base in {measure} that the student has: {share} ({low} to {high})."
        ends = {name: f"{closed[name]:.0%}" for name in ("share", "low", "high")}
        yield said(language, text, measure=TITLE, **ends)


def best(title: str, values: Sequence[float | None]) -> frozenset[int]:
    """Places of the highest figures of a row, equal ones as shown together.

    Empty where less than two figures are there, where all are equal, and where more is not better.

    Args:
        title: of the row, as ``summary.figures`` has it.
        values: of each column.
    """
    shown = [None if value is None else round(value, DECIMALS) for value in values]
    there = [value for value in shown if value is not None]
    rising = title in RISING or any(title == measure.title for measure in MEASURES.values())
    if not rising or len(there) < 2 or min(there) == max(there):
        return frozenset()
    return frozenset(place for place, value in enumerate(shown) if value == max(there))


def judged_in_part(result: Mapping[str, Any], language: Language = "en") -> Iterator[str]:
    """Of a test file that was judged in part: how much of each ranking was judged, and what to read beside nDCG@10."""
    if "judged_at_10" not in result["ranking"]["student"]:
        return
    shares = (
        f"{said(language, role)} {found['judged_at_10']:.0%}"
        for role, found in result["ranking"].items()
        if isinstance(found, Mapping)
    )
    yield said(language, IN_PART, shares=", ".join(shares))


def _difference(result: Mapping[str, Any], role: str) -> dict[str, float] | None:
    found: dict[str, float] | None = (result["comparisons"][f"student_minus_{role}"] or {}).get(MEASURE)
    return found


def _interval(result: Mapping[str, Any], found: Mapping[str, float], language: Language) -> str:
    figures = {name: f"{found[name]:+.3f}" for name in ("difference", "low", "high")}
    confidence = f"{result['comparisons']['confidence']:.0%}"
    return said(language, "{difference} ({confidence} interval {low} to {high})", confidence=confidence, **figures)
