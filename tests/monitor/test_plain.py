"""Lines without a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from bistill.monitor.plain import PlainLines, line
from bistill.monitor.states import RunState
from tests.monitor.views import records, view


def test_a_line_by_hand() -> None:
    made = records(10, terms=("loss",))
    assert line(view(made)) == (
        "models/student: distillation, running, step 10/200, 2.00 s/step, 6 min 20 s left, "
        "loss 0.1000, ndcg_at_10 0.7900, auc 0.9000, margin 0.0100"
    )
    made.append({"time": 1100.0, "event": "end", "status": "failed", "seconds": 5.0, "error": "row 3: \x1b[2Jempty\nx"})
    shown = line(view(made, RunState.FAILED))
    assert shown.endswith("failed, step 10/200, loss 0.1000, ndcg_at_10 0.7900, auc 0.9000, "
        "margin 0.0100, row 3: �[2Jempty")  # fmt: skip


def test_a_line_comes_after_a_change_and_five_seconds_or_after_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    lines = PlainLines(Path("models"), clock=lambda: now[0])
    run, done = view(records(1)), view(records(2), RunState.FINISHED, folder="models/done")

    def said(after: float) -> list[str]:
        now[0] += after
        lines.act([run, done])
        return [text.split(":")[0] for text in capsys.readouterr().out.splitlines()]

    assert said(0) == ["models/student", "models/done"]
    assert said(10) == []
    run.status.feed(records(3)[-1])
    assert said(1) == ["models/student"]
    run.status.feed(records(4)[-1])
    assert said(4) == []  # changed, but the last line is four seconds old
    assert said(1) == ["models/student"]
    assert said(59) == []
    assert said(1) == ["models/student"]  # a minute later, though nothing changed; not of the run that has ended


def test_no_run_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    PlainLines(Path("mod\x1bels")).act([])
    assert capsys.readouterr().out == "no run below mod�els yet\n"
