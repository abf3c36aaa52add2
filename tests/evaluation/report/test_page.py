"""The report page: whole, inert, by itself, and for every reader."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import markupsafe
import pytest

from bistill import artifacts
from bistill.app.commands.evaluate import evaluate
from bistill.app.config import EvaluationOptions
from bistill.evaluation.report import fonts, moved, page, plots, verdict
from bistill.languages import LANGUAGES
from tests.evaluation.conftest import Evaluated, hostile
from tests.monitor.web.browser import PROGRAM, running

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Elements(HTMLParser):
    """Every element with its attributes, the ids, and the text; fails where a closing tag closes another element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def text(everything: Evaluated) -> str:
    return everything.file(artifacts.EVALUATION_PAGE).read_text(encoding="utf-8")


@pytest.fixture
def hostile_page(tmp_path: Path, tiny_encoder: Path) -> str:
    data = hostile(tmp_path / "<script>alert(2)</script>.csv".replace("/", "∕"))
    evaluate(
        EvaluationOptions(
            model_path=str(tiny_encoder), test_data=str(data), output_dir=str(tmp_path / "out"), bm25=False
        )
    )
    return (tmp_path / "out" / artifacts.EVALUATION_PAGE).read_text(encoding="utf-8")


@pytest.mark.slow
def test_texts_of_strangers_are_text(hostile_page: str) -> None:
    elements = Elements(hostile_page)
    tags = {tag for tag, _ in elements.found}
    assert [tag for tag, _ in elements.found].count("script") == 1 and page.SCRIPT in hostile_page
    assert not tags & {"img", "b", "iframe", "object", "embed", "link", "base", "form", "a", "i"}
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    for shown in (
        "<script>alert(0)</script> 서울 날씨는 '어때\"?",
        "<img src=x onerror=alert(1)>",
        "</dd><b>error</b>",
    ):
        assert shown in elements.text
    assert hostile_page.count("<script") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text", "hostile_page"])
