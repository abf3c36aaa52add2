"""The monitor as a process in a terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.faults.commands import ROOT
from tests.monitor.records import evaluation, start, step, write

pytestmark = pytest.mark.slow

PATIENCE_SECONDS = 60.0
OWN_SCREEN, SCREEN_BEFORE = b"\x1b[?1049h", b"\x1b[?1049l"


def obey_interrupts() -> None:
    """Tests that a shell runs in the background ignore SIGINT, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """A pseudo-terminal of 100 x 30 with a monitor in it."""

    def __init__(self, runs: Path) -> None:
        self._handle, inner = pty.openpty()
        termios.tcsetwinsize(inner, (30, 100))
        self.process = subprocess.Popen(
            [sys.executable, "realtime_monitor.py", "--runs", str(runs), "--interval", "0.1", "--no_recover"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            preexec_fn=obey_interrupts,
        )
        os.close(inner)
        self.output = b""

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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_screen_follows_the_journal_and_is_given_back(tmp_path: Path, number: int, code: int) -> None:
    journal = write(tmp_path / "run" / "journal.jsonl", start(), step(1), step(2), evaluation(2, 0.5))
    terminal = Terminal(tmp_path)
    try:
        terminal.read_until(b"validation at step 2")
        assert OWN_SCREEN in terminal.output and b"step 2/100" in terminal.output
        maps = Path(f"/proc/{terminal.process.pid}/maps")
        assert not maps.exists() or "torch" not in maps.read_text()
        write(journal, step(3))
        terminal.read_until(b"step 3/100")
        terminal.process.send_signal(number)
        terminal.read_to_end()
        assert terminal.process.wait(PATIENCE_SECONDS) == code
        assert b"run: distillation, " in terminal.output.rpartition(SCREEN_BEFORE)[2]
    finally:
        terminal.close()
