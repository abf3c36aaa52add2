"""``--web`` in the monitor's own process."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from bistill.monitor.plain import PlainLines
from bistill.monitor.screen import Screen
from tests.monitor.records import start, step, write

LONG = 30.0
SCRIPT = Path(__file__).parents[3] / "realtime_monitor.py"


def got(address: str, cookie: str = "", path: str = "") -> http.client.HTTPResponse:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.netloc, timeout=LONG)
    connection.request("GET", path or f"/?{place.query}", headers={"Cookie": cookie} if cookie else {})
    return connection.getresponse()


def test_the_address_is_printed_followed_by_another_and_the_page_is_kept_up_to_date(tmp_path: Path) -> None:
    journal = write(tmp_path / "run" / "journal.jsonl", start(), step(1, time=time.time()))
    command = [sys.executable, str(SCRIPT), "--runs", str(tmp_path), "--web", "--no_recover", "--interval", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            found = re.fullmatch(r"web page: (http://127\.0\.0\.1:\d+/\?token=[\w-]{22}) \(works once\)\n", first)
            assert found is not None and len(first) <= 80, first
            cookie = got(found[1]).getheader("set-cookie", "").partition(";")[0]
            lines = iter(process.stdout.readline, "")
            assert found[1] not in next(line for line in lines if line.startswith("web page: "))
            assert got(found[1]).status == 401
            write(journal, step(2, time=time.time()))
            until = time.monotonic() + LONG
            while True:
                [summary] = json.loads(got(found[1], cookie, "/api/runs").read()).values()
                if summary["step"] == 2:
                    break
                assert time.monotonic() < until
                time.sleep(0.05)
        finally:
            process.terminate()
        assert process.wait(LONG) == 128 + 15


def test_the_screen_shows_the_whole_address_above_the_runs(tmp_path: Path) -> None:
    console = Console(width=40, height=20, force_terminal=True, record=True)
    address = "http://127.0.0.1:8000/?token=" + "x" * 43
    with console.capture(), Screen(tmp_path, console, notice=lambda: address) as screen:
        screen.act([])
        shown = [line.plain for line in screen.shown or ()]
    assert "".join(shown[:2]) == address and "no run" in shown[2]


def test_a_notice_is_printed_when_it_is_another_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notices = iter(["one", "one", "two"])
    printed = PlainLines(tmp_path, notice=lambda: next(notices))
    for _ in range(3):
        printed.act([])
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line in ("one", "two")] == ["one", "two"]


def blocked(*names: str) -> list[str]:
    """The monitor in a process in which packages cannot be imported."""
    code = f"import sys; sys.modules.update(dict.fromkeys({names!r}))\nfrom bistill.app.cli import main; main()"
    return [sys.executable, "-c", code, "monitor"]


@pytest.mark.parametrize("name", ["starlette", "uvicorn"])
def test_without_a_package_of_the_page_it_says_what_to_install(tmp_path: Path, name: str) -> None:
    command = [*blocked(name), "--runs", str(tmp_path), "--web"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
    assert (result.returncode, result.stdout) == (2, "")
    assert "error: --web: a package of the page is not installed" in result.stderr and name in result.stderr
    assert result.stderr.endswith("do: pip install 'bistill[monitor]'\n") and "Traceback" not in result.stderr


def test_the_terminal_needs_none_of_them(tmp_path: Path) -> None:
    write(tmp_path / "run" / "journal.jsonl", start(), step(7, time=time.time()))
    command = [*blocked("starlette", "uvicorn", "youplot", "anyio", "h11"), "--runs", str(tmp_path), "--once"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
    assert (result.returncode, result.stderr) == (0, "") and "7/" in result.stdout
