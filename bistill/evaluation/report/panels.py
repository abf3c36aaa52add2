"""The drawings of an evaluation, each on matplotlib axes of its own, for the picture and the report page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bistill.arrays import Reals
from bistill.evaluation import separation
from bistill.evaluation.measures import thresholds
from bistill.evaluation.measures.margins import linear_score
from bistill.evaluation.measures.ranking import MEASURES
from bistill.evaluation.questions import Questions
from bistill.evaluation.report import composing as report
from bistill.evaluation.report.summary import CUT_TITLES
from bistill.evaluation.report.summary import KINDS as KIND_TITLES
from bistill.evaluation.scores import EncoderScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette: told apart without red-green vision.
POSITIVE, LABELLED, RANDOM = "#0072B2", "#D55E00", "#777777"
ROLE_COLOURS: Final = {
    "base": "#999999",
    "cut": "#56B4E9",
    "bm25": "#CC79A7",
    "teacher": "#E69F00",
    "student": "#0072B2",
    "compared": "#009E73",
}
CUT_COLOURS: Final = {"best_f1": "#009E73", "precision_95": "#0072B2", "recall_95": "#D55E00"}
SEPARATION_BARS: Final = tuple(title for title in report.SEPARATION_TITLES if not title.startswith("ceiling"))
CURVE_POINTS: Final = 2_000
# Share of the height that lines across a drawing take, so that none runs through its legend.
BELOW_LEGEND: Final = 0.72
NARROW_INCHES: Final = 6.0


def scores(
    axes: Axes,
    student: EncoderScores,
    base: EncoderScores | None,
    scale: Callable[[Reals], Reals] = linear_score,
    name: str = "score = (cosine + 1) / 2",
) -> None:
    """Shares of pairs by score; the student filled, the base model as dashed outlines."""
    edges = np.linspace(0, 1, separation.HISTOGRAM_BINS + 1).tolist()
    groups = (("positives", POSITIVE), ("negatives", LABELLED), ("random", RANDOM))
    titles = {"positives": "positive", "negatives": "labelled negative", "random": "random negative"}
    filled: dict[str, Any] = {"histtype": "stepfilled", "alpha": 0.45}
    outlined: dict[str, Any] = {"histtype": "step", "linestyle": "--", "linewidth": 1.3}
    for encoder, role, style in ((student, "student", filled), (base, "base", outlined)):
        for kind, colour in groups:
            values = scale(getattr(encoder, kind)) if encoder else np.empty(0)
            if not len(values):
                continue
            label = f"{role}: {titles[kind]} ({len(values):,})"
            weights = np.full(len(values), 1 / len(values))
            axes.hist(values, bins=edges, weights=weights, color=colour, label=label, **style)
    axes.set(xlim=(0, 1), xlabel=name, ylabel="share of pairs")
    axes.set_title("Scores of positive and negative pairs")
    axes.margins(y=0.7 if _narrow(axes) else 0.5)  # room for the legend, wherever the scores lie
    axes.legend(loc="upper left", fontsize=9, ncols=1 if _narrow(axes) else 2)


def margins(axes: Axes, result: Mapping[str, Any], asked: Questions, student: EncoderScores) -> None:
    """Distribution of the student's per-query margins, their means, and the ceiling that random pairs allow."""
    positives = linear_score(student.positives)
    figures = result["separation"]["student"]
    found = {
        kind: separation.query_margins(asked, positives, linear_score(cosines), pairs)
        for kind, (cosines, pairs) in separation.against(asked, student).items()
    }
    edges = np.histogram_bin_edges(np.concatenate(list(found.values())), bins=40).tolist()
    for (kind, values), colour in zip(found.items(), (LABELLED, RANDOM), strict=True):
        if len(values):
            mean = figures[kind]["query_margins"]["mean"]
            weights = np.full(len(values), 1 / len(values))
            label = f"{KIND_TITLES[kind]}: {len(values):,} queries, mean {mean:.3f}"
            axes.hist(values, bins=edges, weights=weights, color=colour, alpha=0.5, histtype="stepfilled", label=label)
            axes.axvline(mean, ymax=BELOW_LEGEND, color=colour, linewidth=1.5)
    if (ceiling := figures["random_negatives"]["ceiling"]) is not None:
        label = f"ceiling of the mean, random negatives: {ceiling:.3f}"
        axes.axvline(ceiling, ymax=BELOW_LEGEND, color=ink(), linestyle=":", label=label)
    axes.axvline(0, ymax=BELOW_LEGEND, color=ink(), linewidth=0.8)
    axes.set(xlabel="mean positive score - mean negative score of a query", ylabel="share of queries")
    axes.set_title("Student: margin of each query")
    axes.margins(y=1 / BELOW_LEGEND - 1)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", fontsize=9)


def ranking(axes: Axes, result: Mapping[str, Any]) -> None:
    """Every measure of every role as bars."""
    values = {
        role: [figures[key] for key in MEASURES] if (figures := result["ranking"][role]) else None
        for role in report.ROLES
    }
    _bars(axes, [measure.title for measure in MEASURES.values()], values)
    teacher = result["models"]["teacher"]
    note = f"\n(teacher: first {teacher['depth']} of {teacher['reranks']} re-ranked)" if "reranks" in teacher else ""
    axes.set_title(f"Ranking over {result['counts']['documents']:,} documents{note}")


def means(axes: Axes, result: Mapping[str, Any]) -> None:
    """Means, margins and AUC on the linear score as bars, base beside student."""
    values = {
        role: [figures[kind][key] for kind, key in map(report.SEPARATION_TITLES.__getitem__, SEPARATION_BARS)]
        if (figures := result["separation"][role])
        else None
        for role in ("base", "cut", "student", "compared")
    }
    _bars(axes, SEPARATION_BARS, values)
    axes.set_title("Separation on the linear score")


