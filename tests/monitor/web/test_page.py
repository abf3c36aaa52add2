"""The page in a real browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bistill import artifacts
from bistill.monitor.runs import Runs
from bistill.monitor.web import server as serving
from bistill.monitor.web.server import WebServer
from tests.monitor.records import evaluation, start, step, write
from tests.monitor.web.browser import PROGRAM, Browser, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
]

LOOK_SECONDS = 0.5
# A line in a journal is seen on the page within so many seconds.
SEEN_WITHIN_SECONDS = 2.0
HOSTILE_NAME = '<img src=x onerror="window.hacked=1">'
HOSTILE_TEXT = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
STEPS = 200
HISTOGRAMS = {
    "positive": [0] * 15 + [10, 20, 30, 20, 10],
    "labelled_negative": [0] * 8 + [5, 10, 15, 10, 5] + [0] * 7,
    "mined_negative": [0] * 3 + [9, 18, 9] + [0] * 14,
    "random_negative": [30, 20, 10] + [0] * 17,
}
# How many pixels of all curves of a section have a colour of the style sheet.
COUNT_PIXELS = """
(place, name) => {
  const probe = document.body.appendChild(Object.assign(document.createElement("span"), {className: "colour-" + name}));
  const wanted = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  return [...document.querySelectorAll(place + " canvas")].map((canvas) => {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let at = 0; at < data.length; at += 4) {
      if (data[at + 3] > 200 && wanted.every((value, index) => Math.abs(data[at + index] - value) < 12)) count += 1;
    }
    return count;
  });
}
"""


class Monitor:
    """A monitor's loop in a thread, over a folder with a live run, an older one and one of a hostile name."""

    def __init__(self, root: Path) -> None:
        self.root, self.server = root, WebServer(root, "127.0.0.1", 0)
        self.journal = root / "student" / "journal.jsonl"
        self.number = STEPS
        options = {"lr": 2e-5, "K": 8, "student_name": HOSTILE_TEXT}
        steps = [step(number, total=1000, time=time.time()) for number in range(1, STEPS + 1)]
        measured = [evaluation(at, at / 1000, histograms=HISTOGRAMS) for at in (0, 100, STEPS)]
        gate = {"teacher": {"rerank_ndcg_at_10": 0.9}, "student": {"rerank_ndcg_at_10": 0.75}, "leads": True}
        measured.insert(0, {"time": 100.2, "event": "gate", "figures": gate})
        larger = {**gate, "teacher": {"rerank_ndcg_at_10": 0.875}}
        measured.insert(1, {"time": 100.3, "event": "gate", "embedding_teacher": HOSTILE_TEXT, "figures": larger})
        trouble = {"time": 300.0, "event": "trouble", "kind": "non_finite", "message": HOSTILE_TEXT}
        write(self.journal, start(options=options), *measured, trouble, *steps)
        other = [step(number, total=1000, terms={"loss": 2 / number}) for number in range(1, 150)]
        end = {"time": 400.0, "event": "end", "status": "failed", "error": HOSTILE_TEXT}
        write(root / "옛 학생" / "journal.jsonl", start(options={**options, "K": 4}), evaluation(0, 0.5), *other, end)
        strange = [{"time": "x", "event": ["y"], "message": ["z"]}, {"time": None, "event": HOSTILE_NAME}]
        strange += [evaluation(at, 0.5, histograms=what) for at, what in ((1, "x"), (2, {"positive": ["x", None, 3]}))]
        write(root / HOSTILE_NAME / "journal.jsonl", start(pid=1, stage=HOSTILE_NAME), step(1), *strange)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        runs = Runs(self.root)
        while not self._ending.is_set():
            self.server.act(runs.look())
            self._ending.wait(LOOK_SECONDS)

    def go_on(self) -> int:
        """Write the next update into the journal."""
        self.number += 1
        write(self.journal, step(self.number, total=1000, time=time.time()))
        return self.number

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self.server.close()


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    made = Monitor(tmp_path_factory.mktemp("models"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running() as made:
        yield made


@pytest.fixture
def page(browser: Browser, monitor: Monitor) -> Browser:
    """The page, freshly opened, in English and light, on a desk."""
    browser.resize(1280, 900)
    browser.prefer(dark=False)
    browser.speak("en-US")
    return opened(browser, monitor)


def opened(browser: Browser, monitor: Monitor) -> Browser:
    browser.open(monitor.server.address)
    browser.wait_for("document.querySelectorAll('#losses canvas').length === 2")
    browser.ask("localStorage.clear()")
    browser.wait_for(f"Math.min(...({COUNT_PIXELS})('#losses', 'first')) > 0")
    return browser


def text(page: Browser, place: str) -> str:
    return page.ask(f"document.querySelector('{place}').textContent")


def choose(page: Browser, place: str, value: str) -> None:
    change = "place.dispatchEvent(new Event('input')); place.dispatchEvent(new Event('change'))"
    page.ask(f"(() => {{ const place = document.querySelector('{place}'); place.value = '{value}'; {change} }})()")


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


def test_the_keyboard_reaches_everything_and_is_seen(page: Browser) -> None:
    reached, outlines = [], []
    for _ in range(9):
        page.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", windowsVirtualKeyCode=9)
        page.call("Input.dispatchKeyEvent", type="keyUp", key="Tab", windowsVirtualKeyCode=9)
        reached.append(page.ask("document.activeElement.id || document.activeElement.tagName.toLowerCase()"))
        outlines.append(page.ask("getComputedStyle(document.activeElement).outlineStyle"))
    assert {"language", "theme", "button", "compare", "axis", "smoothing", "summary"} <= set(reached)
    assert set(outlines) == {"solid"}


def test_who_has_no_key_or_uses_another_name(browser: Browser, monitor: Monitor) -> None:
    address = monitor.server.address
    browser.call("Network.clearBrowserCookies")
    place = urlsplit(address)
    for opened_address, said in (
        (f"http://{place.netloc}/", "Open the address"),
        (f"http://stranger.localhost:{place.port}/?{place.query}", "not one of the monitor's"),
    ):
        browser.open(opened_address)
        browser.wait_for(f'document.body?.innerText.includes("{said}")')
    browser.open(address)  # neither of them has spent it
    browser.wait_for("document.querySelectorAll('#losses canvas').length === 2")


def test_a_monitor_that_ends_is_missed(browser: Browser, tmp_path: Path) -> None:
    monitor = Monitor(tmp_path)
    browser.speak("en-US")
    opened(browser, monitor)
    monitor.close()
    browser.wait_for("document.querySelector('#connection').textContent.startsWith('Connection lost')")
    port = urlsplit(monitor.server.address).port
    assert port is not None
    with WebServer(tmp_path, "127.0.0.1", port):  # another monitor, which did not let this browser in
        browser.wait_for("document.querySelector('#connection').textContent.startsWith('The monitor has ended')")


def test_a_connection_that_died_in_silence_is_missed(
    browser: Browser, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a tunnel hangs or the monitor's process is stopped: no end of the connection reaches the browser."""
    monkeypatch.setattr(serving, "ALIVE_SECONDS", 0.3)
    browser.speak("en-US")
    browser.resize(1280, 900)
    page = opened(browser, monitor)
    lost = "document.querySelector('#connection').textContent.startsWith('Connection lost at ')"
    header = "getComputedStyle(document.querySelector('header')).backgroundColor"
    main = "getComputedStyle(document.querySelector('main')).filter"
    before = page.ask(header)
    assert not page.ask(lost) and page.ask(main) == "none"
    assert monitor.server.loop is not None
    monitor.server.loop.call_soon_threadsafe(time.sleep, 3)
    page.wait_for(lost)
    assert page.ask(header) != before and page.ask(main) == "grayscale(1)"
    page.wait_for("document.querySelector('#connection').textContent === 'live'")
    assert page.ask(header) == before and page.ask(main) == "none"


def test_a_failed_run_says_why(page: Browser) -> None:
    button = "[...document.querySelectorAll('#runs button')].find((place) => place.textContent.includes('옛 학생'))"
    assert "the run ended with an error: </script>" in page.ask(f"{button}.textContent")
    page.ask(f"{button}.click()")
    page.wait_for("!document.querySelector('.failure').hidden")
    assert text(page, ".failure .kind") == "the run ended with an error" and text(page, ".failure pre") == HOSTILE_TEXT
    facts = page.ask("[...document.querySelectorAll('.failure dt, .failure dd')].map((place) => place.textContent)")
    assert facts[:3] == ["What to do", "start the same command again", "Last line of the journal"]
    assert facts[3].endswith(" step 149")


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
