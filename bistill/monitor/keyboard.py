"""Keys pressed in the monitor's terminal, read without waiting for Enter; the terminal is given back as it was."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from enum import StrEnum
from types import FrameType
from typing import Any, Final

MOST_BYTES: Final = 1024


class Key(StrEnum):
    """What a key does."""

    QUIT = "quit"
    NEXT = "next"


# With a Korean keyboard switched to Hangul the keys of q and n write these letters.
KEYS: Final = {"q": Key.QUIT, "ㅂ": Key.QUIT, "n": Key.NEXT, "ㅜ": Key.NEXT}


class Keyboard:
    """The keys of standard input between ``open`` and ``close``, while it is a terminal; elsewhere it only waits.

    The terminal is in cbreak mode: keys come at once and unseen, Ctrl-C and Ctrl-Z act as always. A monitor in the
    background of its shell leaves the terminal alone.

    Attributes:
        works: whether keys are read.
    """

    def __init__(self) -> None:
        self.works = False
        self._handle = -1
        self._before: list[Any] = []
        self._going_on: Any = None

    def open(self) -> None:
        """Read keys from now on, where there is a terminal. Only the main thread may call it."""
        with contextlib.suppress(OSError, ValueError, AttributeError):  # standard input is closed, or there is none
            self._handle = sys.stdin.fileno()
            self.works = os.isatty(self._handle) and sys.stdout.isatty()
        if not self.works:
            return
        try:
            self._before = termios.tcgetattr(self._handle)
        except termios.error:
            self.works = False
            return
        self._going_on = signal.signal(signal.SIGCONT, self._go_on)
        self._take()

    def close(self) -> None:
        """Give the terminal back as it was."""
        self.works = False
        if self._before and self._is_ours():
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._handle, termios.TCSADRAIN, self._before)
        if self._going_on is not None:
            signal.signal(signal.SIGCONT, self._going_on)
        self._before, self._going_on = [], None

    def wait(self, seconds: float) -> Key | None:
        """The first key with a meaning that is pressed within so many seconds; None where none is."""
        until = time.monotonic() + seconds
        while True:
            left = max(until - time.monotonic(), 0.0)
            if not self.works or not self._is_ours():
                time.sleep(left)
                return None
            if not select.select([self._handle], [], [], left)[0]:
                return None
            if (key := self._read()) is not None:
                return key

    def _read(self) -> Key | None:
        try:
            read = os.read(self._handle, MOST_BYTES)
        except OSError:
            read = b""
        if not read:  # the terminal is gone
            self.works = False
        pressed = read.decode(errors="replace")
        if pressed.startswith("\x1b"):  # an arrow or a function key, with letters behind the escape
            return None
        return next((KEYS[sign] for sign in pressed.lower() if sign in KEYS), None)

    def _take(self) -> None:
        if self.works and self._is_ours():
            with contextlib.suppress(termios.error):
                tty.setcbreak(self._handle, termios.TCSADRAIN)

    def _is_ours(self) -> bool:
        """Whether the monitor is in the foreground; touching the terminal from the background would stop it."""
        try:
            return os.tcgetpgrp(self._handle) == os.getpgrp()
        except OSError:  # not the terminal of this session, and so without a background
            return True

    def _go_on(self, number: int, frame: FrameType | None) -> None:
        """After Ctrl-Z and ``fg``: the shell has set the terminal to what it likes itself."""
        self._take()
