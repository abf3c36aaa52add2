"""The picture of an evaluation: score histograms, margins, ranking, separation and sample pairs on one page."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bistill import artifacts, metrics
from bistill.evaluation import fonts, report
from bistill.evaluation.scores import EncoderScores
from bistill.evaluation.task import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES: Final = (16.0, 12.0)
DOTS_PER_INCH: Final = 100

# Okabe and Ito's palette: told apart without red-green vision.
POSITIVE, LABELLED, RANDOM = "#0072B2", "#D55E00", "#777777"
ROLE_COLOURS: Final = {"base": "#999999", "teacher": "#E69F00", "student": "#0072B2"}
SAMPLES_SHOWN: Final = 4
SEPARATION_BARS: Final = tuple(title for title in report.SEPARATION_TITLES if not title.startswith("ceiling"))


def draw(path: Path, result: Mapping[str, Any], task: Task, student: EncoderScores, base: EncoderScores | None) -> None:
    """Write the PNG, 1600 x 1200 pixels; matplotlib's global settings stay as they are.

    Args:
        path: the file, written atomically.
        result: the report.
        task: what was asked.
        student: the student's cosines.
        base: the untouched model's cosines.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {"font.family": list(fonts.families()), "font.size": 10, "axes.titlesize": 12}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH)
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(
            3, 2, left=0.05, right=0.98, top=0.91, bottom=0.02, hspace=0.34, wspace=0.13, height_ratios=(1, 1, 1.05)
        )
        _title(figure, result)
        _scores(figure.add_subplot(grid[0, 0]), student, base)
        _margins(figure.add_subplot(grid[0, 1]), result, task, student)
        _ranking(figure.add_subplot(grid[1, 0]), result)
        _separation(figure.add_subplot(grid[1, 1]), result)
        _samples(figure.add_subplot(grid[2, :]), result["samples"])
        with artifacts.atomic_path(path) as temporary:
            figure.savefig(temporary, format="png")


def _title(figure: Figure, result: Mapping[str, Any]) -> None:
    counts = result["counts"]
    name, data = result["models"]["student"]["path"], result["data"]["test"]["path"]
    text = f"{name}   on   {data}   ({counts['queries']:,} queries, {counts['documents']:,} documents)"
    figure.text(0.5, 0.965, fonts.drawable(text), ha="center", va="center", fontsize=14, parse_math=False)


def _scores(axes: Axes, student: EncoderScores, base: EncoderScores | None) -> None:
    """Shares of pairs by linear score; the student filled, the base model as dashed outlines."""
    edges = np.linspace(0, 1, report.HISTOGRAM_BINS + 1).tolist()
    groups = (("positives", POSITIVE), ("negatives", LABELLED), ("random", RANDOM))
    titles = {"positives": "positive", "negatives": "labelled negative", "random": "random negative"}
    for encoder, name in ((student, "student"), (base, "base")):
        for kind, colour in groups:
            values = metrics.linear_score(getattr(encoder, kind)) if encoder else np.empty(0)
            if not len(values):
                continue
            style: dict[str, Any] = (
                {"histtype": "stepfilled", "alpha": 0.45}
                if name == "student"
                else {"histtype": "step", "linestyle": "--", "linewidth": 1.3}
            )
            label = f"{name}: {titles[kind]} ({len(values):,})"
            axes.hist(
                values, bins=edges, weights=np.full(len(values), 1 / len(values)), color=colour, label=label, **style
            )
    axes.set(xlim=(0, 1), xlabel="score = (cosine + 1) / 2", ylabel="share of pairs")
    axes.set_title("Scores of positive and negative pairs")
    axes.margins(y=0.5)  # room for the legend, wherever the scores lie
    axes.legend(loc="upper left", fontsize=9, ncols=2)


def _margins(axes: Axes, result: Mapping[str, Any], task: Task, student: EncoderScores) -> None:
    """Distribution of the student's per-query margins, their means, and the ceiling that random pairs allow."""
    positives = metrics.linear_score(student.positives)
    figures = result["separation"]["student"]
    sides = (
        ("labelled negatives", "labelled_negatives", student.negatives, task.negatives.queries, LABELLED),
        ("random negatives", "random_negatives", student.random, task.random.queries, RANDOM),
    )
    found = [report.query_margins(task, positives, metrics.linear_score(side[2]), side[3]) for side in sides]
    edges = np.histogram_bin_edges(np.concatenate(found), bins=40).tolist()
    for (title, kind, _, _, colour), margins in zip(sides, found, strict=True):
        if len(margins):
            mean = figures[kind]["query_margins"]["mean"]
            weights = np.full(len(margins), 1 / len(margins))
            label = f"{title}: {len(margins):,} queries, mean {mean:.3f}"
            axes.hist(margins, bins=edges, weights=weights, color=colour, alpha=0.5, histtype="stepfilled", label=label)
            axes.axvline(mean, color=colour, linewidth=1.5)
    if figures["random_negatives"]["ceiling"] is not None:
        ceiling = figures["random_negatives"]["ceiling"]
        axes.axvline(
            ceiling, color="black", linestyle=":", label=f"ceiling of the mean, random negatives: {ceiling:.3f}"
        )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="mean positive score - mean negative score of a query", ylabel="share of queries")
    axes.set_title("Student: margin of each query")
    axes.margins(y=0.45)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", fontsize=9)


