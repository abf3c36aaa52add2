from __future__ import annotations

import http.server
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bistill.errors import OptionError
from bistill.monitor import notifications
from bistill.monitor.notifications import Notice, Notifier
from bistill.monitor.settings import Notifying

NOTICE = Notice(
    "failed", "models/$(touch hacked); 'x", "teacher", "failed", 3, 9, "the run has failed: `id`", "행 3\n  빈 칸"
)


@pytest.fixture
def posted() -> Iterator[tuple[str, list[Any]]]:
    """Address of a server, and what was posted to it; below /broken it answers with an error."""
    found: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(500 if self.path == "/broken" else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", found
    server.shutdown()
    server.server_close()
    thread.join()


def sent(said: list[str], **options: Any) -> None:
    notifier = Notifier(Notifying(**options), said.append)
    notifier.send(NOTICE)
    notifier.close(30)


def test_a_program_gets_the_facts_and_no_text_is_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "told here.py"
    script.write_text(
        "import json, os, sys\n"
        "given = {name: value for name, value in os.environ.items() if name.startswith('BISTILL_')}\n"
        "open('told.json', 'w').write(json.dumps([sys.argv[1:], json.loads(sys.stdin.buffer.read()), given]))\n"
    )
    said: list[str] = []
    sent(said, command=f"{sys.executable} '{script}' --to me")
    arguments, facts, variables = json.loads((tmp_path / "told.json").read_text())
    assert arguments == ["--to", "me"] and said == []
    assert facts["error"] == "행 3\n  빈 칸" and facts["run"] == NOTICE.run and facts["step"] == 3
    assert variables["BISTILL_EVENT"] == "failed" and variables["BISTILL_MESSAGE"] == NOTICE.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["told here.py", "told.json"]


def test_a_web_address_is_posted_to(posted: tuple[str, list[Any]]) -> None:
    address, found = posted
    said: list[str] = []
    sent(said, webhook=address)
    [(kind, body)] = found
    assert kind.startswith("application/json") and body["message"] == NOTICE.message and said == []


def test_what_cannot_be_sent_is_said(posted: tuple[str, list[Any]]) -> None:
    said: list[str] = []
    sent(said, command="no-such-program --x", webhook=f"{posted[0]}/broken")
    assert len(said) == 2
    assert any("`Notifying.command`" in text and "no-such-program" in text for text in said)
    assert any("`Notifying.webhook`" in text and "500" in text for text in said)
    said.clear()
    sent(said, command="false", webhook="http://127.0.0.1:9/")
    assert len(said) == 2


def test_nothing_waits_for_a_program_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "COMMAND_SECONDS", 0.2)
    said: list[str] = []
    notifier = Notifier(Notifying(command=f"{sys.executable} -c 'import time; time.sleep(60)'"), said.append)
    before = time.monotonic()
    notifier.send(NOTICE)
    notifier.close(0)
    assert time.monotonic() - before < 10 and said == []
    notifier.close(30)
    assert len(said) == 1 and "timed out" in said[0]


def test_nothing_is_sent_without_the_options() -> None:
    notifier = Notifier(Notifying(), [].append)
    notifier.send(NOTICE)
    assert notifier.threads == []


def test_options_that_cannot_work_are_refused() -> None:
    for options in ({"command": "'unclosed"}, {"webhook": "file:///etc/passwd"}):
        with pytest.raises(OptionError):
            Notifier(Notifying(**options), print)
