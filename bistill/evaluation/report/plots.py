"""The picture of an evaluation: every drawing on one page as a PNG, and each by itself as SVG for the report page."""

from __future__ import annotations

import html
import io
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bistill import artifacts
from bistill.evaluation.questions import Questions
from bistill.evaluation.report import fonts, panels, summary, verdict, words
from bistill.evaluation.report.panels import LABELLED, POSITIVE
from bistill.evaluation.scores import Answers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES: Final = (16.0, 16.0)
DOTS_PER_INCH: Final = 100
SAMPLES_SHOWN: Final = 4

# Of a drawing on the page: on a phone, 3.7 inches wide, its text is still read.
SMALL_INCHES: Final = (5.0, 4.0)
HIGH_INCHES: Final = (5.0, 5.6)
# Stands for the colour of text in an SVG until it is replaced by the page's own.
INK: Final = "#010203"
NO_METADATA: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def draw(path: Path, result: Mapping[str, Any], asked: Questions, answers: Answers) -> None:
    """Write the PNG, 1600 x 1600 pixels; matplotlib's global settings stay as they are.

    Args:
        path: the file, written atomically.
        result: the report.
        asked: what was asked.
        answers: what the models answered.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    student = answers.student
    with matplotlib.rc_context(_settings()):
        figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH)
        FigureCanvasAgg(figure)
        grid = figure.add_gridspec(
            *(4, 2),
            left=0.07,
            right=0.98,
            top=0.925,
            bottom=0.02,
            hspace=0.34,
            wspace=0.28,
            height_ratios=(1, 1.4, 1, 1.05),
        )
        _title(figure, result)
        panels.scores(figure.add_subplot(grid[0, 0]), student, answers.base)
        panels.margins(figure.add_subplot(grid[0, 1]), result, asked, student)
        panels.ranking(figure.add_subplot(grid[1, 0]), result)
        panels.means(figure.add_subplot(grid[1, 1]), result)
        panels.reliability(figure.add_subplot(grid[2, 0]), result)
        panels.cuts(figure.add_subplot(grid[2, 1]), result, asked, student)
        _samples(figure.add_subplot(grid[3, :]), result["samples"])
        with artifacts.atomic_path(path) as temporary:
            figure.savefig(temporary, format="png")


def drawings(result: Mapping[str, Any], asked: Questions, answers: Answers) -> dict[str, str]:
    """Every drawing as an SVG element without a background, its text in the colour of the text around it, by name.

    Args:
        result: the report.
        asked: what was asked.
        answers: what the models answered.
    """
    student = answers.student
    found = {
        "ranking": _svg("ranking", HIGH_INCHES, lambda axes: panels.ranking(axes, result)),
        "means": _svg("means", HIGH_INCHES, lambda axes: panels.means(axes, result)),
        "scores": _svg("scores", SMALL_INCHES, lambda axes: panels.scores(axes, student, answers.base)),
        "margins": _svg("margins", SMALL_INCHES, lambda axes: panels.margins(axes, result, asked, student)),
        "cuts": _svg("cuts", SMALL_INCHES, lambda axes: panels.cuts(axes, result, asked, student)),
    }
    if line := student.calibration:
        found["reliability"] = _svg("reliability", SMALL_INCHES, lambda axes: panels.reliability(axes, result))
        found["calibrated_scores"] = _svg(
            "calibrated_scores",
            SMALL_INCHES,
            lambda axes: panels.scores(axes, student, None, line.apply, "calibrated score"),
        )
    return found


def _svg(name: str, inches: tuple[float, float], drawing: Callable[[Axes], None]) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    keys = ("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color")
    # Text stays text: a browser chooses its font. A salt of its own makes the names of its parts unlike another's.
    settings: dict[Any, Any] = {**_settings(), **dict.fromkeys(keys, INK), "svg.fonttype": "none", "svg.hashsalt": name}
    settings |= {"axes.titlesize": 11, "legend.framealpha": 0.0, "legend.edgecolor": "none"}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=inches, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.set_facecolor("none")
        drawing(axes)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata=NO_METADATA)
    element = written.getvalue()[written.getvalue().index("<svg") :].replace(INK, "currentColor")
    # Widths come from the page; names of groups, of which every drawing has the same, are of no use there.
    element = re.sub(r' (width|height)="[\d.]+pt"', "", element, count=2)
    return _in_both_languages(re.sub(r'<g id="[^"]*"', "<g", element))


def _in_both_languages(element: str) -> str:
    """The drawing with every text that has Korean twice, as ``page.both`` writes it: the page shows one of them."""

    def twice(found: re.Match[str]) -> str:
        start, text = found.groups()
        korean = words.of_drawing(html.unescape(text))
        if korean == html.unescape(text):
            return found[0]
        word = '<tspan class="word" lang="{}">{}</tspan>'.format
        return f"{start}{word('en', text)}{word('ko', html.escape(korean))}</text>"

    return re.sub(r"(<text[^>]*>)([^<]+)</text>", twice, element)


def _settings() -> dict[Any, Any]:
    return {"font.family": list(fonts.families()), "font.size": 10, "axes.titlesize": 12}


def _title(figure: Figure, result: Mapping[str, Any]) -> None:
    counts = result["counts"]
    name, data = result["models"]["student"]["path"], result["data"]["test"]["path"]
    text = f"{name}   on   {data}   ({counts['queries']:,} queries, {counts['documents']:,} documents)"
    figure.text(0.5, 0.98, fonts.drawable(text), ha="center", va="center", fontsize=14, parse_math=False)
    figure.text(0.5, 0.96, verdict.verdict(result), ha="center", va="center", fontsize=12, parse_math=False)
    for line in summary.judge(result):
        figure.text(0.5, 0.99, fonts.drawable(line), ha="center", va="center", fontsize=10, parse_math=False)


def _samples(axes: Axes, groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Some of the best and worst queries as text: query, best positive and hardest negative with their scores."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_title("Example pairs of the student, scores in front (negatives: L labelled, R random)")
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
    for title, colour in (("worst", LABELLED), ("best", POSITIVE)):
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
                fit_text(axes, left, height, cell, width - 0.01)
        height -= step


def fit_text(axes: Axes, left: float, height: float, text: str, width: float) -> None:
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
