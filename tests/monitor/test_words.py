"""Numbers, times and events in words."""

from __future__ import annotations

import time

import pytest

from bistill.monitor import words
from bistill.monitor.states import RunState
from tests.monitor.views import records, view


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3600, "1 h 00 min"),
        (7530, "2 h 05 min"),
        (86_400 * 3 + 4 * 3600, "3 d 04 h"),
        (-3, "0 s"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    assert words.duration(seconds) == expected


def test_duration_in_korean() -> None:
    korean = [words.duration(seconds, "ko") for seconds in (48, 200, 7530, 86_400 * 3 + 4 * 3600)]
    assert korean == ["48초", "3분 20초", "2시간 5분", "3일 4시간"]


def test_size_and_figures() -> None:
    assert [words.size(value) for value in (0.25, 9.5, 10, 512, 1536)] == [
        "0.2 MiB",
        "9.5 MiB",
        "10 MiB",
        "512 MiB",
        "1.5 GiB",
    ]
    assert (words.figure(0.12345), words.figure(None)) == ("0.1235", "-")
    assert words.named({"auc": 0.5, "margin": None, "kind": "text"}) == "auc 0.5000"


def test_time_that_is_left() -> None:
    made = records(2)
    assert words.left(view(made)) == "6 min 36 s left"
    assert words.left(view(made, RunState.CRASHED)) == words.left(view(made[:2])) == ""
    ended = {"time": 1100.0, "event": "end", "status": "finished", "seconds": 9.0}
    assert words.left(view([*made, ended], RunState.EVALUATING)) == ""
    assert words.left(view(records(200))) == ""


def test_times_of_day() -> None:
    assert words.clock(time.mktime((2026, 3, 4, 14, 3, 59, 0, 0, -1))) == "14:03:59"
    assert [words.clock(value) for value in (None, "x", 1e300, float("nan"))] == ["--:--:--"] * 4


def test_a_state_says_where_memory_ran_out() -> None:
    shortage = {"time": 1010.0, "event": "trouble", "kind": "out_of_memory", "micro_batch_tokens": 64}
    assert words.state(view([*records(1), shortage], RunState.RECOVERING)) == "out of memory, recovering"
    assert words.state(view(records(1), RunState.RECOVERING)) == "recovering"
    assert words.state(view([*records(1), shortage], RunState.RUNNING)) == "running"


def test_inert_text_moves_no_cursor_and_turns_no_line() -> None:
    assert words.inert("run\x1b[2Jtwo\n three\x9b\u202e\x07") == "run�[2Jtwo three���"
    assert words.inert("모델/학생 실행") == "모델/학생 실행"
    assert words.first_line("row 3: empty\n  found: ''") == "row 3: empty"
    assert words.first_line("") == ""
