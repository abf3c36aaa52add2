from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bistill import artifacts
from bistill.errors import OptionError
from bistill.monitor.runs import Runs
from bistill.monitor.status import MOST_STEPS
from bistill.monitor.web import server as serving
from bistill.monitor.web.server import WebServer
from tests.monitor.records import evaluation, start, step, write

LONG = 10.0
HOSTILE = '<img src=x onerror="alert(1)">'


class Client:
    """A browser that keeps its cookie and opens connections of its own."""

    def __init__(self, server: WebServer) -> None:
        self.place, self.cookie = urlsplit(server.address), ""
        answer = self.get(f"/?{self.place.query}")
        assert answer.status == 200
        self.cookie = answer.getheader("set-cookie", "").partition(";")[0]

    def get(self, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.place.netloc, timeout=LONG)
        connection.request("GET", path, headers={"Cookie": self.cookie} if self.cookie else {})
        return connection.getresponse()

    def json(self, path: str) -> Any:
        answer = self.get(path)
        assert (answer.status, answer.getheader("content-type")) == (200, "application/json")
        return json.loads(answer.read())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    made = WebServer(tmp_path, "127.0.0.1", 0)
    yield made
    made.close()


def message(stream: http.client.HTTPResponse, *, with_alive: bool = False) -> tuple[str, Any]:
    """The next message of a stream that is no sign of life, or the next of all."""
    while True:
        kind, data, _ = (stream.readline().decode().rstrip("\n") for _ in range(3))
        if with_alive or kind != "event: alive":
            return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_runs_and_their_details(server: WebServer, tmp_path: Path) -> None:
    folder = tmp_path / HOSTILE / "학생"
    write(folder / "journal.jsonl", start(options={"K": 4}), step(1), evaluation(1, 0.5))
    server.act(Runs(tmp_path).look(LONG))
    client = Client(server)
    [(key, summary)] = client.json("/api/runs").items()
    assert summary["name"] == f"{HOSTILE}/학생" and summary["progress"] == 0.01
    assert summary["figures"] == {"ndcg_at_10": 0.5, "auc": 0.5}
    found = client.json(f"/api/runs/{key}")
    assert found["summary"] == summary and found["options"] == {"K": 4}
    assert found["steps"]["terms"]["loss"] == [1.0] and found["evaluations"][0]["step"] == 1
    assert [client.get(path).status for path in ("/api/runs/0", "/static/x.js", "/x")] == [404, 404, 404]


def test_files_of_the_page_and_none_other(server: WebServer) -> None:
    client = Client(server)
    page = client.get("/")
    assert page.getheader("content-type") == "text/html; charset=utf-8" and b"/static/page.js" in page.read()
    assert client.get("/static/uPlot.js").getheader("content-type") == "text/javascript; charset=utf-8"
    assert client.get("/static/korean.ttf").getheader("cache-control") == "private, max-age=86400"
    for path in ("/static/../server.py", "/static/..%2Fserver.py", "/static/%2Fetc%2Fpasswd", "/static/"):
        assert client.get(path).status == 404


def test_changes_arrive_as_they_are_published(server: WebServer, tmp_path: Path) -> None:
    journal = write(tmp_path / "run" / "journal.jsonl", start(), step(1))
    runs, client = Runs(tmp_path), Client(server)
    server.act(runs.look(LONG))
    [key] = client.json("/api/runs")
    stream = client.get(f"/api/changes?run={key}")
    assert stream.getheader("content-type") == "text/event-stream; charset=utf-8"
    assert message(stream)[1]["order"] == [key]
    assert message(stream)[1]["steps"]["values"]["step"] == [1]
    write(journal, step(2))
    server.act(runs.look(LONG))
    assert message(stream)[1]["runs"][key]["step"] == 2
    kind, found = message(stream)
    assert (kind, found["id"], found["steps"]["after"], found["steps"]["values"]["step"]) == ("run", key, 1, [2])


def test_a_page_watches_six_runs_at_most(server: WebServer, tmp_path: Path) -> None:
    for name in "abcdefgh":
        write(tmp_path / name / "journal.jsonl", start(), step(1))
    server.act(Runs(tmp_path).look(LONG))
    client = Client(server)
    keys = list(client.json("/api/runs"))
    stream = client.get("/api/changes?" + "&".join(f"run={key}" for key in keys))
    assert [message(stream)[0], *(message(stream)[1]["id"] for _ in range(6))] == ["runs", *keys[:6]]
    server.close()
    assert b"event: run" not in stream.read()