def reliability(axes: Axes, result: Mapping[str, Any]) -> None:
    """Share of relevant pairs in each bin of the calibrated score; a point on the diagonal means what it says."""
    axes.set_title("Student: reliability of the calibrated score")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="mean calibrated score of a bin", ylabel="share of relevant pairs")
    axes.plot([0, 1], [0, 1], color=ink(), linestyle=":", linewidth=1)
    calibrated = result["calibrated"]["student"]
    if calibrated is None:
        axes.text(0.5, 0.55, "no calibration beside the student", ha="center", va="bottom")
        return
    for (kind, title), colour in zip(KIND_TITLES.items(), (LABELLED, RANDOM), strict=True):
        if not (found := calibrated["reliability"][kind]):
            continue
        bins = [item for item in found["bins"] if item["count"]]
        predicted, share = [item["mean_predicted"] for item in bins], [item["share_relevant"] for item in bins]
        error = found["expected_calibration_error"]
        label = f"positives and {title}:\ncalibration error {error:.3f}, Brier {found['brier']:.3f}"
        axes.plot(predicted, share, color=colour, linewidth=1, label=label)
        # An area says how many pairs a point stands for.
        sizes = [8 + 250 * item["count"] / found["pairs"] for item in bins]
        axes.scatter(predicted, share, s=sizes, color=colour, alpha=0.6)
    if axes.get_legend_handles_labels()[0]:
        axes.set_ylim(0, 1.5)  # room for the legend above the points
        axes.legend(loc="upper left", fontsize=9)


def cuts(axes: Axes, result: Mapping[str, Any], asked: Questions, student: EncoderScores) -> None:
    """Precision and recall by the cosine from which a pair counts; the thresholds with their intervals."""
    kind = next((kind for kind in KIND_TITLES if result["thresholds"][kind]), None)
    axes.set_title("Student: thresholds" + (f" over {KIND_TITLES[kind]}" if kind else ""))
    if kind is None:
        axes.text(0.5, 0.5, "no negative pairs", ha="center", va="bottom")
        return
    found = thresholds.curve(*separation.labelled(student.positives, separation.against(asked, student)[kind][0]))
    rows = np.unique(np.linspace(0, len(found.thresholds) - 1, CURVE_POINTS).astype(int))
    for name, values, style in (("precision", found.precision, "-"), ("recall", found.recall, "--")):
        axes.plot(found.thresholds[rows], values[rows], style, color=ink(), linewidth=1.2, label=name)
    for place, (name, title) in enumerate(CUT_TITLES.items()):
        if not (cut := result["thresholds"][kind][name]):
            continue
        cosine, colour, height = cut["cosine"], CUT_COLOURS[name], 1.05 + 0.06 * place
        useless = ", useless" if cut["useless"] else ""
        label = f"{title}: {cosine['threshold']:.3f}, F1 {cut['f1']:.3f}{useless}"
        axes.plot([cosine["threshold"]] * 2, [0, height], color=colour, linewidth=1.5, label=label)
        if cosine["low"] is not None and cosine["high"] is not None:
            axes.plot([cosine["low"], cosine["high"]], [height] * 2, "|-", color=colour, linewidth=2.5)
    axes.set(
        ylim=(0, 1.85 if _narrow(axes) else 1.68),
        xlabel="cosine from which a pair counts as relevant",
        ylabel="precision, recall",
    )
    axes.set_yticks(np.arange(0, 1.01, 0.2))
    axes.legend(loc="upper left", fontsize=9, ncols=1 if _narrow(axes) else 2)


def ink() -> str:
    """Colour of lines and text under the settings of the moment."""
    import matplotlib

    return str(matplotlib.rcParams["text.color"])


def _bars(axes: Axes, titles: Sequence[str], values: Mapping[str, Sequence[float | None] | None]) -> None:
    """Groups of lying bars, one bar a model with its value behind it; a figure that does not exist has none."""
    shown = {role: figures for role, figures in values.items() if figures is not None}
    width = 0.84 / max(len(shown), 1)
    lowest = 0.0
    for number, (role, figures) in enumerate(shown.items()):
        offset = (number - (len(shown) - 1) / 2) * width
        present = [(place + offset, figure) for place, figure in enumerate(figures) if figure is not None]
        places, lengths = [place for place, _ in present], [figure for _, figure in present]
        lowest = min([lowest, *lengths])
        axes.barh(places, lengths, width * 0.94, color=ROLE_COLOURS[role], label=role)
        for place, length in present:
            axes.text(max(length, 0) + 0.012, place, f"{length:.3f}", va="center", fontsize=7)
    for place in range(len(titles)):
        if all(figures[place] is None for figures in shown.values()):
            axes.text(0.012, place, "none", va="center", fontsize=8, color=RANDOM)
    axes.axvline(0, color=ink(), linewidth=0.8)
    axes.set_yticks(range(len(titles)), titles, fontsize=9)
    above = len(titles) / 6  # room for two lines of the legend
    axes.set(xlim=(lowest * 1.1, 1.12), ylim=(len(titles) - 0.45, -0.55 - above))
    axes.set_xticks(np.arange(0, 1.01, 0.2))
    axes.legend(loc="upper left", ncols=3, fontsize=9)


def _narrow(axes: Axes) -> bool:
    """Whether two columns of a legend do not stand beside each other."""
    return bool(axes.get_window_extent().width / axes.figure.dpi < NARROW_INCHES)