def _ranking(axes: Axes, result: Mapping[str, Any]) -> None:
    values = {
        role: [figures[key] for key in report.RANKING_TITLES] if (figures := result["ranking"][role]) else None
        for role in report.ROLES
    }
    _bars(axes, list(report.RANKING_TITLES.values()), values)
    teacher = result["models"]["teacher"]
    note = f"; teacher: first {teacher['depth']} of {teacher['reranks']} re-ranked" if "reranks" in teacher else ""
    axes.set_title(f"Ranking over {result['counts']['documents']:,} documents{note}")


def _separation(axes: Axes, result: Mapping[str, Any]) -> None:
    values = {
        role: [figures[kind][key] for kind, key in map(report.SEPARATION_TITLES.__getitem__, SEPARATION_BARS)]
        if (figures := result["separation"][role])
        else None
        for role in ("base", "student")
    }
    titles = [title.replace(" ", "\n") for title in SEPARATION_BARS]
    _bars(axes, titles, values)
    axes.set_title("Separation on the linear score")


def _bars(axes: Axes, titles: Sequence[str], values: Mapping[str, Sequence[float | None] | None]) -> None:
    """Groups of bars, one bar a model with its value on top; a figure that does not exist has none."""
    shown = {role: figures for role, figures in values.items() if figures is not None}
    width = 0.84 / max(len(shown), 1)
    size = 7 if len(shown) > 2 else 8  # three neighbouring values would touch at 8
    lowest = 0.0
    for number, (role, figures) in enumerate(shown.items()):
        offset = (number - (len(shown) - 1) / 2) * width
        present = [(place, figure) for place, figure in enumerate(figures) if figure is not None]
        places = [place + offset for place, _ in present]
        heights = [figure for _, figure in present]
        lowest = min([lowest, *heights])
        axes.bar(places, heights, width * 0.94, color=ROLE_COLOURS[role], label=role)
        for place, height in zip(places, heights, strict=True):
            axes.text(place, max(height, 0) + 0.012, f"{height:.3f}", ha="center", va="bottom", fontsize=size)
    for place in range(len(titles)):
        if all(figures[place] is None for figures in shown.values()):
            axes.text(place, 0.012, "none", ha="center", va="bottom", fontsize=8, color=RANDOM)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(titles)), titles)
    axes.set(ylim=(lowest * 1.1, 1.22), xlim=(-0.55, len(titles) - 0.45))
    axes.set_yticks(np.arange(0, 1.01, 0.2))
    axes.legend(loc="upper right", ncols=3, fontsize=9)


def _samples(axes: Axes, groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Some of the best and worst queries as text: query, best positive and hardest negative with their scores."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_title("Sample pairs of the student, scores in front (negatives: L labelled, R random)")
    columns = (
        (0.0, "margin", 0.05),
        (0.05, "query", 0.26),
        (0.32, "best positive", 0.33),
        (0.66, "hardest negative", 0.34),
    )
    for left, name, _ in columns:
        axes.text(left, 0.95, name, va="center")
    step = 0.86 / (2 * SAMPLES_SHOWN + 2)
    height = 0.95 - step
    for title, colour in (("best", POSITIVE), ("worst", LABELLED)):
        axes.text(0.0, height, f"{title} queries", va="center", color=colour)
        for sample in groups[title][:SAMPLES_SHOWN]:
            height -= step
            positive, negative = sample["positive"], sample["negative"]
            cells = (
                f"{sample['margin']:+.3f}",
                sample["query"],
                f"{positive['student']:.3f}  {positive['document']}",
                f"{negative['student']:.3f} {negative['source'][0].upper()}  {negative['document']}",
            )
            for (left, _, width), cell in zip(columns, cells, strict=True):
                _fitted(axes, left, height, cell, width - 0.01)
        height -= step


def _fitted(axes: Axes, left: float, height: float, text: str, width: float) -> None:
    """Write one line, cut so that it takes at most ``width`` of the axes."""
    line = fonts.drawable(text[:300])
    drawn = axes.text(left, height, line, va="center", fontsize=9.5, parse_math=False)
    allowed = width * axes.get_window_extent().width

    def too_wide(letters: int) -> bool:
        drawn.set_text(line[:letters].rstrip() + "…")
        return drawn.get_window_extent().width > allowed

    if drawn.get_window_extent().width > allowed:
        # Bisection over the number of letters: what a letter takes differs by script.
        too_wide(bisect_left(range(len(line)), True, key=too_wide) - 1)
