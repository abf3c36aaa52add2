"""What an evaluation comes to, told by intervals: the verdict, shares of a lead, and the best figure of a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bistill.evaluation.measures.ranking import MEASURES

MEASURE: Final = "ndcg_at_10"
TITLE: Final = MEASURES[MEASURE].title
# Figures of separation of which more is better; of the others neither more nor less is better for every data set.
RISING: Final = ("margin, labelled", "margin, random", "AUC, labelled", "AUC, random")
DECIMALS: Final = 4


def verdict(result: Mapping[str, Any]) -> str:
    """One sentence: whether the student ranks better than the base model, by nDCG@10 and its paired interval."""
    ranked, queries = result["ranking"], result["counts"]["queries"]
    student = ranked["student"][MEASURE]
    if not (found := _difference(result, "base")):
        return f"No base model was measured, so there is no verdict: the student has {TITLE} {student:.4f}."
    figures = f"{TITLE} {student:.4f} against {ranked['base'][MEASURE]:.4f}, {_interval(result, found)}"
    over = f"over {queries:,} queries"
    match finding(found):
        case "better":
            return f"The student ranks better than the base model: {figures}, {over}."
        case "worse":
            return f"The student ranks worse than the base model: {figures}, {over}."
        case "same":
            return (
                f"The student ranks exactly like its base model: {TITLE} {student:.4f} of both, query by query, {over}."
            )
    return f"Student and base model are not told apart: {figures}, which holds 0, {over}."


def finding(difference: Mapping[str, float]) -> str:
    """ "better" or "worse" where the interval excludes 0, "same" where it is 0 alone, else "undecided"."""
    if difference["low"] > 0:
        return "better"
    if difference["high"] < 0:
        return "worse"
    return "same" if difference["low"] == difference["high"] == 0 else "undecided"


def cautions(result: Mapping[str, Any]) -> Iterator[str]:
    """What a reader of the verdict has to know beside it: BM25 ahead, and what the teacher's lead is worth."""
    if (found := _difference(result, "bm25")) and finding(found) == "worse":
        yield (
            f"BM25 ranks better than the student: {TITLE} {result['ranking']['bm25'][MEASURE]:.4f}, "
            f"student - bm25 {_interval(result, found)}."
        )
    if not (result["ranking"]["base"] and result["ranking"]["teacher"]):
        return
    closed = result["comparisons"]["gap_closed"]
    if not closed:
        yield f"The teacher does not rank better than the base model ({TITLE}): there is no lead to take a share of."
    elif closed["low"] is None or closed["high"] is None:  # some 2.5 % of the draws have no lead: its interval holds 0
        yield f"The teacher's lead over the base model is not told apart from 0 ({TITLE}): no share of it is given."
    else:
        yield (
            f"Share of the teacher's lead over the base in {TITLE} that the student has: "
            f"{closed['share']:.0%} ({closed['low']:.0%} to {closed['high']:.0%})."
        )


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


def _difference(result: Mapping[str, Any], role: str) -> dict[str, float] | None:
    found: dict[str, float] | None = (result["comparisons"][f"student_minus_{role}"] or {}).get(MEASURE)
    return found


def _interval(result: Mapping[str, Any], found: Mapping[str, float]) -> str:
    confidence = result["comparisons"]["confidence"]
    return f"{found['difference']:+.3f} ({confidence:.0%} interval {found['low']:+.3f} to {found['high']:+.3f})"
