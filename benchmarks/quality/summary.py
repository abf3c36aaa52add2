"""Rows of the tables from the results of all runs, and the intervals of their differences."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from recipes import REFERENCE, TEACHER, UNTOUCHED, Recipe, figure_of_first
from tables import markdown

from bistill.arrays import Doubles
from bistill.evaluation.measures import bootstrap
from bistill.evaluation.measures.bootstrap import Interval

TITLES: Final = {
    "ndcg_at_10": "nDCG@10",
    "mrr_at_10": "MRR@10",
    "recall_at_100": "Recall@100",
    "random_negative": "random negative",
    "margin": "margin",
    "calibrated_random_negative": "calibrated random negative",
    "calibrated_margin": "calibrated margin",
    "calibration_error": "calibration error",
}
Result = dict[str, Any]
# Results of one data version by the name of the recipe: one of each seed, or a single one whose seed is None.
Results = dict[str, list[Result]]


def ahead_by(ours: Sequence[Result], other: Sequence[Result]) -> Interval | None:
    """Ours minus another recipe, query by query, the mean over the seeds that both have; None where they share none."""
    pairs = [
        (mine["figures"]["ndcg_by_query"], its["figures"]["ndcg_by_query"])
        for mine in ours
        for its in other
        if its["job"]["seed"] in (mine["job"]["seed"], None)
    ]
    if not pairs:
        return None
    return interval_of(np.mean([[mine[query] - its[query] for query in mine] for mine, its in pairs], axis=0))


def interval_of(differences: Doubles) -> Interval:
    """Mean of the differences of each query, with its interval."""
    column = differences[:, None]
    return bootstrap.paired(column, np.zeros_like(column), np.random.default_rng(0))[0]


def mean(results: Sequence[Result], name: str) -> float | None:
    """A figure's mean over seeds; None where the recipe has none of it."""
    values = [result["figures"].get(name) for result in results]
    return None if not values or None in values else statistics.fmean(values)


def data_rows(
    recipes: dict[str, Recipe], results: Results, forgetting: Sequence[str], dimensions: Sequence[int]
) -> list[str]:
    """The table of one data version: a row for each recipe that has a result."""
    titles = TITLES | {figure_of_first(size): f"nDCG@10, first {size}" for size in dimensions}
    head = ["recipe", "seeds", *titles.values(), "it - base model, 95 %", "gap closed", "ours - it, 95 %"]
    rows = [[*head, *(f"{name} - untouched" for name in forgetting), "updates", "wall s", "notes"]]
    for name, recipe in recipes.items():
        own = results.get(name, [])
        if not own:
            continue
        seeds = "-" if own[0]["job"]["seed"] is None else str(len(own))
        figures = [number(mean(own, figure)) for figure in titles]
        ahead = None if name == REFERENCE else ahead_by(results.get(REFERENCE, []), own)
        rows.append(
            [recipe.label, seeds, *figures, shown(gain(name, results)), gap_closed(name, results), shown(ahead)]
            + [forgotten(own, results, data) for data in forgetting]
            + [", ".join(dict.fromkeys(str(result["updates"]) for result in own))]
            + [f"{statistics.fmean(result['seconds'] for result in own):.0f}"]
            + ["; ".join(dict.fromkeys(note for result in own for note in result["notes"]))]
        )
    return markdown(rows)


def gain(name: str, results: Results) -> Interval | None:
    """A recipe minus the base model, see ``ahead_by``; None of the base model itself, and without it."""
    return None if name == UNTOUCHED else ahead_by(results[name], results.get(UNTOUCHED, []))


def gap_closed(name: str, results: Results) -> str:
    """Share of the way from the base model to its teacher, by nDCG@10, where that teacher leads beyond chance."""
    gap = gain(TEACHER, results) if TEACHER in results else None
    own = gain(name, results)
    return "-" if gap is None or own is None or gap.low <= 0 else f"{own.value / gap.value:.0%}"


def forgotten(own: Sequence[Result], results: Results, data: str) -> str:
    """nDCG@10 on another data version minus that of the base model."""
    start = results.get(UNTOUCHED, [])
    if not start or data not in own[0]["forgetting"]:
        return "-"
    change = statistics.fmean(result["forgetting"][data] for result in own) - start[0]["forgetting"][data]
    return f"{change:+.4f}"


def summary_rows(recipes: dict[str, Recipe], by_data: dict[str, Results]) -> list[str]:
    """The table over data versions: how often ours is ahead, and how often beyond chance."""
    head = ["recipe", "data sets", "mean nDCG@10", "mean of ours there", "ours ahead", "beyond chance"]
    rows = [[*head, "ours behind", "beyond chance"]]
    for name, recipe in recipes.items():
        there = [results for results in by_data.values() if results.get(name)]
        if not there:
            continue
        values = [mean(results[name], "ndcg_at_10") for results in there]
        compared = [results for results in there if results.get(REFERENCE)] if name != REFERENCE else []
        ahead = [found for results in compared if (found := ahead_by(results[REFERENCE], results[name]))]
        ours = [mean(results[REFERENCE], "ndcg_at_10") for results in compared]
        counts = (
            sum(item.value > 0 for item in ahead),
            sum(item.low > 0 for item in ahead),
            sum(item.value < 0 for item in ahead),
            sum(item.high < 0 for item in ahead),
        )
        rows.append(
            [recipe.label, str(len(there)), number(averaged(values)), number(averaged(ours))]
            + [str(count) if ahead else "-" for count in counts]
        )
    return markdown(rows)


def averaged(values: Sequence[float | None]) -> float | None:
    """Mean of what is there."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def number(value: float | None) -> str:
    """Four decimals."""
    return "-" if value is None else f"{value:.4f}"


def shown(difference: Interval | None) -> str:
    """Mean and interval."""
    if difference is None:
        return "-"
    return f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
