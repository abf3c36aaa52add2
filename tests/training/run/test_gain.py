from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from bistill.training.run.gain import gained
from bistill.training.validation import JUDGED, Measured


def validation(before: list[float], after: list[float], **changes: Any) -> Any:
    first, best = (Measured({"ndcg_at_10": float(np.mean(v))}, by_query=np.array(v)) for v in (before, after))
    values = {"criteria": ("ndcg_at_10", "auc"), "first": first.figures, "figures": best.figures,
              "measured_first": first, "measured_best": best}  # fmt: skip
    return SimpleNamespace(**values | changes)


def test_both_figures_their_difference_and_its_interval() -> None:
    assert gained(validation([0.5] * 8, [0.75] * 8), seed=1) == (
        "nDCG@10 0.500 -> 0.750 on validation (+0.250, 95 % +0.250 to +0.250; these queries also chose the weights)"
    )
    said = gained(validation([0.5] * 8, [0.4, 0.6] * 4), seed=1)
    assert said.startswith("nDCG@10 0.500 -> 0.500 on validation (+0.000, 95 % -0.0")


def test_an_interval_of_a_handful_of_queries_is_not_given() -> None:
    assert gained(validation([0.5] * 5, [0.75] * 5), seed=1) == (
        "nDCG@10 0.500 -> 0.750 on validation (+0.250, too few queries to tell; these queries also chose the weights)"
    )
    assert "95 % +0.250 to +0.250" in gained(validation([0.5] * 6, [0.75] * 6), seed=1)


def test_what_was_not_measured_is_left_out() -> None:
    assert gained(validation([0.5], [0.75], first={}), seed=1) == (
        "nDCG@10 0.750 on validation (these queries also chose the weights)"
    )
    assert gained(validation([0.5], [0.25], measured_best=None), seed=1) == (
        "nDCG@10 0.500 -> 0.250 on validation (-0.250; these queries also chose the weights)"
    )
    lost = validation([0.5], [0.25], figures={"ndcg_at_10": math.nan}, measured_first=None)
    assert "0.500 -> nan on validation" in gained(lost, seed=1)


def test_queries_without_labels_stand_behind_them() -> None:
    def measured(labelled: float, judged: list[float]) -> Measured:
        figures = {"ndcg_at_10": labelled, JUDGED: float(np.mean(judged))}
        return Measured(figures, by_query=np.full(8, labelled), judged_by_query=np.array(judged))

    first, best = measured(0.5, [0.25] * 6), measured(0.75, [0.5] * 6)
    both = {"first": first.figures, "figures": best.figures, "measured_first": first, "measured_best": best}
    assert gained(validation([0.5], [0.75], **both), seed=1) == (
        "nDCG@10 0.500 -> 0.750 on validation (+0.250, 95 % +0.250 to +0.250; these queries also chose the weights); "
        "0.250 -> 0.500 on queries without labels, judged by the teacher (+0.250, 95 % +0.250 to +0.250)"
    )
    few = {**both, "measured_first": measured(0.5, [0.25] * 5), "measured_best": measured(0.75, [0.5] * 5)}
    assert gained(validation([0.5], [0.75], **few), seed=1).endswith("teacher (+0.250, too few queries to tell)")
    of_checkpoint = {**both, "measured_best": None}
    assert gained(validation([0.5], [0.75], **of_checkpoint), seed=1).endswith("judged by the teacher (+0.250)")