def test_a_stream_says_that_it_is_there_also_while_nothing_changes(
    server: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "ALIVE_SECONDS", 0.05)
    stream = Client(server).get("/api/changes")
    assert message(stream, with_alive=True)[0] == "runs"
    for _ in range(5):
        server.act([])  # looks at which nothing is new must not put off the sign of life
        assert message(stream, with_alive=True) == ("alive", 0.05)


def test_the_report_of_a_finished_run_is_sent_as_of_an_origin_of_its_own(server: WebServer, tmp_path: Path) -> None:
    end = {"time": 300.0, "event": "end", "status": "finished", "seconds": 1.0}
    write(tmp_path / "s" / "journal.jsonl", start(cwd=str(tmp_path)), step(1), end)
    write(tmp_path / "t" / "journal.jsonl", start(cwd=str(tmp_path)), step(1))
    folder = tmp_path / "evaluation_results" / "s"
    folder.mkdir(parents=True)
    (folder / artifacts.EVALUATION_JSON).write_text('{"models": {"student": {"path": "s"}}}')
    page = folder / artifacts.EVALUATION_PAGE
    page.write_bytes(b"<!DOCTYPE html><p>report")
    server.act(Runs(tmp_path).look(LONG))
    client = Client(server)
    runs = client.json("/api/runs")
    keys = {found["name"]: key for key, found in runs.items()}
    assert {found["name"]: found["has_report"] for found in runs.values()} == {"s": True, "t": False}
    assert "report" not in client.json(f"/api/runs/{keys['s']}")
    answer = client.get(f"/report/{keys['s']}")
    assert (answer.status, answer.read()) == (200, page.read_bytes())
    policy = answer.getheader("content-security-policy", "").split("; ")
    assert {"default-src 'none'", "sandbox", "frame-ancestors 'none'"} < set(policy)
    assert not any("script" in part or "http" in part or "*" in part for part in policy)
    assert answer.getheader("x-content-type-options") == "nosniff"
    assert [client.get(path).status for path in (f"/report/{keys['t']}", "/report/0", "/report/")] == [404, 404, 404]
    page.unlink()
    assert client.get(f"/report/{keys['s']}").status == 404
    client.cookie = ""
    assert client.get(f"/report/{keys['s']}").status == 401


def test_each_address_works_once(server: WebServer) -> None:
    addresses = [server.address]
    Client(server)
    addresses.append(server.address)
    Client(server)
    assert len({*addresses, server.address}) == 3
    place = urlsplit(addresses[0])
    connection = http.client.HTTPConnection(place.netloc, timeout=LONG)
    connection.request("GET", f"/?{place.query}")
    assert connection.getresponse().status == 401


def test_an_answer_reads_no_file_and_holds_few_points_of_a_long_run(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = write(
        tmp_path / "run" / "journal.jsonl", start(), *(step(number, total=30_000) for number in range(1, 20_001))
    )
    server.act(Runs(tmp_path).look(LONG))
    client = Client(server)
    [key] = client.json("/api/runs")
    journal.unlink()
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("a file was opened"))
    found = client.json(f"/api/runs/{key}")
    assert MOST_STEPS / 2 <= len(found["steps"]["step"]) <= MOST_STEPS
    assert found["summary"]["step"] == 20_000


def test_a_browser_that_goes_away_is_forgotten(server: WebServer, tmp_path: Path) -> None:
    client = Client(server)
    stream = client.get("/api/changes")
    assert message(stream)[1] == {"order": [], "runs": {}}
    stream.close()
    until = time.monotonic() + LONG
    while server.waiting:
        assert time.monotonic() < until
        time.sleep(0.01)
    server.act([])


def test_places_where_it_cannot_listen(server: WebServer, tmp_path: Path) -> None:
    port = urlsplit(server.address).port
    assert port is not None
    with pytest.raises(OptionError, match=f"`port` {port}"):
        WebServer(tmp_path, "127.0.0.1", port)
    with pytest.raises(OptionError, match="cannot listen"):
        WebServer(tmp_path, "192.0.2.1", 0)


def test_addresses_of_all_kinds_of_hosts(tmp_path: Path) -> None:
    for host, shown in {"0.0.0.0": socket.gethostname(), "localhost": "localhost"}.items():
        server = WebServer(tmp_path, host, 0)
        try:
            assert server.address.startswith(f"http://{shown}:")
            assert ("network can read it (`host`))" in server.notice()) == (host == "0.0.0.0")
        finally:
            server.close()


def test_names_that_are_no_unicode(server: WebServer, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    write(folder / "journal.jsonl", start(), step(1, grad_norm=float("nan")))
    server.act(Runs(tmp_path).look(LONG))
    [(key, summary)] = Client(server).json("/api/runs").items()
    assert summary["name"] == "\udcff"
    assert Client(server).json(f"/api/runs/{key}")["steps"]["grad_norm"] == [None]
