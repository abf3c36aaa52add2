from __future__ import annotations

import pytest

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
        "encoding: 10/40 texts, 1.7 texts/s, 18 s left  loss 0.5",
        "encoding: 40/40 texts in 24.0 s, 1.7 texts/s",
    ]


def test_progress_without_description_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress("", 3, "texts") as advance:
        advance(3)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
