"""Queries that a language model writes, against a server on this machine that answers as real ones do."""

from __future__ import annotations

import csv
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bistill.data.made import endpoint as asking
from bistill.data.made.endpoint import ask
from bistill.data.made.found import Source
from bistill.data.made.prompt import Example, messages, queries_in
from bistill.data.made.writing import make
from bistill.data.made.written import Writer
from bistill.data.settings import Endpoint, Making
from bistill.errors import DataError, OptionError

Reply = tuple[int, dict[str, str], bytes]
USAGE = {"prompt_tokens": 100, "completion_tokens": 7}


def chat(text: str | None, *, finish: str = "stop", **more: Any) -> Reply:
    message = {"role": "assistant", "content": text, **more}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": USAGE}
    return 200, {}, json.dumps(body).encode()


def good(document: str, _: int) -> Reply:
    number = document.split()[1]
    return chat(f"1. harbour {number} ships\n2. where is harbour {number}?")


class Server:
    """Answers each question with the next of the replies for its document, with the last one from then on."""

    def __init__(self) -> None:
        self.replies: Callable[[str, int], Reply] = good
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.times: Counter[str] = Counter()
        self.starts: list[float] = []
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.starts.append(time.monotonic())
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                document = body["messages"][-1]["content"]
                with server.lock:
                    server.asked.append(body)
                    server.keys.append(self.headers["Authorization"])
                    server.times[document] += 1
                status, headers, content = server.replies(document, server.times[document])
                if status == 0:  # the connection ends without an answer
                    return
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = Endpoint(f"http://127.0.0.1:{self._server.server_port}/v1/", "small", seconds=20)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(asking.KEY, raising=False)
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.001)
    monkeypatch.chdir(tmp_path)
    running = Server()
    yield running
    running.close()


def corpus(folder: Path, count: int) -> Path:
    file = folder / "corpus.jsonl"
    texts = [f"Document {number} tells of harbour {number} and of its old ships." for number in range(count)]
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return file


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


PLAIN = Making(each=2, typed=0.0)
SAID = messages(Source("Document 1 tells."), 2)
CHOICES = [{"index": index, "message": {"content": f"q{index}"}, "finish_reason": "stop"} for index in (2, 0, 1)]
BARE = [{"index": 0, "message": "harbour ships", "finish_reason": "stop"}]
WITHOUT_INDEX = [{"message": {"content": f"q{index}"}} for index in (0, 1)]


