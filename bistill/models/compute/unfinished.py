"""Vectors on their way to disk: a file that grows window by window, and goes on where a killed process left it.

Two files lie in the folder of the one that is to be: the vectors so far, and a record of them, one JSON object a line.
Its first line says what the vectors are of, each further one how many rows a window has and the SHA-256 of its bytes.
A window's line is written after its bytes were fsynced: what a line tells of was on the disk once, and whether it still
is, the next process sees by the checksum. Fsyncs cost, so the windows of some seconds share one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np
from filelock import FileLock, Timeout

from bistill import artifacts, console
from bistill.arrays import Floats
from bistill.errors import ArtifactError

SCHEMA: Final = "bistill.unfinished-vectors/1"
# What a loss of power costs at most, beside the window that is at work.
SAVE_SECONDS: Final = 5.0
CHUNK_BYTES: Final = 1 << 20
# Far more than any line has, so that a damaged record cannot fill the memory.
LONGEST_LINE: Final = 1 << 16
ROW: Final = np.dtype("<f4")


class UnfinishedVectors:
    """A .npy file in the making; as a context manager it keeps what was appended, however the block ends.

    Only one process may have it open: see ``alone``.

    Args:
        path: where the whole file is to be, in an existing folder.
        shape: rows and columns of the whole.
        inputs: JSON-able values that decide the vectors. What is left of other inputs is deleted.

    Attributes:
        rows: rows written and, where an earlier process wrote them, verified.

    Raises:
        ArtifactError: the folder cannot be written.
    """

    def __init__(self, path: Path, shape: tuple[int, int], inputs: Mapping[str, Any]) -> None:
        self.path, self.shape = path, shape
        self._vectors_file, self._record_file = _files(path.parent)
        self._waiting: list[bytes] = []
        head, npy_head = _head(shape, inputs), _npy_head(shape)
        with explained(path):
            found = _verified(path, head, npy_head, shape)
            self._vectors = self._vectors_file.open("ab", buffering=0)
            self._record = self._record_file.open("ab", buffering=0)
            if found is None:
                found = _State(0, hashlib.sha256(npy_head), 0, 0)
            self._vectors.truncate(found.vector_bytes)
            self._record.truncate(found.record_bytes)
            if found.record_bytes == 0:
                _write(self._vectors, npy_head)
                self._waiting.append(head)
                self.save()
                artifacts.flush(path.parent)
        self.rows, self._whole = found.rows, found.whole
        self._saved_at = time.monotonic()

    def append(self, window: Floats) -> None:
        """Write rows behind those that are there.

        Args:
            window: shape (n, columns), n at least 1.

        Raises:
            ArtifactError: the disk is full.
        """
        assert window.ndim == 2 and window.shape[1] == self.shape[1]
        assert 0 < len(window) <= self.shape[0] - self.rows
        content = np.ascontiguousarray(window, dtype=ROW).tobytes()
        with explained(self.path):
            _write(self._vectors, content)
        self._waiting.append(line_of({"rows": len(window), "sha256": hashlib.sha256(content).hexdigest()}))
        self._whole.update(content)
        self.rows += len(window)
        if time.monotonic() - self._saved_at >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Have the disk write the rows so far, then record them.

        Raises:
            ArtifactError: the disk is full.
        """
        with explained(self.path):
            os.fsync(self._vectors.fileno())
            _write(self._record, b"".join(self._waiting))
            os.fsync(self._record.fileno())
        self._waiting.clear()
        self._saved_at = time.monotonic()

    def finish(self) -> str:
        """Have the disk write the last rows; returns the SHA-256 of the file, which is not at its place yet."""
        assert self.rows == self.shape[0]
        self.save()
        return self._whole.hexdigest()

    def publish(self) -> None:
        """Move the finished file to its place and forget how it was made.

        Who describes the file elsewhere does it before: broken off between the two, the next process finds all rows
        here and comes to the same end.

        Raises:
            ArtifactError: the folder cannot be written.
        """
        with explained(self.path):
            self._vectors_file.replace(self.path)
            self._record_file.unlink()
            artifacts.flush(self.path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None and self._waiting:
                with suppress(ArtifactError):  # the error of the block says more
                    self.save()
        finally:
            self._vectors.close()
            self._record.close()


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Hold the vectors of a folder for this process alone; where another holds them, say so and wait.

    Args:
        folder: made if missing.
        what: the vectors, as the message names them.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / artifacts.VECTORS_LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            console.say(f"{what}: another process is encoding them; waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def inputs_of(folder: Path) -> dict[str, Any] | None:
    """What the unfinished vectors of a folder are of; None where there are none."""
    try:
        with _files(folder)[1].open("rb") as record:
            inputs = json.loads(record.readline(LONGEST_LINE))["inputs"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return inputs if isinstance(inputs, dict) else None


class _State(NamedTuple):
    """Rows that are whole, the SHA-256 of head and rows, and where the two files end with them."""

    rows: int
    whole: hashlib._Hash
    vector_bytes: int
    record_bytes: int


def _verified(path: Path, head: bytes, npy_head: bytes, shape: tuple[int, int]) -> _State | None:
    """What record and vectors agree on, window by window; None where they are of other inputs, or missing."""
    vectors_file, record_file = _files(path.parent)
    if not (vectors_file.exists() and record_file.exists()):
        return None
    with vectors_file.open("rb") as vectors, record_file.open("rb") as record:
        if record.read(len(head)) != head or vectors.read(len(npy_head)) != npy_head:
            return None
        state = _State(0, hashlib.sha256(npy_head), len(npy_head), len(head))
        while (line := record.readline(LONGEST_LINE)).endswith(b"\n"):  # a line without end is a killed process's
            longer = _with_window(state, line, vectors, shape)
            if longer is None:
                console.say(f"{path.parent}: the unfinished vectors are damaged behind text {state.rows}")
                break
            state = longer
    return state


def _with_window(state: _State, line: bytes, vectors: io.BufferedReader, shape: tuple[int, int]) -> _State | None:
    """The state with the window that a line of the record tells of; None where the vectors do not agree with it."""
    try:
        told = json.loads(line)
        rows, sha256 = told["rows"], told["sha256"]
    except (ValueError, KeyError, TypeError):
        return None
    if type(rows) is not int or not 0 < rows <= shape[0] - state.rows:
        return None
    size = rows * shape[1] * ROW.itemsize
    window, whole, left = hashlib.sha256(), state.whole.copy(), size
    while left and (chunk := vectors.read(min(left, CHUNK_BYTES))):
        window.update(chunk)
        whole.update(chunk)
        left -= len(chunk)
    if left or window.hexdigest() != sha256:
        return None
    return _State(state.rows + rows, whole, state.vector_bytes + size, state.record_bytes + len(line))


def _files(folder: Path) -> tuple[Path, Path]:
    return folder / artifacts.UNFINISHED_VECTORS, folder / artifacts.UNFINISHED_RECORD


def _head(shape: tuple[int, int], inputs: Mapping[str, Any]) -> bytes:
    return line_of({"schema": SCHEMA, "shape": list(shape), "inputs": dict(inputs)})


def _npy_head(shape: tuple[int, int]) -> bytes:
    head = io.BytesIO()
    description = {"descr": np.lib.format.dtype_to_descr(ROW), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(head, description)
    return head.getvalue()


def line_of(value: Mapping[str, Any]) -> bytes:
    """One object of a record, with the end of its line."""
    return (json.dumps(value, sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def _write(file: io.FileIO, content: bytes) -> None:
    left = memoryview(content)
    while left:  # a call may take a part only
        left = left[file.write(left) :]


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into an error with the way out."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"the vectors cannot be written ({error.strerror})",
            where=str(path),
            todo="make room, or the folder writable; the same command goes on",
        ) from None
