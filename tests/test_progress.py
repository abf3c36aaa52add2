from __future__ import annotations

import io
import re
import sys

import pytest
from rich.console import Console

from bistill import progress


def test_plain_progress_shows_rate_remaining_time_and_note(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.progress("encoding", 40, "texts") as advance:
        now = 2.0
        advance(5)
        now = 6.0
        advance(5, "loss 0.5")
        now = 24.0
        advance(30)
    assert capsys.readouterr().err.splitlines() == [
        "encoding: 25%, 10/40 texts, 1.7 texts/s, 0:18 left  loss 0.5",
        "encoding: 40/40 texts in 24.0 s, 1.7 texts/s",
    ]


def test_progress_without_description_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("", 3, "texts") as advance:
        advance(3)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


PARTS = ["62%", "0:12:34 left", "200/320 steps", "loss 0.1234", "12.3 steps/s", "listwise_kl 0.0123", "info_nce 1.1111",
         "lr 9.72e-05"]  # fmt: skip


def test_what_stands_beside_a_bar_at_each_width() -> None:
    assert progress.fitted("training student", PARTS, 80) == (
        "training student", 10, "62%  0:12:34 left  200/320 steps  loss 0.1234",
    )  # fmt: skip
    assert progress.fitted("training student", PARTS, 120) == (
        "training student", 15, "62%  0:12:34 left  200/320 steps  loss 0.1234  12.3 steps/s  listwise_kl 0.0123",
    )  # fmt: skip
    assert progress.fitted("training student", PARTS, 160) == ("training student", 20, "  ".join(PARTS))
    assert progress.fitted("training student", PARTS, 40) == ("training student", 0, "62%  0:12:34 left")
    assert progress.fitted("training student", PARTS, 24) == ("traini", 0, "62%  0:12:34 left")


def test_a_line_is_never_wider_than_the_terminal() -> None:
    for width in range(20, 200):
        description, bar, text = progress.fitted("training student", PARTS, width)
        assert len(description) + 1 + (bar + 1 if bar else 0) + len(text) <= width
        assert text.startswith("62%  0:12:34 left")


@pytest.mark.parametrize("width", [80, 120, 160])
def test_a_bar_shows_share_and_remaining_time_in_one_line(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None, legacy_windows=False)
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress.console, "rich_console", lambda **_: screen)
    with progress.progress("training student", 400, "steps", done=100) as advance:
        now = 100.0
        advance(100, "loss 0.1234  listwise_kl 0.0123  contrastive 0.4567  negative_penalty 0.0222  lr 9.72e-05")
    lines = [line.rstrip() for line in re.split(r"[\r\n]|\x1b\[[0-9;?]*[A-Za-z]", screen.file.getvalue())]
    (last,) = {line for line in lines if "50%" in line}
    assert len(last) <= width
    assert re.match("training student [\u2501\u257a\u2578 ]+50%  3:20 left  200/400 steps  loss 0.1234", last)
    assert ("negative_penalty 0.0222" in last) == (width == 160)


def test_nothing_to_do_has_a_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("encoding", 0, "texts"):
        pass
    assert capsys.readouterr().err.startswith("encoding: 0/0 texts in ")
