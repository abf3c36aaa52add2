"""Numbers, times and events in words."""

from __future__ import annotations

import time
from typing import Any

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


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"event": "start", "stage": "teacher", "pid": 7}, "started: teacher, process 7"),
        ({"event": "resume", "step": 500}, "goes on from the checkpoint of step 500"),
        ({"event": "checkpoint", "step": 8, "bytes": 2**21, "seconds": 0.25}, "checkpoint of step 8: 2.0 MiB in 0.2 s"),
        (
            {"event": "candidates", "queries": 3, "pairs": 24, "scored": 6},
            "candidates of 3 queries: 24 pairs, 6 of them scored anew",
        ),
        ({"event": "evaluation", "step": 2, "figures": {"auc": 0.75}}, "validation at step 2: auc 0.7500"),
        (
            {
                "event": "gate",
                "figures": {"teacher": {"rerank_ndcg_at_10": 0.8}, "student": {"rerank_ndcg_at_10": 0.75}},
            },
            "teacher gate: nDCG@10 of the teacher 0.8000, of the untouched student 0.7500",
        ),
        ({"event": "memory", "micro_batch_tokens": 8192}, "holds at most 8192 tokens at once"),
        ({"event": "merge", "share": 0.75}, "merged with the start: 0.75 of the training is kept"),
        ({"event": "merge", "share": 0.0}, "the training gained nothing: the student is its untouched start"),
        ({"event": "trouble", "kind": "out_of_memory", "message": "step 7\nmore"}, "out of memory: step 7"),
        ({"event": "saved", "step": 40}, "model of step 40 written"),
        ({"event": "end", "status": "finished", "seconds": 61.0}, "finished after 1 min 01 s"),
        ({"event": "end", "status": "failed", "seconds": 2.0, "error": "a\x1bb\nc"}, "failed after 2 s: a�b"),
        ({"event": "of a later version", "x": 1}, "of a later version"),
        ({"event": "checkpoint", "bytes": "many"}, "checkpoint"),
    ],
)
def test_events_in_words(record: dict[str, Any], expected: str) -> None:
    assert words.event(record) == expected
