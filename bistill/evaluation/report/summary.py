"""The main figures of a report as tables and sentences on standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from bistill import artifacts, console, languages
from bistill.evaluation import dimensions
from bistill.evaluation.comparisons import OTHERS
from bistill.evaluation.measures.ranking import MEASURES, PARTLY_JUDGED
from bistill.evaluation.report import moved, verdict
from bistill.evaluation.report.composing import ROLES, SEPARATION_TITLES
from bistill.evaluation.report.words import said
from bistill.languages import Language

# Columns of the table that are there only where they were measured.
OPTIONAL: Final = ("cut", "bm25", "compared")
FAILURES_PRINTED: Final = 3
COLUMNS_PRINTED: Final = 68
NAME_COLUMNS: Final = 9
KINDS: Final = {"labelled_negatives": "labelled negatives", "random_negatives": "random negatives"}
DIFFERENCES: Final = "differences and their {confidence} intervals over queries, paired"
UNTOUCHED: Final = (
    "The student is the base model: on {queries} validation queries the training gained nothing "
    "(nDCG@10 trained {trained}, base model {start})."
)
# Which documents were ranked, by ``data.corpus.which`` of the report.
AMONG: Final = {
    "test": "Ranked among {documents} documents: those of the test file alone.",
    "version": "Ranked among {documents} documents: all of the data version {path}.",
    "file": "Ranked among {documents} documents: those of the test file and of {path}.",
    "texts": "Ranked among {documents} documents: those of the test file and the further ones that were given.",
}
FEWER_LAYERS: Final = (
    "Layers of the base model that the student has: {layers}. nDCG@10 {cut} before any training (column cut), "
    "{student} as it is, {base} of the whole base model."
)
JUDGE: Final = (
    "The teacher {path} is the judge, since no person has judged the {queries} queries: its relevance of what {models} "
    "find is the truth here."
)
GATE: Final = (
    "Before distilling, nDCG@10 on the lists of {queries} validation queries: teacher {teacher}, base model {student}."
)
CUT_TITLES: Final = {
    "best_f1": "best F1",
    "precision_95": "lowest with 95 % precision",
    "recall_95": "highest with 95 % recall",
}


def print_summary(result: Mapping[str, Any], language: Language | None = None) -> None:
    """Print who is the judge where no person is, which documents were ranked, the verdict, the figures, one column a
    model, then what they are worth.

    Where the queries are too few to tell, no difference, threshold or share is printed, and nowhere a row of no figure.

    Args:
        result: the report.
        language: "en" or "ko"; None: that of the locale on a terminal, else English, since programs read it.
    """
    if language is None:
        terminal = sys.stdout.isatty()
        language = languages.of_locale(os.environ, sys.stdout.encoding or "") if terminal else "en"
    say = partial(said, language)
    for line in judge(result, language):
        console.paragraph(line)
    console.paragraph(ranked_among(result, language))
    console.paragraph(verdict.verdict(result, language))
    roles, few = shown_roles(result), verdict.too_few(result)
    there = {title: values for title, values in figures(result, roles).items() if any(v is not None for v in values)}
    rows = [[say(title), *map(number, values)] for title, values in there.items()]
    bold = {(row, 1 + place) for row, item in enumerate(there.items()) for place in verdict.best(*item)}
    title = say(
        "{counts}; scores are (cosine + 1) / 2",
        counts=say("{queries} queries", queries=f"{result['counts']['queries']:,}"),
    )
    console.table(["", *map(say, roles)], rows, title=title, bold=bold)
    if not few:
        _print_differences(result["comparisons"], measures(result), language)
    for line in (
        *(() if few else moved.sentences(result.get("moved"), language)),
        *sentences(result, language),
        *_failures(result, language),
    ):
        console.paragraph(line)


def judge(result: Mapping[str, Any], language: Language = "en") -> Iterator[str]:
    """Who says what is relevant, where no person does: the first line of the report."""
    if found := result["data"].get("judge"):
        models = ", ".join(said(language, role) for role in found["models"])
        yield said(language, JUDGE, path=found["path"], queries=f"{found['queries']:,}", models=models)


def ranked_among(result: Mapping[str, Any], language: Language = "en") -> str:
    """How many documents each query was ranked among, and which: a rank among few looks better than one among all."""
    corpus = result["data"]["corpus"] or {}
    values = {"documents": f"{result['counts']['documents']:,}", "path": corpus.get("path")}
    return said(language, AMONG[corpus.get("which", "file" if corpus else "test")], **values)


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
    return [role for role in ROLES if role not in OPTIONAL or result["ranking"].get(role)]


def measures(result: Mapping[str, Any]) -> dict[str, str]:
    """Titles of the ranking measures that a report holds: one of another version may lack some."""
    known = {**MEASURES, **PARTLY_JUDGED}
    return {name: item.title for name, item in known.items() if name in result["ranking"]["student"]}


def sentences(result: Mapping[str, Any], language: Language = "en") -> Iterator[str]:
    """What beside the tables decides how far the figures can be trusted."""
    say = partial(said, language)
    if (beside := result.get("beside_start")) and beside["kept"] == "start":
        scores = {name: number(beside["ndcg_at_10"][name]) for name in ("trained", "start")}
        yield say(UNTOUCHED, queries=beside["queries"], **scores)
    if result["ranking"].get("cut"):
        ranked = {
            role: number((result["ranking"][role] or {}).get("ndcg_at_10")) for role in ("cut", "student", "base")
        }
        yield say(FEWER_LAYERS, layers=", ".join(map(str, result["models"]["cut"]["layers"])), **ranked)
    yield from verdict.judged_in_part(result, language)
    yield from verdict.cautions(result, language)
    teacher = result["models"]["teacher"]
    if "reranks" in teacher:
        text = "The teacher re-ranks the first {depth} documents of the {model}."
        yield say(text, depth=teacher["depth"], model=say(f"{teacher['reranks']} model"))
    for kind in () if verdict.too_few(result) else KINDS:
        yield from _separation_sentences(result, kind, language)
    yield from dimensions.sentences(result, language)
    for item in result["forgetting"]:
        yield _forgetting(item, language)
    if gate := result.get("teacher_gate"):
        before = {role: f"{gate[role]['rerank_ndcg_at_10']:.4f}" for role in ("teacher", "student")}
        yield say(GATE, queries=gate["queries"], **before)


def _separation_sentences(result: Mapping[str, Any], key: str, language: Language) -> Iterator[str]:
    """Of one kind of negatives: shuffled queries, thresholds, and what the calibrated score is worth."""
    say = partial(said, language)
    kind = say(KINDS[key])
    if (shuffled := (result["shuffled_queries"]["student"] or {}).get(key)) and shuffled["margin"] is not None:
        figures = {"margin": number(shuffled["true_margin"]), "shuffled": number(shuffled["margin"])}
        yield say("Margin over {kind} {margin}; with shuffled queries {shuffled}.", kind=kind, **figures)
    cuts = result["thresholds"][key] or {}
    for name, cut in cuts.items():
        if cut and (why := useless(cut, language)):
            text = 'The threshold "{name}" against {kind} is useless: it {why}.'
            yield say(text, name=say(CUT_TITLES[name]), kind=kind, why=why)
    if cut := cuts.get("best_f1"):
        figures = {"threshold": f"{cut['cosine']['threshold']:.3f}", "f1": f"{cut['f1']:.3f}"}
        text = "Cosine of the best F1 against {kind}: {threshold} {interval}, F1 {f1}."
        yield say(text, kind=kind, interval=bounds(cut["cosine"], "{:.3f}", language), **figures)
    calibrated = result["calibrated"]["student"]
    if calibrated and (found := calibrated["reliability"][key]):
        figures = {"error": f"{found['expected_calibration_error']:.3f}", "brier": f"{found['brier']:.3f}"}
        text = "Calibrated score, positives and {kind}: expected calibration error {error}, Brier score {brier}."
        yield say(text, kind=kind, **figures)


def _forgetting(item: Mapping[str, Any], language: Language) -> str:
    scores, beside = item["ndcg_at_10"], ""
    if difference := item["student_minus_base"]:
        text, base = ", base {base}, difference {difference}", f"{scores['base']:.4f}"
        beside = said(language, text, base=base, difference=signed(difference, language))
    text, student = "On {data}, not trained on: nDCG@10 student {student}{beside}.", f"{scores['student']:.4f}"
    return said(language, text, data=item["test"]["path"], student=student, beside=beside)


def failing(result: Mapping[str, Any], language: Language = "en") -> str:
    """How many queries have documents above their first relevant one."""
    counts = {"failed": f"{result['failures']['queries']:,}", "queries": f"{result['counts']['queries']:,}"}
    return said(language, "{failed} of {queries} queries have documents above their first relevant one", **counts)


def _failures(result: Mapping[str, Any], language: Language) -> Iterator[str]:
    """The worst queries with their first relevant document and the one that stands first, each text in one line."""
    if not (found := result.get("failures")) or not found["queries"]:
        return
    say = partial(said, language)
    text = "{sentence} (all queries: {file}). The worst:"
    yield say(text, sentence=failing(result, language), file=artifacts.EVALUATION_QUERIES)
    for item in found["worst"][:FAILURES_PRINTED]:
        rank = item["ranks"]["student"]
        lines = [(say("query"), item["query"])]
        lines += [(say("rank {rank}", rank=1), above["document"]) for above in item["above"][:1]]
        lines += [(say("rank {rank}", rank=f"{rank:,}") if rank else say("expected"), item["positive"]["document"])]
        for name, document in lines:
            yield f"  {padded(name)} {_one_line(document)}"


def padded(text: str) -> str:
    """A name in its column of a terminal."""
    from rich.cells import set_cell_size

    return set_cell_size(text, NAME_COLUMNS)


def _one_line(text: str) -> str:
    """The beginning of a text without line breaks; a Hangul letter takes two columns of a terminal."""
    from rich.cells import cell_len, set_cell_size

    line = " ".join(text.split())
    return line if cell_len(line) <= COLUMNS_PRINTED else set_cell_size(line, COLUMNS_PRINTED - 1).rstrip() + "…"


def useless(cut: Mapping[str, Any], language: Language = "en") -> str | None:
    """Why a threshold of the report is of no use, with the figure that says so; None where it is of use."""
    match cut.get("useless"):
        case "finds_few":
            return said(language, "finds {recall} of the relevant pairs", recall=f"{cut['recall']:.1%}")
        case "keeps_all":
            text = "lets nearly all pairs count, {precision} of them relevant"
            return said(language, text, precision=f"{cut['precision']:.1%}")
    return None


def _print_differences(comparisons: Mapping[str, Any], titles: Mapping[str, str], language: Language) -> None:
    say = partial(said, language)
    measured = [role for role in OTHERS if comparisons.get(f"student_minus_{role}")]
    if measured:
        console.table(
            ["", *(say("student - {role}", role=say(role)) for role in measured)],
            [
                [title, *(_two_lines(comparisons[f"student_minus_{role}"][key], language) for role in measured)]
                for key, title in titles.items()
            ],
            title=say(DIFFERENCES, confidence=f"{comparisons['confidence']:.0%}"),
        )


def _two_lines(item: Mapping[str, float], language: Language) -> str:
    """A difference above its interval: so three of them stand beside each other in 80 columns."""
    return f"{item['difference']:+.3f}\n{bounds(item, '{:+.3f}', language)}"


def signed(item: Mapping[str, float] | None, language: Language = "en") -> str:
    """A difference with its interval."""
    return f"{item['difference']:+.3f} {bounds(item, '{:+.3f}', language)}" if item else "-"


def bounds(item: Mapping[str, float | None], form: str, language: Language = "en") -> str:
    """An interval; an end that the draws do not bound is said."""
    none = said(language, "unbounded")
    if item["low"] is None and item["high"] is None:
        return f"({none})"
    ends = {name: none if (end := item[name]) is None else form.format(end) for name in ("low", "high")}
    return f"({said(language, '{low} to {high}', **ends)})"


def number(value: float | None) -> str:
    """A figure with four decimals, "-" where there is none."""
    return "-" if value is None else f"{value:.4f}"
