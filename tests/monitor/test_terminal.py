"""The monitor as a process in a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.commands import ROOT
from tests.monitor.records import evaluation, start, step, write

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 60.0
OWN_SCREEN, SCREEN_BEFORE = b"\x1b[?1049h", b"\x1b[?1049l"


def own_the_terminal() -> None:
    """What a shell does for a program in the foreground. Tests that one runs in the background ignore SIGINT, and so
    would what they start."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A pseudo-terminal of 100 x 30 with a monitor in it."""

    def __init__(self, runs: Path, *options: str, background: bool = False) -> None:
        self._handle, inner = pty.openpty()
        termios.tcsetwinsize(inner, (30, 100))
        self.mode = termios.tcgetattr(self._handle)
        command = [
            sys.executable,
            "realtime_monitor.py",
            "--runs",
            str(runs),
            "--interval",
            "0.1",
            "--no_recover",
            *options,
        ]
        shell = ["bash", "-mc", '"$@" & wait $!', "bash"] if background else []
        self.process = subprocess.Popen(
            [*shell, *command],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            preexec_fn=own_the_terminal,
            start_new_session=True,
        )
        os.close(inner)
        self.output = b""

    def current_mode(self) -> list[Any]:
        """How the terminal is set at the moment."""
        return termios.tcgetattr(self._handle)

    def press(self, keys: str) -> None:
        """Type on the terminal."""
        os.write(self._handle, keys.encode())

    def read_until(self, text: bytes) -> None:
        """Read on until a text was written after what was read before."""
        start, until = len(self.output), time.monotonic() + PATIENCE_SECONDS
        while text not in self.output[start:]:
            assert time.monotonic() < until, self.output[-3000:]
            self._read()

    def read_to_end(self) -> None:
        """Read on until the monitor has ended."""
        until = time.monotonic() + PATIENCE_SECONDS
        while self._read():
            assert time.monotonic() < until, "the monitor does not end"

    def _read(self) -> bool:
        try:
            if select.select([self._handle], [], [], 1)[0]:
                self.output += os.read(self._handle, 1 << 16)
        except OSError:  # nobody has the other side any more
            return False
        return True

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._handle)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return write(tmp_path / "run" / "journal.jsonl", start(), step(1), step(2), evaluation(2, 0.5))


@pytest.fixture
def terminal(tmp_path: Path, journal: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    made.close()


def test_the_screen_follows_the_journal(terminal: Terminal, journal: Path) -> None:
    terminal.read_until(b"validation at step 2")
    assert OWN_SCREEN in terminal.output and b"step 2/100" in terminal.output
    maps = Path(f"/proc/{terminal.process.pid}/maps")
    assert not maps.exists() or "torch" not in maps.read_text()
    write(journal, step(3))
    terminal.read_until(b"step 3/100")


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (signal.SIGTERM, 143),
        (signal.SIGHUP, 129),
        (signal.SIGINT, 130),
        ("\x03", 130),  # Ctrl-C
        ("\x1c", 131),  # Ctrl-\\
        ("q", 0),
        ("x\x1b[A", None),
        ("ㅂ", 0),  # the same key where the keyboard writes Hangul
    ],
)
def test_however_the_monitor_ends_the_terminal_is_as_before(
    terminal: Terminal, how: signal.Signals | str, code: int | None
) -> None:
    terminal.read_until(b"quit")
    echo, canonical = termios.ECHO, termios.ICANON
    assert terminal.mode[3] & (echo | canonical) == echo | canonical
    assert terminal.current_mode()[3] & (echo | canonical) == 0
    if isinstance(how, str):
        terminal.press(how)
    else:
        terminal.process.send_signal(how)
    if code is None:  # keys without a meaning: the monitor goes on, and q still ends it
        with pytest.raises(subprocess.TimeoutExpired):
            terminal.process.wait(0.5)
        terminal.press("q")
    terminal.read_to_end()
    assert terminal.process.wait(PATIENCE_SECONDS) == (code or 0)
    assert terminal.current_mode() == terminal.mode
    assert b"run: distillation, " in terminal.output.rpartition(SCREEN_BEFORE)[2]


def test_in_the_background_the_terminal_is_left_alone(tmp_path: Path, journal: Path) -> None:
    """As after ``bistill monitor &``: setting or reading the terminal would stop the monitor."""
    terminal = Terminal(tmp_path, background=True)
    try:
        terminal.read_until(b"step 2/100")
        assert terminal.current_mode() == terminal.mode
        [monitor] = psutil.Process(terminal.process.pid).children()
        assert monitor.status() != psutil.STATUS_STOPPED
        monitor.terminate()
        terminal.read_to_end()
        assert terminal.process.wait(PATIENCE_SECONDS) == 143
    finally:
        terminal.close()


@pytest.mark.parametrize(("language", "said", "other"), [("ko", "검증", "validation"), ("en", "validation", "검증")])
def test_the_language_can_be_chosen(
    tmp_path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch, language: str, said: str, other: str
) -> None:
    assert journal.is_file()
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    made = Terminal(tmp_path, "--language", language)
    try:
        made.read_until(said.encode())
        assert other.encode() not in made.output
    finally:
        made.close()
