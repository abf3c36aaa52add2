"""What one open page is sent: first everything about the runs that it shows, then only what changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

from bistill.journal import finite
from bistill.languages import LANGUAGES
from bistill.monitor import telling
from bistill.monitor.web.board import Board, Snapshot, columns

T = TypeVar("T")

NOTHING: Final = Snapshot({}, {}, (), (), ())


class Feed:
    """Compares what a page was sent with what the monitor knows now.

    Args:
        watched: ids of the runs whose curves the page shows; of the others it gets only a summary.
    """

    def __init__(self, watched: Sequence[str]) -> None:
        self._watched = tuple(dict.fromkeys(watched))
        self._sent: Board | None = None

    def messages(self, board: Board) -> Iterator[str]:
        """Server-sent events that bring the page from what it was sent last to what is known now.

        The event ``runs`` has ``order``, the ids of all runs, and ``runs``, the summaries that changed. The event
        ``run`` has the ``id`` of a watched run and what changed of its details, see ``details``.
        """
        sent = self._sent or {}
        changed = {
            key: new.summary for key, new in board.items() if key not in sent or new.summary != sent[key].summary
        }
        if self._sent is None or changed or list(sent) != list(board):
            yield event("runs", {"order": list(board), "runs": changed})
        for key in self._watched:
            if key in board and (difference := details(sent.get(key, NOTHING), board[key])):
                yield event("run", {"id": key, **difference})
        self._sent = board


def details(old: Snapshot, new: Snapshot) -> dict[str, Any]:
    """What changed between two moments of a run.

    Returns:
        Of ``steps`` (columns), ``evaluations``, ``events`` and ``options`` those that changed. The first two have
        ``after``, how many of the old ones the page keeps before the new ones in ``values``. Events are records, with
        ``said``: what they say in words, by language.
    """
    found: dict[str, Any] = {}
    if (kept := common(old.steps, new.steps)) != len(new.steps) or kept != len(old.steps):
        found["steps"] = {"after": kept, "values": columns(new.steps[kept:])}
    if (kept := common(old.evaluations, new.evaluations)) != len(new.evaluations) or kept != len(old.evaluations):
        found["evaluations"] = {"after": kept, "values": list(new.evaluations[kept:])}
    if old.events != new.events:
        found["events"] = [
            record | {"said": {language: telling.event(record, language) for language in LANGUAGES}}
            for record in new.events
        ]
    if old is NOTHING or old.options != new.options:
        found["options"] = dict(new.options)
    return found


def common(old: Sequence[T], new: Sequence[T]) -> int:
    """How many of the first items of two sequences are the same; mostly they are the same objects, which is quick."""
    for position, (before, now) in enumerate(zip(old, new, strict=False)):
        if before is not now and before != now:
            return position
    return min(len(old), len(new))


def event(name: str, value: Any) -> str:
    """A server-sent event of one line of JSON, which has no line feeds to break it."""
    return f"event: {name}\ndata: {dumped(value)}\n\n"


def dumped(value: Any) -> str:
    """JSON in ASCII, so that file names that are no Unicode pass; NaN and infinity become null."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(finite(value), allow_nan=False, separators=(",", ":"))
