"""The report page: one HTML file that holds everything, for a browser without a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bistill import artifacts
from bistill.evaluation.comparisons import OTHERS
from bistill.evaluation.questions import Questions
from bistill.evaluation.report import composing as report
from bistill.evaluation.report import fonts, plots, summary, verdict
from bistill.evaluation.report.panels import KIND_TITLES
from bistill.evaluation.scores import Answers

TEMPLATE: Final = "page.html"
# Letters of a document that the page shows; the JSON has all.
SHOWN_LETTERS: Final = 600


def write(path: Path, result: Mapping[str, Any], asked: Questions, answers: Answers) -> None:
    """Write the page atomically.

    Args:
        path: the file.
        result: the report.
        asked: what was asked.
        answers: what the models answered.
    """
    artifacts.write_text(path, render(result, plots.drawings(result, asked, answers)))


def render(result: Mapping[str, Any], drawings: Mapping[str, str]) -> str:
    """The page as text. Everything in the report is escaped; only the drawings, which are ours, go in as they are.

    Args:
        result: the report.
        drawings: SVG elements by name.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=summary.number,
        signed=summary.signed,
        bounds=summary.bounds,
        shortened=shortened,
        share=share,
        useless=summary.useless,
    )
    roles = summary.shown_roles(result)
    found = summary.figures(result, roles)
    texts = "".join(str(result[key]) for key in ("samples", "failures", "models", "data", "forgetting", "options"))
    return environment.get_template(TEMPLATE).render(
        korean=fonts.korean_part(texts),
        result=result,
        drawings={name: Markup(element) for name, element in drawings.items()},
        roles=roles,
        encoders=[role for role in roles if result["separation"].get(role)],
        measures=summary.measures(result),
        table_of_queries=artifacts.EVALUATION_QUERIES,
        verdict=verdict.verdict(result),
        figures=found,
        best={title: verdict.best(title, values) for title, values in found.items()},
        separation_titles=report.SEPARATION_TITLES,
        kinds=KIND_TITLES,
        cut_titles=summary.CUT_TITLES,
        others=[role for role in OTHERS if result["comparisons"][f"student_minus_{role}"]],
        sentences=list(summary.sentences(result)),
    )


def shortened(text: str, letters: int = SHOWN_LETTERS) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= letters else text[:letters].rstrip() + "…"


def share(value: float | None) -> str:
    """A share of a whole in percent, "-" where there is none."""
    return "-" if value is None else f"{value:.1%}"
