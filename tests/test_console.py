from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bistill import console, progress
from tests.monitor.records import start, write

ROOT = Path(__file__).parent.parent
UNKNOWN = "no-such-command"


def test_table_prints_texts_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(["name", "value"], [["[red]brackets[/red]", "0.5"], ["한국어", "-"]])
    output = capsys.readouterr().out
    assert "[red]brackets[/red]" in output
    assert "한국어" in output


def test_what_is_counted_agrees_with_its_number() -> None:
    found = [console.counted(number, "query") for number in (0, 1, 2, 14_379)]
    assert found == ["0 queries", "1 query", "2 queries", "14,379 queries"]
    assert console.counted(2, "document") == "2 documents"
    assert [console.counted(number, "pair has", "pairs have") for number in (1, 1000)] == [
        "1 pair has",
        "1,000 pairs have",
    ]


def test_a_sentence_is_broken_between_words_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(sys, "stdout", written)
    console.paragraph("the student ranks [b]better[/b] 쿼리 40개")
    assert written.getvalue() == "the student ranks [b]better[/b] 쿼리 40개\n"
    written.truncate(0)
    written.seek(0)
    monkeypatch.setattr(written, "isatty", lambda: True, raising=False)
    console.paragraph("the student ranks [b]better[/b] 쿼리 40개")
    assert [line.rstrip() for line in written.getvalue().splitlines()] == [
        "the student ranks",
        "[b]better[/b] 쿼리",
        "40개",
    ]


def test_chosen_cells_of_a_table_are_bold_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", written)
    console.table(["name", "value"], [["a", "0.5"], ["b", "0.7"]], bold={(1, 1)})
    assert "\x1b" not in written.getvalue() and "0.7" in written.getvalue()
    monkeypatch.setattr(written, "isatty", lambda: True, raising=False)
    console.table(["name", "value"], [["a", "0.5"], ["b", "0.7"]], bold={(1, 1)})
    shown = written.getvalue()
    assert "\x1b[1m0.7\x1b[0m" in shown.replace("  ", "") and "\x1b[1m0.5" not in shown


@pytest.mark.parametrize(
    ("encoding", "errors", "expected"),
    [
        ("cp949", "strict", "축제 ? 7\N{DEGREE SIGN}"),
        ("euc_kr", "surrogateescape", "축제 ? 7\N{DEGREE SIGN}"),
        ("cp1252", "strict", "?? ? 7\N{DEGREE SIGN}"),
        ("ascii", "surrogateescape", "?? ? 7?"),
        ("utf-8", "strict", "축제 \N{CIRCUS TENT} 7\N{DEGREE SIGN}"),
        ("ascii", "backslashreplace", r"\ucd95\uc81c \U0001f3aa 7\xb0"),  # as the user has chosen
    ],
)
def test_what_a_console_cannot_show_is_replaced(
    monkeypatch: pytest.MonkeyPatch, encoding: str, errors: str, expected: str
) -> None:
    written = [io.BytesIO(), io.BytesIO()]
    for name, file in zip(("stdout", "stderr"), written, strict=True):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(file, encoding=encoding, errors=errors))
    text = "축제 \N{CIRCUS TENT} 7\N{DEGREE SIGN}"
    with console.usable():
        print(text)
        console.say(text)
        console.table(["name"], [[text]], title=text)
        with progress.progress(text, 1, text) as advance:
            advance(1, text)
    out, err = (file.getvalue().decode(encoding) for file in written)
    assert out.splitlines()[0] == err.splitlines()[0] == expected
    assert [expected in line for line in out.splitlines()].count(True) == 3
    assert err.splitlines()[1].startswith(f"{expected}: 1/1 {expected} in ")


def test_a_surrogate_of_a_file_name_is_replaced_in_utf_8_too(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="utf-8"))
    with console.usable():
        print(os.fsdecode(b"models/\xff"))
    assert written.getvalue() == b"models/?\n"


def into_closed_pipe(*arguments: str, stream: str = "stdout") -> tuple[int, str]:
    """Exit code of a Python process whose output or error nobody reads, and what it wrote into the other of the two."""
    closed, pipe = os.pipe()
    os.close(closed)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: pipe}
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, text=True, check=False, **streams)
    os.close(pipe)
    return done.returncode, (done.stdout or "") + (done.stderr or "")


TABLE = "from bistill import console\nwith console.usable(): console.table(['a'], [['b']])"
LATE = "from bistill import console\nwith console.usable(): print('buffered until the end'); raise SystemExit(2)"


@pytest.mark.parametrize(
    ("arguments", "stream"),
    [
        (("-c", "from bistill.app.cli import main; main()"), "stdout"),
        (("-c", "from bistill.app.cli import main; main()", UNKNOWN), "stderr"),
        (("train_teacher_model.py", "--help"), "stdout"),
        (("evaluate_final_model.py", "--no_such_option"), "stderr"),
        (("-c", TABLE), "stdout"),
        (("-c", LATE), "stdout"),
    ],
)
def test_a_closed_pipe_ends_a_command_without_a_word(arguments: tuple[str, ...], stream: str) -> None:
    assert into_closed_pipe(*arguments, stream=stream) == (141, "")


def test_another_pipe_that_breaks_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BrokenPipeError, match="of somebody else"), console.usable():
        raise BrokenPipeError("of somebody else")


def test_one_look_at_runs_on_a_korean_console(tmp_path: Path) -> None:
    """Names and errors of runs hold what such a console lacks, and what is shown in place of control characters."""
    error = "질문 '축제 \N{CIRCUS TENT}' \x1b[31m"
    end = {"time": 1.0, "event": "end", "status": "failed", "error": error}
    write(tmp_path / "학생\N{PARTY POPPER}" / "journal.jsonl", start(pid=1, process_started=5.0), end)
    done = subprocess.run(
        [sys.executable, "realtime_monitor.py", "--once", "--runs", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "euc_kr"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    said = done.stdout.decode("euc_kr")
    assert "학생?: distillation, failed, 질문 '축제 ?' ?[31m\n" in said
