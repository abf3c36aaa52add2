from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from bistill import hub
from tests import hub as hubs


def test_a_hub_that_never_answers_is_asked_once_and_for_a_limited_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hubs.silent() as address:
        hubs.use(monkeypatch, address, tmp_path)
        assert hub.silence(seconds=0.3) == f"{address}: no answer within 0.3 s"
        assert address.connected()
        assert hub.silence(seconds=600) == f"{address}: no answer within 0.3 s"
        assert address.left_alone()


def test_a_name_that_cannot_be_looked_up_in_time_is_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hubs.use(monkeypatch, "http://hub.invalid", tmp_path)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(30))
    assert hub.silence(seconds=0.3) == "http://hub.invalid: no answer within 0.3 s"


def test_a_refused_connection_is_silence_and_an_error_of_the_server_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    hubs.use(monkeypatch, f"http://127.0.0.1:{port}", tmp_path)
    assert "refused" in hub.silence(seconds=5).lower()
    with hubs.serving(tmp_path, "owner/model") as served:
        hubs.use(monkeypatch, served.address, tmp_path)
        assert hub.silence(seconds=5) == ""
        assert served.asked == ["HEAD /api/whoami-v2"]


def test_work_may_take_its_time_while_it_gets_on() -> None:
    count = iter(range(10**6))

    def work() -> str:
        time.sleep(0.4)
        return "done"

    assert hub.within(0.2, work, progress=lambda: next(count)) == "done"
    with pytest.raises(TimeoutError, match=r"nothing within 0\.2 s"):
        hub.within(0.2, work)


def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(KeyError, match="x"):
        hub.within(5, lambda: {}["x"])
