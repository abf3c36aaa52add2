"""The append-only record of a run, one JSON object a line; the only thing that training and monitor share.

Every line has ``time`` (seconds since the epoch) and ``event``; the other fields belong to the event. A line is
written with one system call, so a killed process or a full disk can tear only the last line; readers pass over a torn
line, and the next writer begins a new one.
The events are listed in ``docs/architecture.md``.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from bistill import __version__
from bistill.errors import ArtifactError

# Within so much of its end a journal's last record begins.
LAST_BYTES: Final = 1 << 20


class Journal:
    """Writer of one journal file. A run does not end because its record cannot be written: a full disk is said once.

    Args:
        path: the file; it is created, or continued where it exists.

    Raises:
        ArtifactError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._said, self._lock = False, threading.Lock()
        self._open(path)

    @property
    def folder(self) -> Path:
        """Where it lies: the folder in which the run keeps what only the run needs."""
        return self._path.parent

    def write(self, event: str, **fields: Any) -> None:
        """Append one line, after a line feed where the last one is torn. Non-finite numbers become ``null``."""
        record = {"time": round(time.time(), 3), "event": event, **fields}
        line = (json.dumps(finite(record), ensure_ascii=False, allow_nan=False) + "\n").encode()
        with self._lock:
            self._append(b"\n" + line if self._torn else line)

    def go_on_in(self, path: Path) -> None:
        """Append to another journal from now on.

        Raises:
            ArtifactError: it cannot be opened; this one is still open.
        """
        before = self._handle
        with self._lock:
            self._open(path)
        os.close(before)

    def close(self) -> None:
        """Flush to disk and close."""
        try:
            os.fsync(self._handle)
        except OSError as error:
            self._say(error)
        finally:
            os.close(self._handle)

    def _open(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            size = os.fstat(handle).st_size
            self._torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        except OSError as error:
            what, todo = f"the journal cannot be written ({error.strerror})", "make room for it or move it away"
            raise ArtifactError(what, where=str(path), todo=todo) from None
        self._path, self._handle = path, handle

    def _append(self, left: bytes) -> None:
        try:
            while left:  # what a nearly full disk still takes is written first, then the error comes
                left = left[os.write(self._handle, left) :]
                self._torn = bool(left)
        except OSError as error:
            self._say(error)

    def _say(self, error: OSError) -> None:
        if not self._said:
            self._said = True
            print(f"{self._path}: the journal cannot be written ({error.strerror}); the run goes on", file=sys.stderr)


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


def last(path: Path) -> dict[str, Any]:
    """The last whole record of a journal, however long it is; {} where there is none within its last mebibyte."""
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - LAST_BYTES, 0))
        lines = file.read().splitlines()
    for line in reversed(lines):
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict) and "event" in record:
                return record
    return {}


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
