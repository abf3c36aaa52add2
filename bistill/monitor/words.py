"""Numbers, times and states in words: what the screen, the plain lines and the page have in common.

What comes from a run (folder names, errors, texts of its data) goes through ``inert``: a terminal would obey the
control characters in it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bistill.languages import Language
from bistill.monitor import labels
from bistill.monitor.recovery import MEMORY
from bistill.monitor.runs import RunView
from bistill.monitor.states import RunState

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class Words(NamedTuple):
    """A text in each language; names in braces stand for values."""

    en: str
    ko: str

    def said(self, language: Language, **values: object) -> str:
        """The text in a language."""
        return (self.ko if language == "ko" else self.en).format(**values)


def inert(text: object) -> str:
    """One line without control and direction characters, which would move a terminal's cursor or turn its text."""
    line = " ".join(str(text).split())
    return "".join(sign if sign.isprintable() else REPLACEMENT for sign in line)


def first_line(text: str) -> str:
    """The first line of an error, inert; "" of nothing."""
    return inert(text.strip().partition("\n")[0])


def duration(seconds: float, language: Language = "en") -> str:
    """Seconds, then minutes, hours and days in two units: ``48 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 04 h``."""
    whole = max(round(seconds), 0)
    days, hours, minutes = whole // 86_400, whole // 3600 % 24, whole // 60 % 60
    if whole < 60:
        words = Words("{seconds} s", "{seconds}초")
    elif whole < 3600:
        words = Words("{minutes} min {seconds:02d} s", "{minutes}분 {seconds}초")
    elif whole < 86_400:
        words = Words("{hours} h {minutes:02d} min", "{hours}시간 {minutes}분")
    else:
        words = Words("{days} d {hours:02d} h", "{days}일 {hours}시간")
    return words.said(language, days=days, hours=hours, minutes=minutes, seconds=whole % 60)


def size(mebibytes: float) -> str:
    """``0.2 MiB``, from 10 on ``512 MiB``, from 1024 on ``1.5 GiB``."""
    if mebibytes >= 1024:
        return f"{mebibytes / 1024:.1f} GiB"
    return f"{mebibytes:.0f} MiB" if mebibytes >= 10 else f"{mebibytes:.1f} MiB"


def clock(seconds: object) -> str:
    """Local time of day of seconds since the epoch: ``14:03:59``; dashes of what is no time."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(float(seconds)))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, OSError):
        return "--:--:--"


def figure(value: float | None) -> str:
    """Four decimals; ``-`` for what is NaN or infinite."""
    return "-" if value is None else f"{value:.4f}"


def named(figures: Mapping[str, Any]) -> str:
    """``auc 0.9707, margin 0.2000`` of the figures that are numbers."""
    return ", ".join(f"{inert(name)} {value:.4f}" for name, value in figures.items() if isinstance(value, int | float))


def state(view: RunView, language: Language = "en") -> str:
    """The state of a run; where memory ran out it says so."""
    found = labels.said(view.state.value, language)
    return labels.said("out of memory, {state}", language, state=found) if lacks_memory(view) else found


def left(view: RunView, language: Language = "en") -> str:
    """Time that a live run's updates still need; "" where none is left or their pace is not known."""
    status = view.status
    going = view.state.live and not status.ended and status.step < status.total_steps
    if not going or not status.seconds_per_step:
        return ""
    return labels.said("{time} left", language, time=duration(status.seconds_left, language))


def lacks_memory(view: RunView) -> bool:
    """Whether a run recovers from memory that ran out."""
    if view.state is not RunState.RECOVERING:
        return False
    last = view.status.events[-1] if view.status.events else {}
    done = view.care.records[-1] if view.care.records else {}
    return last.get("kind") == "out_of_memory" or done.get("reason") == MEMORY
