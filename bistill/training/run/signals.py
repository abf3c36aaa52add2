"""Being asked to stop: by Ctrl-C, and by systems that send SIGTERM some seconds before they kill."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from bistill import console, distributed

# Seconds within which a launcher passes on a signal that this process has received already.
PASSED_ON: Final = 5.0


class Stopped(BaseException):
    """The user or the system asked the run to stop, and what was to be saved is saved.

    No error, so nothing that catches ``Exception`` takes it for one.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"stopped by {signal.Signals(number).name}")

    @property
    def exit_code(self) -> int:
        """What a shell shows of a process that the signal ended: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number


class Requests:
    """Whether the run was asked to stop; ``received`` is the number of the signal, None before there is one."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.at = 0.0

    def raise_if_received(self) -> None:
        """Do what was asked, at a point where nothing is half done.

        Raises:
            Stopped: a signal was received.
        """
        if self.received is not None:
            raise Stopped(self.received)


@contextmanager
def deferred() -> Iterator[Requests]:
    """Let SIGINT and SIGTERM wait until the block asks for them by ``raise_if_received``, also once at its end.

    In a run of several processes a signal that the launcher passes on counts once. One that was ignored before stays
    ignored. Outside the main thread, where Python takes no signals, the block runs as if without.

    Raises:
        KeyboardInterrupt: a second signal came, and it was SIGINT.
        Stopped: a second signal came, and it was SIGTERM.
    """
    requests = Requests()

    def receive(number: int) -> None:
        if requests.received is None:
            requests.received, requests.at = number, time.monotonic()
            name = signal.Signals(number).name
            _say(f"{name} received: the run stops after this update and saves; once more stops at once")
        elif distributed.here() is not None and time.monotonic() - requests.at < PASSED_ON:
            return  # a terminal's Ctrl-C reaches the launcher, too, which passes it on
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise Stopped(number)

    with _handled((signal.SIGINT, signal.SIGTERM), receive):
        yield requests


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as an exception does, with its ``finally`` parts; by default the process just dies.

    Raises:
        Stopped: SIGTERM was received.
    """

    def end(number: int) -> None:
        raise Stopped(number)

    with _handled((signal.SIGTERM,), end):
        yield


@contextmanager
def _handled(numbers: Sequence[signal.Signals], act: Callable[[int], None]) -> Iterator[None]:
    """Answer signals by ``act`` in this process; its forked children, which inherit the handlers, die of them."""
    creator = os.getpid()

    def handler(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == creator:
            act(number)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(signal.Signals(number))

    before: dict[signal.Signals, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                # None is a handler that was not set from Python, and which could not be put back.
                if (present := signal.getsignal(number)) not in (signal.SIG_IGN, None):
                    before[number] = present
                    signal.signal(number, handler)
        yield
    finally:
        for number, present in before.items():
            signal.signal(number, present)


def _say(message: str) -> None:
    """Say it from within a handler, where the interrupted code may be at printing itself, or the terminal gone."""
    with contextlib.suppress(OSError, ValueError):
        try:
            console.say(message)
        except RuntimeError:  # buffered streams refuse to be entered twice
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{message}\n".encode())