@pytest.mark.parametrize(
    ("bad", "failure"),
    [
        (chat("", reasoning_content="The user wants queries."), "an empty text"),
        (chat(None, reasoning="The user wants queries."), "no text"),
        (chat("<think>The user wants"), "an empty text"),
        (chat("harbour 1 sh", finish="length"), "cut at the length limit"),
        ((200, {}, json.dumps({"choices": []}).encode()), "no choice"),
        ((200, {}, json.dumps({"choices": WITHOUT_INDEX}).encode()), "2 choices without an index"),
        ((200, {}, json.dumps({"choices": BARE}).encode()), "no text"),
        ((200, {}, json.dumps({"choices": 1}).encode()), "no choice"),
        ((200, {}, b"<html>busy</html>"), "no JSON (JSONDecodeError)"),
        ((200, {}, b"[]"), "no JSON (ValueError)"),
        ((503, {}, b"busy"), "503 Service Unavailable"),
        ((429, {"Retry-After": "0"}, b"later"), "429 Too Many Requests"),
        ((0, {}, b""), "Remote end closed connection without response"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_that_is_none_is_a_failure_and_asked_again(server: Server, bad: Reply, failure: str) -> None:
    server.replies = lambda _, number: bad if number < 3 else chat("harbour ships")
    answer = ask(server.endpoint, SAID)
    assert (answer.text, answer.failure, answer.attempts) == ("harbour ships", "", 3)
    server.replies = lambda *_: bad
    answer = ask(server.endpoint, SAID)
    assert (answer.text, answer.failure, answer.attempts) == ("", failure, server.endpoint.attempts)


def test_an_answer_that_cannot_be_used_is_asked_for_at_another_temperature(server: Server) -> None:
    """At temperature 0 a server gives the same again; one that is busy has given nothing yet, and is asked the same."""
    busy = (503, {"Retry-After": "0"}, b"busy")

    def reply(_: str, number: int) -> Reply:
        if number == 1:
            return busy
        return chat("other words") if server.asked[-1]["temperature"] else chat("", reasoning="hm")

    server.replies = reply
    answer = ask(server.endpoint, SAID)
    assert (answer.text, answer.attempts) == ("other words", 3)
    assert [body["temperature"] for body in server.asked] == [0, 0, asking.AGAIN_TEMPERATURE]
    first, _, last = server.asked
    assert asking.AGAIN_TEMPERATURE > 0 and first | {"temperature": last["temperature"]} == last


@pytest.mark.parametrize("usage", ["unknown", [1, 2], 7, {"prompt_tokens": "many", "completion_tokens": None}])
def test_a_server_that_counts_no_tokens_is_understood(server: Server, usage: Any) -> None:
    status, headers, body = chat("harbour ships")
    server.replies = lambda *_: (status, headers, json.dumps(json.loads(body) | {"usage": usage}).encode())
    assert ask(server.endpoint, SAID) == ("harbour ships", "", 1, 0, 0)


def test_of_several_choices_the_one_of_index_0_is_the_answer_and_thoughts_are_none(server: Server) -> None:
    server.replies = lambda *_: (200, {}, json.dumps({"choices": CHOICES}).encode())
    assert ask(server.endpoint, SAID).text == "q0"
    server.replies = lambda *_: chat("<think>many\nlines</think>\nharbour ships")
    answer = ask(server.endpoint, SAID)
    assert answer == ("harbour ships", "", 1, 100, 7)


def test_a_refusal_ends_at_once_and_a_key_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.replies = lambda *_: (401, {}, b"no such key")
    with pytest.raises(OptionError, match=r"refuses the request \(401") as caught:
        ask(server.endpoint, SAID)
    assert "no such key" in str(caught.value) and len(server.asked) == 1 and server.keys == [None]
    monkeypatch.setenv(asking.KEY, "secret")
    server.replies = lambda *_: chat("a query")
    ask(server.endpoint, SAID)
    assert server.keys[1] == "Bearer secret"


def test_a_file_of_written_queries(server: Server, tmp_path: Path) -> None:
    server.replies = good
    writer = Writer(server.endpoint, PLAIN)
    made = make(corpus(tmp_path, 9), "made.csv", PLAIN, writer=writer)
    found = rows(made.path)
    assert [(row["query"], row["source"]) for row in found] == [
        (query, f"Document {number} tells of harbour {number} and of its old ships.")
        for number in range(9)
        for query in (f"harbour {number} ships", f"where is harbour {number}?")
    ]
    assert {(row["kind"], row["typed"], row["taken_out"]) for row in found} == {("written", "", "")}
    counts = {"requests": 9, "tokens read": 900, "tokens written": 63, "answers that failed": 0, "written": 18}
    assert {name: made.report[name] for name in counts} == counts
    assert all(body["model"] == "small" and body["temperature"] == 0 for body in server.asked)


def test_no_answer_is_paid_twice_and_a_failed_one_is_asked_for_again(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = corpus(tmp_path, 6)
    server.replies = lambda document, _: chat("", reasoning="hm") if "Document 4" in document else good(document, 1)
    made = make(file, "made.csv", PLAIN, writer=Writer(server.endpoint, PLAIN))
    attempts = server.endpoint.attempts
    assert made.report["requests"] == 5 + attempts and made.report["documents without a query"] == 1
    assert "documents without an answer: 1 time an empty text" in capsys.readouterr().err
    assert not any("harbour 4" in row["source"] for row in rows(made.path))
    server.replies = good
    asked = len(server.asked)
    again = make(file, "made.csv", PLAIN, writer=Writer(server.endpoint, PLAIN), overwrite=True)
    assert again.report["answers from the cache"] == 5 and len(server.asked) == asked + 1
    assert len(rows(again.path)) == 12
    kept = make(file, "made.csv", PLAIN, writer=Writer(server.endpoint, PLAIN), overwrite=True)
    assert kept.reused and len(server.asked) == asked + 1


def test_a_run_that_was_broken_off_pays_for_the_rest_alone(server: Server, tmp_path: Path) -> None:
    file = corpus(tmp_path, 40)
    one = Endpoint(server.endpoint.url, "small", at_once=1)
    server.replies = lambda document, _: (404, {}, b"gone") if len(server.asked) == 20 else good(document, 1)
    with pytest.raises(OptionError, match="404"):
        make(file, "made.csv", PLAIN, writer=Writer(one, PLAIN))
    assert not Path("made.csv").exists()
    known = len(server.asked) - 1
    server.replies = good
    made = make(file, "made.csv", PLAIN, writer=Writer(server.endpoint, PLAIN))
    assert made.report["answers from the cache"] == known and made.report["requests"] == 40 - known
    assert len(rows(made.path)) == 80


def test_as_many_documents_are_asked_for_as_are_needed(server: Server, tmp_path: Path) -> None:
    server.replies = good
    making = Making(each=2, number=7, typed=0.0)
    made = make(corpus(tmp_path, 30), "made.csv", making, writer=Writer(server.endpoint, making))
    assert len(rows(made.path)) == 7 and len(server.asked) == 4


def test_documents_of_another_file_are_not_asked_for(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    making = Making(each=2, number=8, typed=0.0)
    file = corpus(tmp_path, 6)
    first = rows(make(file, "first.csv", making, writer=Writer(server.endpoint, making)).path)
    asked = len(server.asked)
    second = make(file, "second.csv", making, writer=Writer(server.endpoint, making), apart_from=["first.csv"])
    assert len(server.asked) - asked == 2 and len(rows(second.path)) == 4
    assert len({row["source"] for row in (*first, *rows(second.path))}) == 6
    assert "second.csv: 4 queries, where `Making.number` is 8; a higher `Making.number` asks" in capsys.readouterr().err
    with pytest.raises(DataError, match="no document gives a query"):
        writer = Writer(server.endpoint, making)
        make(file, "third.csv", making, writer=writer, apart_from=["first.csv", "second.csv"])
    assert len(server.asked) - asked == 2


def test_requests_start_no_faster_than_is_allowed_however_often_one_is_repeated(server: Server, tmp_path: Path) -> None:
    server.replies = lambda document, number: good(document, 1) if number == 2 else (503, {"Retry-After": "0"}, b"")
    limited = Endpoint(server.endpoint.url, "small", at_once=8, per_minute=1200)
    began = time.monotonic()
    make(corpus(tmp_path, 4), "made.csv", PLAIN, writer=Writer(limited, PLAIN))
    assert len(server.starts) == 8 and max(server.starts) - began >= 7 * 60 / 1200


def test_labelled_queries_are_shown_as_examples(server: Server, tmp_path: Path) -> None:
    labelled = tmp_path / "train.csv"
    lines = "".join(f"question {number},answer {number},1\n" for number in range(10))
    labelled.write_text("query,passage,label\n" + lines, encoding="utf-8")
    server.replies = good
    writer = Writer(server.endpoint, PLAIN, labelled)
    make(corpus(tmp_path, 2), "made.csv", PLAIN, writer=writer)
    system, *shown, last = server.asked[0]["messages"]
    assert system["role"] == "system" and last["content"].startswith("Document ")
    assert [one["role"] for one in shown] == ["user", "assistant"] * 4
    pairs = [(shown[place]["content"], shown[place + 1]["content"]) for place in range(0, 8, 2)]
    assert len({*pairs}) == 4
    assert all(document.replace("answer", "question") == query for document, query in pairs)
    assert "examples" in writer.inputs and writer.inputs["examples"] is not None


def test_a_server_that_never_answers_is_named(server: Server, tmp_path: Path) -> None:
    server.replies = lambda *_: (503, {}, b"")
    with pytest.raises(DataError, match="no answer of the endpoint can be used") as caught:
        make(corpus(tmp_path, 2), "made.csv", PLAIN, writer=Writer(server.endpoint, PLAIN))
    assert "'503 Service Unavailable': 2" in str(caught.value) and server.endpoint.url in str(caught.value)
    with pytest.raises(OptionError, match="an address of the web is expected"):
        Endpoint("127.0.0.1:8000", "small")


def test_lines_of_an_answer_are_queries() -> None:
    answer = 'Here are two queries:\n\n1. "harbour ships"\n- 항구는 어디에 있나요?\n2) where is it\n```\n'
    assert queries_in(answer) == ["harbour ships", "항구는 어디에 있나요?", "where is it"]
    said = messages(Source("x" * 10_000), 3, [Example("q", "d" * 10_000)])
    assert [len(one["content"]) for one in said[1:]] == [6_000, 1, 6_000] and "write 3 " in said[0]["content"]
