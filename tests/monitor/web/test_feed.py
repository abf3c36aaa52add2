from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from bistill.monitor.processes import ProcessFacts
from bistill.monitor.runs import RunView
from bistill.monitor.states import RunState
from bistill.monitor.status import MOST_STEPS, RunStatus
from bistill.monitor.web.board import Snapshot, columns, run_id, snapshots
from bistill.monitor.web.feed import Feed, common, dumped, event
from tests.monitor.records import evaluation, start, step

ROOT = Path("/models")


def view(status: RunStatus) -> RunView:
    return RunView(status, RunState.RUNNING, ProcessFacts(alive=True, resident_mib=12.5), 1.0)


def fed(name: str, *records: dict[str, Any]) -> RunStatus:
    status = RunStatus(ROOT / name)
    for record in records:
        status.feed(record)
    return status


def board(*statuses: RunStatus) -> dict[str, Snapshot]:
    return snapshots(map(view, statuses), ROOT)


class Page:
    """What the page's script does with the messages, in Python."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.runs: dict[str, Any] = {}
        self.details: dict[str, Any] = {}
        self.received = 0

    def take(self, messages: list[str]) -> None:
        for message in messages:
            kind, data = message.removeprefix("event: ").removesuffix("\n\n").split("\ndata: ")
            found = json.loads(data)
            if kind == "runs":
                self.order, self.runs = found["order"], self.runs | found["runs"]
            else:
                self.take_details(self.details.setdefault(found["id"], {"steps": [], "evaluations": []}), found)

    def take_details(self, known: dict[str, Any], found: dict[str, Any]) -> None:
        if "steps" in found:
            values = found["steps"]["values"]
            rows = list(zip(values["step"], values["lr"], values["terms"].get("loss", []), strict=False))
            self.received += len(rows)
            known["steps"] = known["steps"][: found["steps"]["after"]] + rows
        if "evaluations" in found:
            change = found["evaluations"]
            known["evaluations"] = known["evaluations"][: change["after"]] + change["values"]
        known |= {name: found[name] for name in ("events", "options") if name in found}


def test_first_everything_then_what_changed() -> None:
    one = fed("one", start(options={"lr": 1e-4}), step(1), step(2))
    other = fed("other", start(), step(1))
    key = run_id(one.folder)
    feed, page = Feed([key]), Page()
    page.take(list(feed.messages(board(one, other))))
    assert page.order == [key, run_id(other.folder)]
    assert page.runs[key]["name"] == "one" and page.runs[key]["state"] == "running"
    assert page.runs[key]["resident_mib"] == 12.5 and page.runs[key]["total_steps"] == 100
    assert page.details.keys() == {key}
    assert page.details[key]["steps"] == [(1, 1e-4, 1.0), (2, 1e-4, 0.5)]
    assert page.details[key]["options"] == {"lr": 1e-4}
    [started] = page.details[key]["events"]
    assert started["event"] == "start" and started["said"] == {
        "en": f"started: distillation, process {started['pid']}",
        "ko": f"시작: 증류, 프로세스 {started['pid']}",
    }

    assert list(feed.messages(board(one, other))) == []
    one.feed(step(3))
    messages = list(feed.messages(board(one, other)))
    assert [message.split("\n")[0] for message in messages] == ["event: runs", "event: run"]
    runs, details = (json.loads(message.split("data: ")[1]) for message in messages)
    assert runs["runs"].keys() == {key}
    assert details.keys() == {"id", "steps"}
    assert details["steps"]["after"] == 2 and details["steps"]["values"]["step"] == [3]


def test_runs_that_change_places_or_go_away() -> None:
    one, other = fed("one", start()), fed("other", start())
    feed = Feed([])
    list(feed.messages(board(one, other)))
    [message] = list(feed.messages(board(other, one)))
    assert json.loads(message.split("data: ")[1]) == {"order": [run_id(other.folder), run_id(one.folder)], "runs": {}}
    [message] = list(feed.messages(board(one)))
    assert json.loads(message.split("data: ")[1])["order"] == [run_id(one.folder)]
    assert len(list(Feed([]).messages({}))) == 1  # a page without runs is told so


def test_a_page_has_the_same_points_as_the_monitor_through_thinning_and_going_back() -> None:
    status = fed("run", start())
    key, rng = run_id(status.folder), random.Random(0)
    feed, page, number = Feed([key]), Page(), 0
    for _ in range(400):
        for _ in range(rng.randrange(1, 40)):
            number += 1
            status.feed(step(number, total=10_000))
        if rng.random() < 0.05:
            status.feed(evaluation(number, rng.random(), histograms={"positive": [number]}))
        if rng.random() < 0.02:
            number = max(number - rng.randrange(100), 1)
            status.feed({"time": 1.0, "event": "resume", "step": number})
        page.take(list(feed.messages(board(status))))
        known = page.details[key]
        assert [row[0] for row in known["steps"]] == [point.step for point in status.history.steps]
        assert [row[2] for row in known["steps"]] == [point.terms["loss"] for point in status.history.steps]
        assert known["evaluations"] == status.history.evaluations
    assert status.history.every > 1
    # Each point once, and those that stay whenever every second one goes.
    assert page.received < number + 4 * MOST_STEPS


def test_columns_of_terms_that_come_later() -> None:
    status = fed("run", start(), step(1, terms={"loss": 0.5}), step(2, terms={"loss": 0.25, "penalty": 0.125}))
    found = columns(status.history.steps)
    assert found["terms"] == {"loss": [0.5, 0.25], "penalty": [None, 0.125]}
    assert found["step"] == [1, 2] and found["grad_norm"] == [1.0, 1.0]
    assert columns([]) == {**{name: [] for name in found}, "terms": {}}


def test_histograms_are_for_drawings_not_for_the_list_of_events() -> None:
    status = fed("run", start(), evaluation(1, 0.5, histograms={"positive": [1, 2]}))
    [snapshot] = board(status).values()
    assert snapshot.evaluations[0]["histograms"] == {"positive": [1, 2]}
    assert "histograms" not in snapshot.events[-1] and "histograms" in status.events[-1]


def test_a_snapshot_does_not_change_with_the_run() -> None:
    status = fed("run", start(), step(1))
    before = board(status)
    status.feed(step(2))
    status.terms["loss"] = 7.0
    after = board(status)
    [old], [new] = before.values(), after.values()
    assert (len(old.steps), old.summary["step"], old.summary["terms"]["loss"]) == (1, 1, 1.0)
    assert (len(new.steps), new.summary["step"], new.summary["terms"]["loss"]) == (2, 2, 7.0)


def test_ids_are_safe_whatever_a_folder_is_called() -> None:
    names = ("a/b", "<img src=x>", "학생", "\udcff", "a\nb")
    ids = {run_id(ROOT / name) for name in names}
    assert len(ids) == len(names) and all(name.isalnum() and name.isascii() for name in ids)
    status = fed("a\nevent: runs\udcff", start())
    [message] = list(Feed([]).messages(board(status)))
    assert message.isascii() and message.count("\n") == 3


def test_how_many_are_the_same() -> None:
    assert [common(*pair) for pair in (("", "ab"), ("ab", "abc"), ("abc", "ab"), ("axc", "abc"))] == [0, 2, 2, 1]


def test_numbers_that_are_none_are_null() -> None:
    assert dumped({"a": [float("nan"), float("inf"), 1.5]}) == '{"a":[null,null,1.5]}'
    assert event("runs", {"a": "학생\n"}) == 'event: runs\ndata: {"a":"\\ud559\\uc0dd\\n"}\n\n'
