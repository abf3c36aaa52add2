"""How far an encoder's scores of relevant and irrelevant pairs lie apart, on both scales, and where to cut."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bistill.arrays import Doubles, Flags, Floats, Number, Reals
from bistill.data.sampling import generator
from bistill.evaluation.measures import bootstrap, margins, thresholds
from bistill.evaluation.measures.reliability import reliability
from bistill.evaluation.questions import Pairs, Questions
from bistill.evaluation.scores import EncoderScores

HISTOGRAM_BINS: Final = 50
# Fewer than for means: each resample is a curve over all pairs.
THRESHOLD_RESAMPLES: Final = 2_000


def against(asked: Questions, scores: EncoderScores) -> dict[str, tuple[Floats, Pairs]]:
    """Cosines and pairs of both kinds of negatives."""
    return {
        "labelled_negatives": (scores.negatives, asked.negatives),
        "random_negatives": (scores.random, asked.random),
    }


def linear(asked: Questions, scores: EncoderScores) -> dict[str, Any]:
    """Separation figures, per-query margins and histograms of the linear score, and the ceiling of its margin."""
    figures = _figures(
        asked,
        margins.linear_score(scores.positives),
        {kind: (margins.linear_score(cosines), pairs) for kind, (cosines, pairs) in against(asked, scores).items()},
    )
    mean_cosine = float(np.mean(scores.random)) if len(scores.random) else np.nan
    figures["random_negatives"]["mean_negative_cosine"] = mean_cosine
    figures["random_negatives"]["ceiling"] = margins.margin_ceiling(mean_cosine)
    return figures


def calibrated(asked: Questions, scores: EncoderScores) -> dict[str, Any] | None:
    """The same figures of the calibrated score, its line, and whether it means what it says; None without a line."""
    line = scores.calibration
    if line is None:
        return None
    positives = line.apply(scores.positives)
    negatives = {kind: (line.apply(cosines), pairs) for kind, (cosines, pairs) in against(asked, scores).items()}
    return {
        **asdict(line),
        **_figures(asked, positives, negatives),
        "reliability": {
            kind: asdict(reliability(*labelled(positives, values))) if len(values) else None
            for kind, (values, _) in negatives.items()
        },
    }


def cuts(asked: Questions, scores: EncoderScores, seed: int) -> dict[str, Any]:
    """The thresholds of ``thresholds.choose`` with their intervals over queries, for both kinds of negatives."""
    figures: dict[str, Any] = {"resamples": THRESHOLD_RESAMPLES, "confidence": bootstrap.CONFIDENCE}
    for kind, (negatives, pairs) in against(asked, scores).items():
        if not len(negatives) or not len(scores.positives):
            figures[kind] = None
            continue
        cosines, relevant = labelled(scores.positives, negatives)
        draws = bootstrap.counts(generator(seed, "thresholds"), len(asked.records), THRESHOLD_RESAMPLES)
        queries = np.concatenate([asked.positives.queries, pairs.queries])
        drawn = thresholds.resampled(cosines, relevant, queries, draws)
        figures[kind] = {
            name: {**_cut(found, drawn[name], scores), "useless": thresholds.useless(found, float(np.mean(relevant)))}
            if found
            else None
            for name, found in thresholds.choose(cosines, relevant).items()
        }
    return figures


def labelled(positives: npt.NDArray[Number], negatives: npt.NDArray[Number]) -> tuple[npt.NDArray[Number], Flags]:
    """Scores of positives, then of negatives, and whether each is relevant: both of shape (pairs,)."""
    return np.concatenate([positives, negatives]), np.arange(len(positives) + len(negatives)) < len(positives)


def query_margins(asked: Questions, positives: Reals, negatives: Reals, pairs: Pairs) -> Doubles:
    """Margin of each query that has both sides: float64 of shape (at most queries,).

    Args:
        asked: what was asked.
        positives: scores of ``asked.positives``.
        negatives: scores of negative pairs.
        pairs: these pairs.
    """
    count = len(asked.records)
    found = margins.query_margins(asked.positives.of_queries(positives, count), pairs.of_queries(negatives, count))
    return found[~np.isnan(found)]


def _figures(asked: Questions, positives: Doubles, negatives: dict[str, tuple[Doubles, Pairs]]) -> dict[str, Any]:
    """Figures of one scale in 0..1."""
    found = {kind: margins.separation(positives, values) for kind, (values, _) in negatives.items()}
    figures: dict[str, Any] = {
        kind: {
            **asdict(found[kind]),
            "uniformity": found[kind].variance,
            "query_margins": _spread(query_margins(asked, positives, values, pairs)),
        }
        for kind, (values, pairs) in negatives.items()
    }
    figures["histogram"] = {
        "edges": np.linspace(0, 1, HISTOGRAM_BINS + 1).tolist(),
        "positives": margins.histogram(positives, HISTOGRAM_BINS),
        **{kind: margins.histogram(values, HISTOGRAM_BINS) for kind, (values, _) in negatives.items()},
    }
    return figures


def _cut(found: thresholds.Threshold, drawn: Doubles, scores: EncoderScores) -> dict[str, Any]:
    """A threshold with its interval on the cosine and, by the line, on the calibrated score: the same decisions."""
    spread = bootstrap.interval(found.threshold, drawn)
    cosine = np.array([found.threshold, spread.low, spread.high])
    line = scores.calibration
    figures: dict[str, Any] = {"cosine": _ends(cosine), "calibrated": None}
    if line:
        figures["calibrated"] = _ends(np.where(np.isinf(cosine), np.inf, line.apply(cosine)))
    return {**figures, "precision": found.precision, "recall": found.recall, "f1": found.f1}


def _ends(values: Doubles) -> dict[str, float]:
    return dict(zip(("threshold", "low", "high"), values.tolist(), strict=True))


def _spread(values: Reals) -> dict[str, Any]:
    names = ("mean", "std", "minimum", "median", "maximum")
    if not len(values):
        return {"queries": 0, **dict.fromkeys(names)}
    figures = (np.mean(values), np.std(values), np.min(values), np.median(values), np.max(values))
    return {"queries": len(values), **dict(zip(names, map(float, figures), strict=True))}
