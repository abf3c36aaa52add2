"""The command ``monitor``: its options as settings of the monitor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bistill.app.commands.monitor import monitor
from bistill.app.config import MonitorOptions
from bistill.errors import OptionError
from bistill.monitor import watch
from bistill.monitor.settings import Notifying, Page, Patience, Recovery


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(watch, "watch", lambda root, **given: calls.append({"root": root, **given}))
    return calls


def test_defaults_of_the_options_are_those_of_the_settings(watched: list[dict[str, Any]]) -> None:
    monitor(MonitorOptions())
    assert watched == [
        {
            "root": Path("models"),
            "patience": Patience(),
            "recovery": Recovery(),
            "notifying": Notifying(),
            "page": None,
            "interval": 1.0,
            "command": (),
            "language": None,
        }
    ]


def test_every_option_reaches_its_setting(watched: list[dict[str, Any]]) -> None:
    options = MonitorOptions(
        max_restarts=1,
        restart_pause=2.0,
        grace=3.0,
        lower_lr=True,
        min_free_mib=4,
        evaluate=False,
        hang_steps=5.0,
        hang_seconds=6.0,
        notify_command="tell",
        notify_webhook="https://example.org",
        web=True,
        host="0.0.0.0",
        port=7,
        interval=8.0,
        language="ko",
    )
    monitor(options, ["train"])
    (call,) = watched
    assert call["language"] == "ko"
    assert call["recovery"] == Recovery(1, 2.0, 3.0, True, 4, False)
    assert call["patience"] == Patience(5.0, 6.0)
    assert call["notifying"] == Notifying("tell", "https://example.org")
    assert call["page"] == Page("0.0.0.0", 7)
    assert (call["interval"], call["command"]) == (8.0, ["train"])
    monitor(MonitorOptions(recover=False))
    assert watched[1]["recovery"] is None


def test_one_look_takes_no_command(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--once: one look cannot look after a command"):
        monitor(MonitorOptions(runs=str(tmp_path), once=True), ["touch", str(tmp_path / "touched")])
    assert not (tmp_path / "touched").exists()
