"""The words of a report: every text that is said has its Korean, with the same figures in it."""

from __future__ import annotations

import ast
import re
import string
import sys
from pathlib import Path
from typing import Any

import pytest

from bistill.evaluation import dimensions
from bistill.evaluation.measures.ranking import MEASURES, PARTLY_JUDGED
from bistill.evaluation.report import composing, moved, page, plots, summary, verdict, words
from tests.evaluation.conftest import Evaluated

TEMPLATE = Path(page.__file__).with_name(page.TEMPLATE)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def literals(module: Any) -> set[str]:
    """Every text of a module's code: constants, and what is given to ``say``."""
    found = set()
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def test_figures_of_both_languages_are_the_same() -> None:
    differing = {text for text, korean in words.KOREAN.items() if fields(text) != fields(korean)}
    assert differing == set()


def test_korean_is_said_and_what_is_said_is_korean() -> None:
    template = TEMPLATE.read_text(encoding="utf-8")
    asked = set(re.findall(r'(?:\bt|label)\("([^"]+)"', template))
    assert {text for text in asked if text not in words.KOREAN} <= {"AUC", "F1"}
    code = set.union(*map(literals, (summary, verdict, moved, dimensions, composing)))
    held = list(words.KOREAN)
    spoken = held[: held.index(words.FIRST_OF_DRAWINGS)]
    joined = {"base model", "student model", "worst queries by margin", "best queries by margin"}
    joined |= {"hardest negative, labelled", "hardest negative, random"}
    joined |= {measure.title for measure in PARTLY_JUDGED.values()}
    unused = {text for text in spoken if text not in code and f'"{text}"' not in template} - joined
    assert unused == set()
    for text in (*composing.SEPARATION_TITLES, *summary.KINDS.values(), *summary.CUT_TITLES.values(), *composing.ROLES):
        assert text in words.KOREAN


def test_a_korean_report_has_no_english_sentence(everything: Evaluated) -> None:
    result = everything.result
    texts = [verdict.verdict(result, "ko"), summary.failing(result, "ko"), *summary.sentences(result, "ko")]
    counted = moved.sentences(result["moved"], "ko")[0]
    for text in (*texts, counted):
        names = (everything.options.forgetting_data[0], "nDCG@10", "BM25", "AUC", "F1", "ECE", "Brier")
        rest = text
        for name in names:
            rest = rest.replace(name, "")
        assert not re.search("[A-Za-z]", rest), text
    assert len(texts) == 2 + len(list(summary.sentences(result)))


def test_the_korean_summary_is_printed_on_a_terminal_whose_locale_is_korean(
    everything: Evaluated, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    summary.print_summary(everything.result)
    assert "mean random negative" in capsys.readouterr().out  # programs read it
    summary.print_summary(everything.result, "ko")
    korean = capsys.readouterr().out
    assert korean.splitlines()[1] == verdict.verdict(everything.result, "ko")
    assert "무작위 네거티브 평균" in korean and "mean random negative" not in korean
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for locale, said in (("ko_KR.UTF-8", "무작위 네거티브 평균"), ("C.UTF-8", "mean random negative")):
        monkeypatch.setenv("LC_ALL", locale)
        summary.print_summary(everything.result)
        assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("shown", "korean"),
    [
        ("student: labelled negative (1,200)", "학생: 라벨 네거티브 (1,200)"),
        ("best F1: 0.272, F1 0.800", "F1 최고: 0.272, F1 0.800"),
        ("best F1: 0.272, F1 0.800, useless", "F1 최고: 0.272, F1 0.800, 쓸모없음"),
        ("random negatives: 40 queries, mean 0.183", "무작위 네거티브: 쿼리 40개, 평균 0.183"),
        ("(teacher: first 10 of base re-ranked)", "(교사: 베이스 상위 10개 재순위화)"),
        ("mean positive", "포지티브 평균"),
        ("0.25", "0.25"),
        ("nDCG@10", "nDCG@10"),
    ],
)
def test_texts_of_drawings(shown: str, korean: str) -> None:
    assert words.of_drawing(shown) == korean


def test_every_word_of_the_drawings_has_korean(everything: Evaluated) -> None:
    text = everything.file("bi_encoder_evaluation_report.html").read_text(encoding="utf-8")
    drawn = set(re.findall(r"<text[^>]*>([^<]+)</text>", text))  # those with Korean hold spans
    assert {shown for shown in drawn if re.search("[A-Za-z]", shown)} <= {
        *(measure.title for measure in MEASURES.values())
    }
    assert plots.INK not in text
