"""The append-only record of a run, one JSON object a line; the only thing that training and monitor share.

Every line has ``time`` (seconds since the epoch) and ``event``; the other fields belong to the event. A line is
written with one system call, so a killed process can tear only the last line, and readers pass over a torn line.
The events are listed in ``docs/architecture.md``.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bistill import __version__


class Journal:
    """Writer of one journal file.

    Args:
        path: the file; it is created, or continued where it exists.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, event: str, **fields: Any) -> None:
        """Append one line. Non-finite numbers become ``null``."""
        record = {"time": round(time.time(), 3), "event": event, **fields}
        line = json.dumps(finite(record), ensure_ascii=False, allow_nan=False) + "\n"
        os.write(self._handle, line.encode())

    def close(self) -> None:
        """Flush to disk and close."""
        os.fsync(self._handle)
        os.close(self._handle)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a journal in order; lines that are no JSON object (torn ones) are passed over."""
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and "event" in record:
                yield record


def versions() -> dict[str, str]:
    """Versions of what a result depends on, read without importing it."""
    packages = ("torch", "transformers", "peft", "accelerate", "tokenizers", "numpy", "ir-measures")
    return {"bistill": __version__, "python": platform.python_version(), **{name: version(name) for name in packages}}


def finite(value: Any) -> Any:
    """The same value of dictionaries, lists and numbers with NaN and infinity as None, since JSON has none."""
    if isinstance(value, float) and not (-float("inf") < value < float("inf")):
        return None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
