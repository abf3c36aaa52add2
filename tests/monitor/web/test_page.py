"""The page in a real browser: what is seen, in which language, on which screen, by which keys."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bistill import artifacts
from tests.monitor.records import start, step, write
from tests.monitor.web.browser import PROGRAM, Browser
from tests.monitor.web.conftest import COUNT_PIXELS, HOSTILE_NAME, HOSTILE_TEXT, Monitor, choose, opened, text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
]

# A line in a journal is seen on the page within so many seconds.
SEEN_WITHIN_SECONDS = 2.0


def test_a_line_of_the_journal_is_seen_at_once(page: Browser, monitor: Monitor) -> None:
    delays = []
    for _ in range(3):  # the machine may be busy with something else
        drawn = page.ask("document.querySelector('#losses canvas').toDataURL()")
        written = time.monotonic()
        number = monitor.go_on()
        page.wait_for(f"document.querySelector('#losses .values').textContent.endsWith('step {number}')")
        page.wait_for(f"document.querySelector('#losses canvas').toDataURL() !== {drawn!r}")
        page.wait_for(f"document.querySelector('#runs button').textContent.includes('step {number} of 1,000')")
        delays.append(time.monotonic() - written)
    assert min(delays) < SEEN_WITHIN_SECONDS


def test_hostile_names_and_texts_are_only_texts(page: Browser) -> None:
    names = page.ask("[...document.querySelectorAll('#runs b')].map((place) => place.textContent)")
    assert HOSTILE_NAME in names
    assert HOSTILE_TEXT in text(page, "#events")
    choose(page, "#compare", page.ask("document.querySelector('#compare').options[1].value"))
    page.wait_for("document.querySelector('#run section table') !== null")
    for index in range(len(names)):
        page.ask(f"document.querySelectorAll('#runs button')[{index}].click()")
        name = f"document.querySelectorAll('#runs b')[{index}].textContent"
        page.wait_for(f"document.querySelector('#run h2').textContent === {name}")
    assert page.ask("document.querySelectorAll('img, main script').length") == 0
    assert page.ask("typeof window.hacked") == "undefined"
    assert page.complaints() == []


def test_korean(browser: Browser, monitor: Monitor) -> None:
    browser.resize(1280, 900)
    browser.speak("ko-KR")
    page = opened(browser, monitor)
    page.wait_for("document.fonts.check('16px \"Korean of this page\"', '학습')")
    assert page.ask("document.documentElement.lang") == "ko"
    assert page.ask("[...document.querySelectorAll('main h3')].map((place) => place.textContent)") == [
        *("손실", "검증", "학습에 따른 점수 분포", "학습률, 속도, 메모리", "최근 기록")
    ]
    assert text(page, "#connection") == "실시간" and text(page, "#run .badge") == "학습 중"
    assert "증류 · 1,000스텝 중" in text(page, "#run")
    assert "200스텝 검증: ndcg_at_10 0.2000" in text(page, "#events") and "시작: 증류" in text(page, "#events")
    assert "옛 학생" in text(page, "#runs") and "실패" in text(page, "#runs")
    choose(page, "#language", "en")
    page.wait_for("document.querySelector('#losses h3').textContent === 'Loss'")
    assert "validation at step 200: ndcg_at_10 0.2000" in text(page, "#events")
    page.open(page.ask("location.href"))
    page.wait_for("document.querySelector('#losses h3')?.textContent === 'Loss'")  # the choice is remembered
    page.ask("localStorage.clear()")


def test_dark_and_light(page: Browser) -> None:
    def background() -> list[int]:
        return page.ask("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")

    assert min(background()) > 240
    page.prefer(dark=True)
    page.wait_for(f"({COUNT_PIXELS})('#losses', 'first')[0] > 30")  # drawn again in the colour of the dark page
    assert max(background()) < 40
    choose(page, "#theme", "light")
    page.wait_for(f"({COUNT_PIXELS})('#losses', 'first')[0] > 30")
    assert min(background()) > 240


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_scrolls_in_one_direction(browser: Browser, monitor: Monitor, width: int) -> None:
    browser.speak("ko-KR")
    browser.resize(width, 844)
    page = opened(browser, monitor)
    choose(page, "#compare", page.ask("document.querySelector('#compare').options[1].value"))
    page.wait_for("document.querySelector('#run section table') !== null")
    assert page.ask("document.documentElement.scrollWidth") <= width
    assert page.ask("[...document.querySelectorAll('#losses .uplot')].every(({clientWidth}) => clientWidth > 200)")


def test_the_keyboard_reaches_everything_and_is_seen(page: Browser) -> None:
    reached, outlines = [], []
    for _ in range(9):
        page.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", windowsVirtualKeyCode=9)
        page.call("Input.dispatchKeyEvent", type="keyUp", key="Tab", windowsVirtualKeyCode=9)
        reached.append(page.ask("document.activeElement.id || document.activeElement.tagName.toLowerCase()"))
        outlines.append(page.ask("getComputedStyle(document.activeElement).outlineStyle"))
    assert {"language", "theme", "button", "compare", "axis", "smoothing", "summary"} <= set(reached)
    assert set(outlines) == {"solid"}


def test_a_failed_run_says_why(page: Browser) -> None:
    button = "[...document.querySelectorAll('#runs button')].find((place) => place.textContent.includes('옛 학생'))"
    assert "the run ended with an error: </script>" in page.ask(f"{button}.textContent")
    page.ask(f"{button}.click()")
    page.wait_for("!document.querySelector('.failure').hidden")
    assert text(page, ".failure .kind") == "the run ended with an error" and text(page, ".failure pre") == HOSTILE_TEXT
    facts = page.ask("[...document.querySelectorAll('.failure dt, .failure dd')].map((place) => place.textContent)")
    assert facts[:3] == ["What to do", "start the same command again", "Last line of the journal"]
    assert facts[3].endswith(" step 149")


def test_a_finished_run_links_its_report(browser: Browser, tmp_path: Path) -> None:
    end = {"time": 300.0, "event": "end", "status": "finished", "seconds": 1.0}
    write(tmp_path / "models" / "done" / "journal.jsonl", start(cwd=str(tmp_path), pid=1), step(1), end)
    folder = tmp_path / "evaluation_results" / "done"
    folder.mkdir(parents=True)
    (folder / artifacts.EVALUATION_JSON).write_text('{"models": {"student": {"path": "models/done"}}}')
    styled = "<!DOCTYPE html><style>p { color: rgb(1, 2, 3) }</style><p>the report<script>window.hacked = 1</script>"
    (folder / artifacts.EVALUATION_PAGE).write_text(styled)
    browser.speak("en-US")
    monitor = Monitor(tmp_path / "models")
    try:
        page = opened(browser, monitor)
        link = "document.querySelector('.head a')"
        assert page.ask(f"{link}.hidden")
        names = "[...document.querySelectorAll('#runs button')]"
        page.ask(f"{names}.find((place) => place.textContent.startsWith('done')).click()")
        page.wait_for(f"!{link}.hidden && document.querySelector('#run h2').textContent === 'done'")
        assert text(page, ".head a") == "Evaluation report"
        page.open(page.ask(f"{link}.href"))
        page.wait_for("document.querySelector('p')?.textContent.startsWith('the report')")
        assert page.ask("getComputedStyle(document.querySelector('p')).color") == "rgb(1, 2, 3)"
        assert page.ask("[typeof window.hacked, window.origin]") == ["undefined", "null"]
    finally:
        monitor.close()


def test_options_of_a_run(page: Browser) -> None:
    assert text(page, "#options summary") == "Options (3)"
    page.ask("document.querySelector('#options summary').click()")
    page.wait_for("document.querySelectorAll('#options dd').length === 3")
    pairs = page.ask("[...document.querySelectorAll('#options dl > div')].map((place) => place.innerText.split('\\n'))")
    assert pairs == [["lr", "2.00e-5"], ["K", "8"], ["student_name", HOSTILE_TEXT]]


def test_many_runs_are_filtered(page: Browser, browser: Browser, tmp_path: Path) -> None:
    assert page.ask("document.querySelector('#filter').hidden")
    for name in ("a", "b", "c"):
        end = {"time": 400.0, "event": "end", "status": "finished", "seconds": 3.0}
        write(tmp_path / name / "journal.jsonl", start(pid=1, stage="teacher"), step(1), end)
    monitor = Monitor(tmp_path)
    try:
        opened(browser, monitor)
        page.wait_for("document.querySelectorAll('#runs button').length === 6")
        choose(page, "#filter", "Teacher finished")
        page.wait_for("document.querySelectorAll('#runs button').length === 3")
        assert text(page, "#runs .note") == "3 of 6" and text(page, "#run h2") == "student"
        choose(page, "#filter", "옛")
        page.wait_for("document.querySelectorAll('#runs button').length === 1")
    finally:
        monitor.close()
