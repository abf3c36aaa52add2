"""The page in a real browser, over a monitor with runs of every kind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bistill.monitor.runs import Runs
from bistill.monitor.web.server import WebServer
from tests.monitor.records import evaluation, start, step, write
from tests.monitor.web.browser import Browser, running

LOOK_SECONDS = 0.5
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
