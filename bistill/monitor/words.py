"""Numbers, times and events in words: what the screen and the plain lines have in common.

What comes from a run (folder names, errors, texts of its data) goes through ``inert``: a terminal would obey the
control characters in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from bistill.monitor.recovery import MEMORY
from bistill.monitor.runs import RunView
from bistill.monitor.states import RunState

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def inert(text: object) -> str:
    """One line without control and direction characters, which would move a terminal's cursor or turn its text."""
    line = " ".join(str(text).split())
    return "".join(sign if sign.isprintable() else REPLACEMENT for sign in line)


def first_line(text: str) -> str:
    """The first line of an error, inert; "" of nothing."""
    return inert(text.strip().partition("\n")[0])


def duration(seconds: float) -> str:
    """Seconds, then minutes, hours and days in two units: ``48 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 04 h``."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02d} h"


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
    """Four decimals; ``-`` for what is no number."""
    return "-" if value is None else f"{value:.4f}"


def named(figures: Mapping[str, Any]) -> str:
    """``auc 0.9707, margin 0.2000`` of the figures that are numbers."""
    return ", ".join(f"{inert(name)} {value:.4f}" for name, value in figures.items() if isinstance(value, int | float))


def state(view: RunView) -> str:
    """The state of a run; where memory ran out it says so."""
    return f"out of memory, {view.state.value}" if lacks_memory(view) else view.state.value


def left(view: RunView) -> str:
    """Time that a live run's updates still need; "" where none is left or their pace is not known."""
    status = view.status
    going = view.state.live and not status.ended and status.step < status.total_steps
    return f"{duration(status.seconds_left)} left" if going and status.seconds_per_step else ""


def lacks_memory(view: RunView) -> bool:
    """Whether a run recovers from memory that ran out."""
    if view.state is not RunState.RECOVERING:
        return False
    last = view.status.events[-1] if view.status.events else {}
    done = view.care.records[-1] if view.care.records else {}
    return last.get("kind") == "out_of_memory" or done.get("reason") == MEMORY


def event(record: Mapping[str, Any]) -> str:
    """A journal record in words; of events that are not known their name. Never raises on a record of other fields."""
    name = str(record.get("event", ""))
    if "monitor" in record:  # of a monitor's own record, which says in words what it did
        return inert(f"monitor: {first_line(str(record.get('message', name)))}")
    try:
        return inert(_EVENTS[name](record)) if name in _EVENTS else inert(name)
    except (KeyError, TypeError, ValueError, AttributeError):
        return inert(name)


def _candidates(record: Mapping[str, Any]) -> str:
    return f"candidates of {record['queries']} queries: {record['pairs']} pairs, {record['scored']} of them scored anew"


def _gate(record: Mapping[str, Any]) -> str:
    figures = record["figures"]
    teacher, student = (figures[role]["rerank_ndcg_at_10"] for role in ("teacher", "student"))
    return f"teacher gate: nDCG@10 of the teacher {teacher:.4f}, of the untouched student {student:.4f}"


def _merge(record: Mapping[str, Any]) -> str:
    if not record["share"]:
        return "the training gained nothing: the student is its untouched start"
    return f"merged with the start: {record['share']:g} of the training is kept"


def _checkpoint(record: Mapping[str, Any]) -> str:
    return f"checkpoint of step {record['step']}: {size(record['bytes'] / 2**20)} in {record['seconds']:.1f} s"


def _end(record: Mapping[str, Any]) -> str:
    said = f"{record['status']} after {duration(record['seconds'])}"
    return f"{said}: {first_line(record['error'])}" if record.get("error") else said


_EVENTS: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "start": lambda record: f"started: {record['stage']}, process {record['pid']}",
    "data": lambda _: "data read",
    "inputs": lambda _: "data, models and candidates are ready",
    "resume": lambda record: f"goes on from the checkpoint of step {record['step']}",
    "gate": _gate,
    "candidates": _candidates,
    "memory": lambda record: f"holds at most {record['micro_batch_tokens']} tokens at once",
    "evaluation": lambda record: f"validation at step {record['step']}: {named(record['figures'])}",
    "merge": _merge,
    "checkpoint": _checkpoint,
    "trouble": lambda record: f"{record['kind'].replace('_', ' ')}: {first_line(record['message'])}",
    "saved": lambda record: f"model of step {record['step']} written",
    "end": _end,
}
