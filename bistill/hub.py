"""The hub of models and data sets, asked within limits of time: one that never answers must not stop anybody.

What waits for the network runs in a thread that is left behind once its time is over: looking up a name has no limit of
its own, and the hub's client asks a silent server again and again.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

T = TypeVar("T")

# Together with the start of a command less than a minute, whatever the network does.
ANSWER_SECONDS: Final = 10.0
STALL_SECONDS: Final = 25.0

OFFLINE: Final = "HF_HUB_OFFLINE is set"

silences: dict[str, str] = {}


def silence(*, seconds: float = ANSWER_SECONDS) -> str:
    """Why the hub cannot be asked, in a few words; "" where it answers. Found out once a process.

    Any answer counts, an error of the server as well: what it says then tells more than its silence.

    Args:
        seconds: in which it must answer.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return OFFLINE
    endpoint = constants.ENDPOINT
    if endpoint not in silences:
        try:
            within(seconds, lambda: _knock(endpoint, seconds))
            silences[endpoint] = ""
        except Exception as error:  # the client's, the system's, and what a proxy makes of them
            note_silence(error, seconds)
    return silences[endpoint]


def note_silence(error: Exception, seconds: float) -> str:
    """Remember that the hub gives no answer, so that nothing in this process waits for it again; returns why."""
    from huggingface_hub import constants

    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, TimeoutError) or "timeout" in type(error).__name__.lower():
        reason = f"no answer within {seconds:g} s"
    silences[constants.ENDPOINT] = f"{constants.ENDPOINT}: {reason}"
    return silences[constants.ENDPOINT]


@contextmanager
def offline() -> Iterator[None]:
    """Context in which the libraries of the hub take what is on this machine and ask nobody."""
    from huggingface_hub import constants

    places: list[Any] = [constants, *([sys.modules["datasets.config"]] if "datasets.config" in sys.modules else [])]
    before = [place.HF_HUB_OFFLINE for place in places]
    try:
        for place in places:
            place.HF_HUB_OFFLINE = True
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value


def within(seconds: float, work: Callable[[], T], *, progress: Callable[[], Any] = lambda: None) -> T:
    """The result of ``work``, which runs in a thread of its own and may wait for ever.

    Args:
        seconds: for which ``progress`` may stay the same; without one, in which the work must be done.
        work: is left behind when its time is over; it then ends with the process.
        progress: a value that changes while the work gets on.

    Raises:
        TimeoutError: its time is over.
        Exception: what the work raises.
    """
    done = threading.Event()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, daemon=True, name="bistill-hub").start()
    seen, since = progress(), time.monotonic()
    while not done.wait(min(0.2, seconds)):
        if (now := progress()) != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since >= seconds:
            raise TimeoutError(f"nothing within {seconds:g} s")
    if errors:
        raise errors[0]
    return results[0]


def _knock(endpoint: str, seconds: float) -> None:
    """One small request; its answer does not matter."""
    from huggingface_hub import get_session

    get_session().request("HEAD", f"{endpoint}/api/whoami-v2", timeout=seconds)
