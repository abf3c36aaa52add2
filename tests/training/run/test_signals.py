"""Signals that wait, signals that do not, and handlers that are put back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from threading import Event, Thread
from types import FrameType

import pytest

from bistill import console
from bistill.distributed.joining import leading
from bistill.distributed.team import Team
from bistill.training.run import signals
from bistill.training.run.signals import Requests, Stopped, deferred, ending_on_sigterm

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def known_handlers() -> Iterator[None]:
    """pytest itself may run where SIGINT is ignored, as a shell does to what it starts by ``&``."""
    before = {number: signal.getsignal(number) for number in BOTH}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in BOTH]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_waits(number: signal.Signals, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    before = handlers()
    with pytest.raises(Stopped) as caught, deferred() as requests:
        requests.raise_if_received()
        assert requests.received is None
        send(number)
        assert requests.received == number
        requests.raise_if_received()
    assert caught.value.exit_code == code
    assert caught.value.number == number
    assert str(caught.value) == f"stopped by {number.name}"
    assert handlers() == before
    said = f"{number.name} received: the run stops after this update and saves; once more stops at once\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("first", BOTH)
@pytest.mark.parametrize(("second", "expected"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Stopped)])
def test_the_second_signal_of_either_kind_stops_at_once(
    first: int, second: int, expected: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    before = handlers()
    reached = False
    with pytest.raises(expected) as caught, deferred() as requests:
        send(first)
        reached = True
        send(second)
        pytest.fail("the second signal did nothing")
    assert reached
    assert requests.received == first
    assert not isinstance(caught.value, Stopped) or caught.value.number == second
    assert capsys.readouterr().err.count("received") == 1
    assert handlers() == before


def test_stopping_is_no_error() -> None:
    assert not issubclass(Stopped, Exception)


def test_no_request_stops_nothing() -> None:
    Requests().raise_if_received()


def test_handlers_are_put_back_after_an_error() -> None:
    def own(number: int, frame: FrameType | None) -> None: ...

    signal.signal(signal.SIGINT, own)
    before = handlers()
    with pytest.raises(ZeroDivisionError), deferred():
        assert handlers() != before
        raise ZeroDivisionError
    assert handlers() == before
    assert before[0] is own


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred() as requests:
        send(signal.SIGINT)
        assert requests.received is None
        send(signal.SIGTERM)
        assert requests.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with ending_on_sigterm():
        send(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_outside_the_main_thread_nothing_is_handled() -> None:
    seen: list[object] = []
    before = handlers()

    def run() -> None:
        with ending_on_sigterm(), deferred() as requests:
            seen.extend([handlers(), requests.received])

    thread = Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before, None]


def test_sigterm_ends_a_block_as_an_exception() -> None:
    before = handlers()
    cleaned = False
    with pytest.raises(Stopped) as caught, ending_on_sigterm():
        try:
            send(signal.SIGTERM)
            pytest.fail("the signal did nothing")
        finally:
            cleaned = True
    assert cleaned
    assert caught.value.exit_code == 143
    assert handlers() == before


def test_waiting_inside_of_ending() -> None:
    before = handlers()
    with pytest.raises(Stopped) as caught, ending_on_sigterm():
        outer = handlers()
        with deferred() as requests:
            send(signal.SIGTERM)
            assert requests.received == signal.SIGTERM
        assert handlers() == outer
        send(signal.SIGTERM)
        pytest.fail("the outer block no longer ends")
    assert caught.value.number == signal.SIGTERM
    assert handlers() == before


def test_waiting_inside_of_waiting() -> None:
    with deferred() as outer:
        with deferred() as inner:
            send(signal.SIGINT)
        assert (inner.received, outer.received) == (signal.SIGINT, None)
        send(signal.SIGTERM)
        assert outer.received == signal.SIGTERM


@pytest.mark.parametrize(
    ("block", "number"),
    [(deferred, signal.SIGINT), (deferred, signal.SIGTERM), (ending_on_sigterm, signal.SIGTERM)],
)
def test_a_forked_child_dies_of_the_signal(
    block: Callable[[], AbstractContextManager[Requests | None]], number: signal.Signals
) -> None:
    reading, writing = os.pipe()
    with block() as requests:
        child = os.fork()
        if not child:
            try:
                os.write(writing, b"x")  # Python forgets the signals that come before the end of fork
                time.sleep(20)
            finally:
                os._exit(7)  # reached only if the signal became an exception or did nothing
        assert os.read(reading, 1) == b"x"
        os.kill(child, number)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status)
        assert os.WTERMSIG(status) == number
        if requests is not None:
            assert requests.received is None
            send(number)
            assert requests.received == number
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("error", [RuntimeError("reentrant call"), BrokenPipeError(), ValueError("closed file")])
def test_a_message_that_cannot_be_printed_does_no_harm(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(message: str) -> None:
        raise error

    monkeypatch.setattr(console, "say", fail)
    with deferred() as requests:
        send(signal.SIGTERM)
        assert requests.received == signal.SIGTERM


# Prints without pause, so that nearly every signal comes within a print to the same stream.
PRINTING = """
import sys, threading, os, signal, time
from bistill.training.run.signals import deferred, Stopped
def later():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=later).start()
try:
    with deferred() as requests:
        while requests.received is None:
            print("x" * 200, file=sys.stderr, flush=True)
        requests.raise_if_received()
except Stopped as stopped:
    sys.exit(stopped.exit_code)
"""


def test_a_signal_within_a_print_waits_too() -> None:
    for _ in range(3):
        result = subprocess.run([sys.executable, "-c", PRINTING], capture_output=True, text=True)
        assert result.returncode == 143, result.stderr[-500:]
        assert result.stderr.count("SIGTERM received: the run stops") == 1


def test_a_signal_that_a_launcher_passes_on_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal's Ctrl-C reaches the launcher and its processes; seconds later it is a person who asks again."""
    with pytest.raises(Stopped), leading(Team([], Event())), deferred() as requests:
        send(signal.SIGINT)
        send(signal.SIGINT)
        send(signal.SIGTERM)
        assert requests.received == signal.SIGINT
        monkeypatch.setattr(signals, "PASSED_ON", 0.0)
        send(signal.SIGTERM)
        pytest.fail("the signal did nothing")
