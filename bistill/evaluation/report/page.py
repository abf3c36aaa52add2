"""The report page: one HTML file that holds everything, for a browser without a network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bistill import artifacts
from bistill.evaluation.comparisons import OTHERS
from bistill.evaluation.questions import Questions
from bistill.evaluation.report import composing as report
from bistill.evaluation.report import fonts, moved, plots, summary, verdict
from bistill.evaluation.report.words import KOREAN, NAMES, said
from bistill.evaluation.scores import Answers
from bistill.languages import LANGUAGES, Language

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

# All that the page may run: without it the page is English until its reader switches.
SCRIPT: Final = 'if (/^ko\\b/i.test(navigator.language)) document.getElementById("ko").checked = true;'
SCRIPT_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
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
    from markupsafe import Markup

    roles = summary.shown_roles(result)
    found = summary.figures(result, roles)
    texts = "".join(str(result[key]) for key in ("samples", "failures", "models", "data", "forgetting", "options"))
    return (
        _environment()
        .get_template(TEMPLATE)
        .render(
            korean=fonts.korean_part(texts + "".join((*KOREAN.values(), *NAMES.values()))),
            languages=NAMES,
            script=Markup(SCRIPT),
            script_hash=SCRIPT_HASH,
            result=result,
            drawings={name: Markup(element) for name, element in drawings.items()},
            roles=roles,
            encoders=[role for role in roles if result["separation"].get(role)],
            measures=summary.measures(result),
            table_of_queries=artifacts.EVALUATION_QUERIES,
            judge=list(zip(*(list(summary.judge(result, language)) for language in LANGUAGES), strict=True)),
            among=[summary.ranked_among(result, language) for language in LANGUAGES],
            verdict=[verdict.verdict(result, language) for language in LANGUAGES],
            figures=found,
            best={title: verdict.best(title, values) for title, values in found.items()},
            separation_titles=report.SEPARATION_TITLES,
            kinds=summary.KINDS,
            cut_titles=summary.CUT_TITLES,
            others=[
                role
                for role in OTHERS
                if result["comparisons"].get(f"student_minus_{role}") and not verdict.too_few(result)
            ],
            failing=[summary.failing(result, language) for language in LANGUAGES],
            sentences=list(zip(*(_sentences(result, language) for language in LANGUAGES), strict=True)),
        )
    )


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=summary.number, signed=signed, bounds=bounds, shortened=shortened, share=share, word=t
    )
    environment.globals.update(t=t, both=both, word=in_languages, label=label, minus=minus, useless=useless)
    return environment


def _sentences(result: Mapping[str, Any], language: Language) -> list[str]:
    counted = [moved.counted(result["moved"], language)] if result["moved"] else []
    return [*counted, *summary.sentences(result, language)]


def both(texts: Sequence[str]) -> Markup:
    """A text in English and Korean, escaped, of which the page shows one; texts that are equal stand there once."""
    from markupsafe import Markup, escape

    if len(set(texts)) == 1:
        return escape(texts[0])
    words = zip(LANGUAGES, texts, strict=True)
    return Markup("").join(Markup('<span class="word" lang="{}">{}</span>').format(*word) for word in words)


def in_languages(text: str, **values: object) -> list[str]:
    """``words.said`` in every language; a figure that is a list has one item a language."""
    return [
        said(language, text, **{key: item[place] if isinstance(item, list) else item for key, item in values.items()})
        for place, language in enumerate(LANGUAGES)
    ]


def t(text: str, **values: object) -> Markup:
    """``both`` of ``in_languages``: the short name stands all over the template."""
    return both(in_languages(text, **values))


def minus(role: str) -> Markup:
    """Title of the differences between the student and another model."""
    return t("student - {role}", role=in_languages(role))


def label(text: str, role: str = "") -> Markup:
    """Attributes of a cell whose column has no title on a phone."""
    from markupsafe import Markup

    texts = in_languages(text, role=in_languages(role)) if role else in_languages(text)
    return Markup('data-en="{}" data-ko="{}"').format(*texts)


def useless(cut: Mapping[str, Any]) -> Markup:
    """Why a threshold is of no use."""
    return both([str(summary.useless(cut, language)) for language in LANGUAGES])


def signed(item: Mapping[str, float] | None) -> Markup:
    """A difference with its interval."""
    return both([summary.signed(item, language) for language in LANGUAGES])


def bounds(item: Mapping[str, float | None], form: str) -> Markup:
    """An interval; an end that the draws do not bound is said."""
    return both([summary.bounds(item, form, language) for language in LANGUAGES])


def shortened(text: str, letters: int = SHOWN_LETTERS) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= letters else text[:letters].rstrip() + "…"


def share(value: float | None) -> str:
    """A share of a whole in percent, "-" where there is none."""
    return "-" if value is None else f"{value:.1%}"
