"""The main figures of a report as tables and sentences on standard output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bistill import artifacts, console
from bistill.evaluation import dimensions
from bistill.evaluation.comparisons import OTHERS
from bistill.evaluation.measures.ranking import MEASURES
from bistill.evaluation.report import moved, verdict
from bistill.evaluation.report.composing import ROLES, SEPARATION_TITLES

# Columns of the table that are there only where they were measured.
OPTIONAL: Final = ("bm25", "compared")
FAILURES_PRINTED: Final = 3
COLUMNS_PRINTED: Final = 68
CUT_TITLES: Final = {
    "best_f1": "best F1",
    "precision_95": "lowest with 95 % precision",
    "recall_95": "highest with 95 % recall",
}


def print_summary(result: Mapping[str, Any]) -> None:
    """Print the verdict, the figures of a report, one column a model, then what they are worth."""
    print(verdict.verdict(result))
    roles = shown_roles(result)
    found = figures(result, roles)
    rows = [[title, *map(number, values)] for title, values in found.items()]
    bold = {(row, 1 + place) for row, item in enumerate(found.items()) for place in verdict.best(*item)}
    counts = result["counts"]
    title = f"{counts['queries']} queries, {counts['documents']} documents; scores are (cosine + 1) / 2"
    console.table(["", *roles], rows, title=title, bold=bold)
    _print_differences(result["comparisons"], measures(result))
    for sentence in (*moved.sentences(result.get("moved")), *sentences(result)):
        print(sentence)
    for line in _failures(result):
        print(line)


def figures(result: Mapping[str, Any], roles: Sequence[str]) -> dict[str, list[float | None]]:
    """Ranking and separation by title, of each role in turn; None where a role has no such figure."""
    ranked = {
        title: [(result["ranking"][role] or {}).get(key) for role in roles] for key, title in measures(result).items()
    }
    separated = {
        title: [(result["separation"].get(role) or {}).get(kind, {}).get(key) for role in roles]
        for title, (kind, key) in SEPARATION_TITLES.items()
    }
    return ranked | separated


def shown_roles(result: Mapping[str, Any]) -> list[str]:
    """Roles with a column: the three that every evaluation is about, and the others where they were measured."""
    return [role for role in ROLES if role not in OPTIONAL or result["ranking"][role]]


def measures(result: Mapping[str, Any]) -> dict[str, str]:
    """Titles of the ranking measures that a report holds: one of another version may lack some."""
    return {name: item.title for name, item in MEASURES.items() if name in result["ranking"]["student"]}


def sentences(result: Mapping[str, Any]) -> Iterator[str]:
    """What beside the tables decides how far the figures can be trusted."""
    if (beside := result.get("beside_start")) and beside["kept"] == "start":
        scores = beside["ndcg_at_10"]
        yield (
            f"The student is its untouched start: on {beside['queries']} validation queries the training gained "
            f"nothing (nDCG@10 trained {number(scores['trained'])}, untouched {number(scores['start'])})."
        )
    yield from verdict.cautions(result)
    teacher = result["models"]["teacher"]
    if "reranks" in teacher:
        yield f"The teacher re-ranks the first {teacher['depth']} documents of the {teacher['reranks']} model."
    yield from _separation_sentences(result)
    yield from dimensions.sentences(result)
    for item in result["forgetting"]:
        scores = item["ndcg_at_10"]
        beside = (
            f", base {scores['base']:.4f}, difference {signed(difference)}"
            if (difference := item["student_minus_base"])
            else ""
        )
        yield f"On {item['test']['path']}, not trained on: nDCG@10 student {scores['student']:.4f}{beside}."
    if gate := result.get("teacher_gate"):
        before = {role: gate[role]["rerank_ndcg_at_10"] for role in ("teacher", "student")}
        yield (
            f"Before distilling, nDCG@10 on the lists of {gate['queries']} validation queries: "
            f"teacher {before['teacher']:.4f}, untouched student {before['student']:.4f}."
        )


def _separation_sentences(result: Mapping[str, Any]) -> Iterator[str]:
    for kind, title in (("labelled_negatives", "labelled"), ("random_negatives", "random")):
        if (shuffled := (result["shuffled_queries"]["student"] or {}).get(kind)) and shuffled["margin"] is not None:
            yield (
                f"Margin over {title} negatives {number(shuffled['true_margin'])}; asked by other queries, "
                f"{number(shuffled['margin'])}."
            )
        for name, cut in (result["thresholds"][kind] or {}).items():
            if cut and (why := useless(cut)):
                yield f'The threshold "{CUT_TITLES[name]}" against {title} negatives is useless: it {why}.'
        if cut := (result["thresholds"][kind] or {}).get("best_f1"):
            yield (
                f"Cosine of the best F1 against {title} negatives: {cut['cosine']['threshold']:.3f} "
                f"{bounds(cut['cosine'], '{:.3f}')}, F1 {cut['f1']:.3f}."
            )
        calibrated = result["calibrated"]["student"]
        if calibrated and (found := calibrated["reliability"][kind]):
            yield (
                f"Calibrated score, positives and {title} negatives: expected calibration error "
                f"{found['expected_calibration_error']:.3f}, Brier score {found['brier']:.3f}."
            )


def _failures(result: Mapping[str, Any]) -> Iterator[str]:
    """The worst queries with their first relevant document and the one that stands first, each text in one line."""
    if not (found := result.get("failures")) or not found["queries"]:
        return
    yield (
        f"{found['queries']:,} of {result['counts']['queries']:,} queries have documents above their first relevant "
        f"one (all queries: {artifacts.EVALUATION_QUERIES}). The worst:"
    )
    for item in found["worst"][:FAILURES_PRINTED]:
        yield f"  query     {_one_line(item['query'])}"
        for above in item["above"][:1]:
            yield f"  rank 1    {_one_line(above['document'])}"
        rank = item["ranks"]["student"]
        yield f"  {f'rank {rank:,}' if rank else 'expected':<9} {_one_line(item['positive']['document'])}"


def _one_line(text: str) -> str:
    """The beginning of a text without line breaks; a Hangul letter takes two columns of a terminal."""
    from rich.cells import cell_len, set_cell_size

    line = " ".join(text.split())
    return line if cell_len(line) <= COLUMNS_PRINTED else set_cell_size(line, COLUMNS_PRINTED - 1).rstrip() + "…"


def useless(cut: Mapping[str, Any]) -> str | None:
    """Why a threshold of the report is of no use, with the figure that says so; None where it is of use."""
    match cut.get("useless"):
        case "finds_few":
            return f"finds {cut['recall']:.1%} of the relevant pairs"
        case "keeps_all":
            return f"lets nearly all pairs count, {cut['precision']:.1%} of them relevant"
    return None


def _print_differences(comparisons: Mapping[str, Any], titles: Mapping[str, str]) -> None:
    measured = [role for role in OTHERS if comparisons[f"student_minus_{role}"]]
    if measured:
        console.table(
            ["", *(f"student - {role}" for role in measured)],
            [
                [title, *(signed(comparisons[f"student_minus_{role}"][key]) for role in measured)]
                for key, title in titles.items()
            ],
            title=f"differences and their {comparisons['confidence']:.0%} intervals over queries, paired",
        )


def signed(item: Mapping[str, float] | None) -> str:
    """A difference with its interval."""
    return f"{item['difference']:+.3f} {bounds(item, '{:+.3f}')}" if item else "-"


def bounds(item: Mapping[str, float | None], form: str) -> str:
    """An interval; an end that the draws do not bound is said."""
    if item["low"] is None and item["high"] is None:
        return "(unbounded)"
    ends = ["unbounded" if (end := item[name]) is None else form.format(end) for name in ("low", "high")]
    return f"({ends[0]} to {ends[1]})"


def number(value: float | None) -> str:
    """A figure with four decimals, "-" where there is none."""
    return "-" if value is None else f"{value:.4f}"
