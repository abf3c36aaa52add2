"""Curves, histograms and levels of the page, in a real browser."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.monitor.web.browser import PROGRAM, Browser
from tests.monitor.web.conftest import COUNT_PIXELS, HOSTILE_TEXT, Monitor, choose, text

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
]


def test_curves_are_drawn_and_nothing_is_asked_of_another_host(page: Browser, monitor: Monitor) -> None:
    for section, charts in (("#losses", 2), ("#validation", 2), ("#machine", 3)):
        counts = page.wait_for(
            f"({COUNT_PIXELS})('{section}', 'first').every(Boolean) && ({COUNT_PIXELS})('{section}', 'first')"
        )
        assert len(counts) == charts and min(counts) > 30
    histograms = [page.ask(f"({COUNT_PIXELS})('.scores', '{name}')[0]") for name in ("good", "second", "first", "soft")]
    assert min(histograms) > 30
    assert text(page, "#losses figure b") == "loss"
    assert text(page, "#connection") == "live"
    assert text(page, "#run h2") == "student" and text(page, "#run .badge") == "running"
    place = urlsplit(monitor.server.address)
    assert {urlsplit(address)[:2] for address in page.requested()} == {("http", place.netloc)}
    assert page.complaints() == []


def test_two_runs_beside_each_other(page: Browser) -> None:
    assert page.ask(f"({COUNT_PIXELS})('#losses', 'second')") == [0, 0]
    other = page.ask("[...document.querySelector('#compare').options].find(({text}) => text === '옛 학생').value")
    choose(page, "#compare", other)
    page.wait_for(f"({COUNT_PIXELS})('#losses', 'second')[0] > 30")
    assert page.ask(
        "[...document.querySelectorAll('main table tbody tr')].map((row) => row.innerText.split('\\t'))"
    ) == [["K", "8", "4"]]
    assert "student" in text(page, ".legend") and "옛 학생" in text(page, ".legend")
    assert page.ask("location.hash").endswith(f"other={other}")
    page.open(page.ask("location.href"))
    page.wait_for(f"({COUNT_PIXELS})('#losses', 'second')[0] > 30")  # an address of the comparison itself


def test_zooming_by_mouse_and_by_sliders(page: Browser) -> None:
    x, y, width = page.ask(
        "(() => { const box = document.querySelector('#losses .u-over').getBoundingClientRect();"
        "return [box.x, box.y + 50, box.width]; })()"
    )
    mouse = {"button": "left", "clickCount": 1}
    for kind, share in (("mouseMoved", 0.5), ("mousePressed", 0.5), ("mouseMoved", 0.75), ("mouseReleased", 0.75)):
        page.call("Input.dispatchMouseEvent", type=kind, x=x + width * share, y=y, buttons=1, **mouse)
    page.wait_for("document.querySelector('.zoom output').textContent !== '0'")
    last = page.ask("Number(document.querySelector('.zoom input').max)")
    chosen = [int(value) for value in page.ask("[...document.querySelectorAll('.zoom input')].map(({value}) => value)")]
    assert chosen == pytest.approx([last * 0.5, last * 0.75], abs=last / 50)
    page.ask("document.querySelector('.zoom button').click()")
    assert page.ask("[...document.querySelectorAll('.zoom output')].map(({textContent}) => textContent)") == [
        "0",
        str(last),
    ]
    before = page.ask("document.querySelectorAll('#validation canvas')[0].toDataURL()")
    choose(page, ".zoom input", "150")
    page.wait_for("!document.querySelector('.zoom button').disabled")
    page.wait_for(f"document.querySelectorAll('#validation canvas')[0].toDataURL() !== {before!r}")


def test_the_slider_goes_through_the_validations(page: Browser) -> None:
    assert "evaluation 3 of 3" in text(page, ".scores output")
    choose(page, ".scores input", "0")
    assert text(page, ".scores output") == "step 0, evaluation 1 of 3"
    assert page.ask("document.querySelectorAll('.scores .legend > span').length") == 4


def test_three_runs_in_one_chart_and_one_taken_away(page: Browser) -> None:
    for index in (2, 3):
        choose(page, "#compare", page.ask("document.querySelector('#compare').options[1].value"))
        page.wait_for(f"document.querySelectorAll('main > .legend > span').length === {index}")
    colours = "['first', 'third']"
    page.wait_for(f"Math.min(...{colours}.map((name) => ({COUNT_PIXELS})('#validation', name)[0])) > 5")
    assert page.ask("document.querySelectorAll('#losses .values')[0].textContent.split(' / ').length") == 3
    assert page.ask("location.hash.split('other=').length") == 3
    assert page.ask("document.querySelectorAll('main thead th').length") == 4
    page.ask("document.querySelector('.legend button').click()")
    page.wait_for("document.querySelectorAll('main > .legend > span').length === 2")
    page.wait_for("document.querySelectorAll('#losses .values')[0].textContent.split(' / ').length === 2")


def test_ndcg_is_seen_against_base_model_and_teacher_and_its_best(page: Browser) -> None:
    assert page.ask("document.querySelector('#validation .levels').innerText.split('\\n')") == [
        "- - base model 0",
        "· · teacher 0.9 in the teacher gate: other lists, base model there 0.75",
        f"· · embedding teacher {HOSTILE_TEXT} 0.875 in its gate: other lists, base model there 0.75",
        "○ best weights, step 200",
    ]
    ndcg, auc = page.ask(f"({COUNT_PIXELS})('#validation', 'soft')")
    assert ndcg > auc + 80  # three lines across the chart, in the colour of the axes
    assert page.ask("document.querySelectorAll('#validation .levels')[1].hidden")


def test_losses_are_smoothed(page: Browser) -> None:
    series = "import('/static/series.js').then(({smoothed}) => smoothed([1, null, 3, 3], 0.5))"
    assert page.ask(series) == pytest.approx([1, None, (0.5 * 1 + 3) / 1.5, (0.25 * 1 + 0.5 * 3 + 3) / 1.75])
    shown = "Number(document.querySelector('#losses .values').textContent.split(',')[0])"
    rate = text(page, "#machine .values")
    mean = weight = 0.0
    for number in range(1, page.ask("document.querySelector('.zoom input').max * 1") + 1):
        mean, weight = 0.98 * mean + 0.02 / number, 0.98 * weight + 0.02  # the loss of an update is 1 / number
    choose(page, "#smoothing", "0.98")
    page.wait_for(f"Math.abs({shown} - {mean / weight}) < 1e-5")
    assert text(page, "#machine .values") == rate and text(page, ".tools output") == "98%"


def test_time_on_the_axis(page: Browser) -> None:
    button = "[...document.querySelectorAll('#runs button')].find((place) => place.textContent.includes('옛 학생'))"
    page.ask(f"{button}.click()")
    page.wait_for("document.querySelector('#losses .values')?.textContent.endsWith('step 149')")
    choose(page, "#axis", "time")
    page.wait_for("document.querySelector('#losses .values').textContent.endsWith(', 2.5 min')")  # 100.5 s to 249 s
    assert text(page, ".zoom legend") == "Range of time"
    assert page.ask("document.querySelectorAll('.zoom output')[1].textContent") == "2.5 min"
    choose(page, "#axis", "step")
    page.wait_for("document.querySelector('#losses .values').textContent.endsWith('step 149')")