def test_the_page_asks_no_other_host(name: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(name)
    for _, attributes in Elements(text).found:
        for attribute, value in attributes.items():
            if attribute in ("src", "href", "xlink:href", "srcset", "action", "poster", "data"):
                assert value.startswith("#")
            assert "url(" not in value or "url(#" in value
    assert "@import" not in text
    addresses = set(re.findall(r"https?://[^\"'\s<)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names, not places
    assert "default-src 'none'" in text


def test_the_policy_allows_the_one_script_of_the_page(text: str) -> None:
    allowed = re.search(r"script-src '(sha256-[^']+)'\"", text)
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert allowed and script
    assert allowed[1] == "sha256-" + base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()


def test_the_figures_of_the_report_are_on_the_page(everything: Evaluated, text: str) -> None:
    shown = Elements(text).text
    result = everything.result
    for role in ("base", "bm25", "teacher", "student", "compared"):
        for value in result["ranking"][role].values():
            assert f"{value:.4f}" in shown
    for kind in ("labelled_negatives", "random_negatives"):
        for found in (*(result["separation"][role] for role in ("base", "student")), result["calibrated"]["student"]):
            assert f"{found[kind]['uniformity']:.4f}" in shown
        assert f"{result['calibrated']['student']['reliability'][kind]['brier']:.4f}" in shown
        assert f"{result['shuffled_queries']['student'][kind]['auc']:.4f}" in shown
        assert f"{result['thresholds'][kind]['best_f1']['cosine']['threshold']:.4f}" in shown
    assert f"{result['forgetting'][0]['ndcg_at_10']['student']:.4f}" in shown
    assert result["samples"]["worst"][0]["query"] in shown
    assert moved.counted(result["moved"]) in shown


def test_failures_stand_before_other_examples_with_what_outranked_the_positive(
    everything: Evaluated, text: str
) -> None:
    failures, shown = everything.result["failures"], Elements(text).text
    assert 0 < failures["queries"] < 24
    assert f"{failures['queries']} of 24 queries have documents above their first relevant one" in shown
    for item in failures["worst"]:
        start = shown.index(item["query"])
        assert start < shown.index("Sample pairs")
        places = [shown.index(found["document"], start) for found in (*item["above"], item["positive"])]
        assert places == sorted(places)
    assert artifacts.EVALUATION_QUERIES in shown


def test_the_verdict_stands_before_the_first_table_and_the_best_of_a_row_is_bold(
    everything: Evaluated, text: str
) -> None:
    assert text.index(str(markupsafe.escape(verdict.verdict(everything.result)))) < text.index("<table")
    row = re.search(r'<th scope="row">nDCG@10</th>(.*?)</tr>', text, re.DOTALL)
    assert row
    cells = re.findall(r"<td( class=\"best\")?>([\d.]+)</td>", row[1])
    highest = max(value for _, value in cells)
    assert len(cells) == 5 and [value for bold, value in cells if bold] == [
        value for _, value in cells if value == highest
    ]


def test_drawings_are_whole_and_take_the_colour_of_the_text(everything: Evaluated, text: str) -> None:
    elements = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(elements) == 7
    for element in elements:
        ElementTree.fromstring(element)
        assert "currentColor" in element
        assert not re.search(r"<svg[^>]* (width|height)=", element)
    assert plots.INK not in text
    ids = [attributes["id"] for _, attributes in Elements(text).found if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed (Debian: apt-get install chromium)")
def test_on_a_phone_nothing_is_cut_off(everything: Evaluated) -> None:
    cut = "[...document.querySelectorAll('table, svg, figure, p, h1, dd')]"
    with running() as browser:
        browser.resize(390, 844)
        browser.open(everything.file(artifacts.EVALUATION_PAGE).as_uri())
        browser.wait_for("document.readyState == 'complete'")
        assert browser.ask("document.documentElement.scrollWidth") == 390
        assert browser.ask(f"{cut}.filter(e => e.getBoundingClientRect().right > 390).map(e => e.outerHTML)") == []
        assert browser.ask("document.querySelectorAll('svg').length") == 7
        assert browser.complaints() == []


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed (Debian: apt-get install chromium)")
def test_on_a_phone_a_threshold_that_is_not_there_is_one_line(everything: Evaluated, tmp_path: Path) -> None:
    found = everything.result["thresholds"]
    cuts = found | {kind: {**found[kind], "precision_95": None} for kind in ("labelled_negatives", "random_negatives")}
    file = tmp_path / "page.html"
    file.write_text(page.render({**everything.result, "thresholds": cuts}, {}), encoding="utf-8")
    row = "[...document.querySelectorAll('.stacked tr')].find(e => e.innerText.includes('lowest with 95 %'))"
    with running() as browser:
        browser.open(file.as_uri())
        browser.wait_for("document.readyState == 'complete'")
        for width, shown in ((390, ["none"]), (1200, ["none", "-", "-", "-", "-", "-"])):
            browser.resize(width, 844)
            cells = f"[...{row}.querySelectorAll('td')].filter(e => e.offsetHeight).map(e => e.innerText.trim())"
            assert browser.ask(cells) == shown


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed (Debian: apt-get install chromium)")
def test_the_page_speaks_the_language_of_its_reader_until_told_otherwise(everything: Evaluated) -> None:
    spoken = {language: verdict.verdict(everything.result, language) for language in LANGUAGES}
    with running() as browser:
        for accepted, first, other in (("ko-KR", "ko", "en"), ("en-US", "en", "ko"), ("kok", "en", "ko")):
            browser.speak(accepted)
            browser.open(everything.file(artifacts.EVALUATION_PAGE).as_uri())
            browser.wait_for("document.readyState == 'complete'")
            assert browser.ask("document.querySelector('.verdict').innerText") == spoken[first]
            browser.ask(f"document.querySelector('label[for={other}]').click()")
            assert browser.ask("document.querySelector('.verdict').innerText") == spoken[other]
            assert browser.complaints() == []
        browser.resize(390, 844)
        shown = "getComputedStyle(document.querySelector('.stacked td'), '::before').content"
        browser.ask("document.querySelector('label[for=ko]').click()")
        assert browser.ask(shown) == '"학생 - 베이스"'
        browser.ask("document.querySelector('label[for=en]').click()")
        assert browser.ask(shown) == '"student - base"'


def test_dark_light_and_narrow_readers_are_served(text: str) -> None:
    assert "prefers-color-scheme: dark" in text
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert '<meta charset="utf-8">' in text


def test_the_same_report_gives_the_same_page(everything: Evaluated, text: str, tmp_path: Path) -> None:
    drawings = dict(zip("ab", ("<svg></svg>", "<svg></svg>"), strict=True))
    assert page.render(everything.result, drawings) == page.render(everything.result, drawings)
    assert len(text) > 50_000


def test_the_hangul_of_the_page_goes_along_and_nothing_else(text: str) -> None:
    from fontTools.ttLib import TTFont

    embedded = re.search(r"url\(data:font/ttf;base64,([A-Za-z0-9+/=]+)\)", text)
    assert embedded
    known = TTFont(io.BytesIO(base64.b64decode(embedded[1]))).getBestCmap().keys()
    shown = {letter for letter in Elements(text).text if fonts.is_east_asian(letter)}
    assert {ord(letter) for letter in shown} <= known
    assert all(fonts.is_east_asian(chr(point)) for point in known)
    assert fonts.korean_part("no such letter, Äß") is None
    assert fonts.korean_part("서울") == fonts.korean_part("울서")


@pytest.mark.parametrize(("letter", "known"), [("가", True), ("《", True), ("！", True), ("漢", True), ("a", False)])
def test_brackets_of_korean_texts_go_along_with_the_hangul(letter: str, known: bool) -> None:
    assert fonts.is_east_asian(letter) is known
    assert (fonts.korean_part(letter) is not None) is known


def test_long_texts_are_cut() -> None:
    assert page.shortened("가나 다", 3) == "가나…"
    assert page.shortened("가나 다", 4) == "가나 다"
