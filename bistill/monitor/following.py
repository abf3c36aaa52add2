"""A journal that grows, followed without reading anything twice and in memory that does not grow with it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Final

from bistill.monitor.status import RunStatus

BLOCK_BYTES: Final = 1 << 16
# A longer line is no record; it is passed over as it comes, never held.
LONGEST_LINE: Final = 1 << 22
# ``Journal`` begins each line with time and event, so this stands within the first bytes of an update's line.
STEP_MARK: Final = b'"event": "step"'
STEP_MARK_WITHIN: Final = 48
HEAD_BYTES: Final = 64


class JournalFollower:
    """Reads what was appended to a journal since the last look.

    Of the lines of updates, which are nearly all, one in ``History.every`` is parsed, and the last one before each
    other record and at the end, so that the state is never older than the last line.

    Args:
        path: the journal; it need not exist yet.

    Attributes:
        status: state of the newest run in it; another object after the file was replaced.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin_anew()

    @property
    def share(self) -> float:
        """Share of the file that was read, 0 to 1, as of the last look."""
        return min(self._offset / self._size, 1.0) if self._size else 1.0

    def advance(self, seconds: float) -> bool:
        """Read on for at most so long, though at least one block.

        Returns:
            Whether the end of the file was reached. The beginning of a line without its end waits for the next look.
        """
        until = time.monotonic() + seconds
        try:
            if self._is_unchanged():
                return True
            with self.path.open("rb", buffering=0) as file:
                self._check_identity(file.fileno())
                file.seek(self._offset)
                while block := file.read(BLOCK_BYTES):
                    self._offset += len(block)
                    self._take(block)
                    if time.monotonic() >= until:
                        break
        except OSError:  # it does not exist yet, or cannot be read at the moment
            return True
        finally:
            self._take_last_step()
        return self._offset >= self._size

    def _begin_anew(self) -> None:
        self.status = RunStatus(self.path.parent)
        self._identity: tuple[int, int] = (0, 0)
        self._head = b""
        self._offset = self._size = 0
        self._rest, self._overlong = b"", False
        self._wait, self._last_step = 1, b""

    def _is_unchanged(self) -> bool:
        found = self.path.stat()
        return (found.st_dev, found.st_ino) == self._identity and found.st_size == self._size == self._offset

    def _check_identity(self, handle: int) -> None:
        """Begin anew where the file is another one, or is shorter than what was read, or begins otherwise."""
        found = os.fstat(handle)
        identity, head = (found.st_dev, found.st_ino), os.pread(handle, HEAD_BYTES, 0)
        if self._offset and (
            identity != self._identity or found.st_size < self._offset or not head.startswith(self._head)
        ):
            self._begin_anew()
        self._identity, self._size, self._head = identity, found.st_size, head

    def _take(self, block: bytes) -> None:
        lines = (self._rest + block).split(b"\n")
        self._rest = lines.pop()
        if self._overlong and lines:
            lines, self._overlong = lines[1:], False
        if len(self._rest) > LONGEST_LINE or self._overlong:
            self._rest, self._overlong = b"", True
        wait, last = self._wait, self._last_step  # locals: this loop sees every line of a huge journal
        for line in lines:
            if line.find(STEP_MARK, 0, STEP_MARK_WITHIN) >= 0:
                wait -= 1
                if wait > 0 or not self._feed(line):
                    last = line
                    continue
                last = b""
            else:
                if last:
                    self._feed(last, kept=False)
                    last = b""
                self._feed(line)
                wait = min(wait, self.status.history.every)  # curves may have begun anew
            if wait <= 0:
                wait = self.status.history.every
        self._wait, self._last_step = wait, last

    def _take_last_step(self) -> None:
        if self._last_step:
            line, self._last_step = self._last_step, b""
            self._feed(line, kept=False)

    def _feed(self, line: bytes, *, kept: bool = True) -> bool:
        record = _record(line)
        if record is not None:
            self.status.feed(record, kept=kept)
        return record is not None


def _record(line: bytes) -> dict[str, Any] | None:
    """The record of a line, None where it is none: torn, of another program, or not text."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("event"), str) else None
