"""Texts in memory-mapped Arrow files: written in batches, read by id without loading the file."""

from __future__ import annotations

import hashlib
import mmap
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar, overload

import numpy as np
import pyarrow as pa

from bistill import artifacts
from bistill.arrays import Ints, Keys
from bistill.data.queries.same_text import text_key
from bistill.errors import ArtifactError

Item = TypeVar("Item")

BATCH_ROWS: Final = 4096
# A page that was read once would otherwise count as this process's memory for as long as it runs: after a pass over
# the data, all of it. A read brings in up to 64 KiB around it, so one column holds at most some 8 MiB.
READS_BETWEEN_RELEASES: Final = 128


def release(mapped: mmap.mmap) -> None:
    """Let go of the pages read so far: they stay in the system's file cache, not in this process's memory.

    Safe while another thread reads: what it needs is mapped again.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


class ById(Sequence[str]):
    """Texts by id of which a subclass gives one at a time; negative ids count from the end."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        return self._text(range(len(self))[index])

    def take(self, ids: Sequence[int] | Ints) -> list[str]:
        """Texts of ids, in the order of the ids.

        Raises:
            IndexError: an id is not below the number of texts.
        """
        places = range(len(self))
        return [self._text(places[int(item)]) for item in ids]

    @abstractmethod
    def _text(self, row: int) -> str:
        """The text of an id from 0 on that is there."""


class ArrowWriter:
    """An Arrow IPC file of rows, all batches but the last of ``BATCH_ROWS`` rows."""

    def __init__(self, file: Path, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self._sink = pa.OSFile(str(file), "wb")
        self._writer = pa.ipc.new_file(self._sink, schema)
        self._columns: list[list[object]] = [[] for _ in schema]

    def append(self, *values: object) -> None:
        """Add one row; one value for each column of the schema."""
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)
        self.rows += 1
        if len(self._columns[0]) == BATCH_ROWS:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()
        self._sink.close()

    def _flush(self) -> None:
        if self._columns[0]:
            arrays = [pa.array(column, type=item.type) for column, item in zip(self._columns, self.schema, strict=True)]
            self._writer.write_batch(pa.record_batch(arrays, schema=self.schema))
            self._columns = [[] for _ in self.schema]


TEXT_SCHEMA: Final = pa.schema([("text", pa.large_string())])


class Mapped:
    """A memory-mapped Arrow file.

    Attributes:
        table: its rows, without a copy.

    Raises:
        ArtifactError: the file is missing or torn.
    """

    def __init__(self, file: Path) -> None:
        try:
            with file.open("rb") as opened:
                self._map = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            self.table = pa.ipc.open_file(pa.BufferReader(pa.py_buffer(self._map))).read_all()
        except (OSError, ValueError) as error:  # Arrow's errors are among these
            raise ArtifactError(f"the file cannot be read ({error})", where=str(file), todo="delete it") from None

    def release(self) -> None:
        """Let go of the pages read so far: they stay in the system's file cache, not in this process's memory."""
        release(self._map)


class Column:
    """One column of an Arrow file that ``ArrowWriter`` wrote; values are found by arithmetic, nothing is loaded."""

    def __init__(self, mapped: Mapped, name: str) -> None:
        self.chunks = mapped.table.column(name).chunks
        self.rows: int = mapped.table.num_rows
        self._mapped = mapped
        self._reads = 0

    def value(self, row: int) -> object:
        """The value of a row as a Python object."""
        value = self.chunks[row // BATCH_ROWS][row % BATCH_ROWS].as_py()
        self._reads += 1
        if self._reads % READS_BETWEEN_RELEASES == 0:
            self._mapped.release()
        return value

    def lengths(self) -> Ints:
        """How many items each value of a column of lists has: int64 of shape (rows,)."""
        return self._joined(chunk.value_lengths() for chunk in self.chunks)

    def numbers(self) -> Ints:
        """The values of a column of whole numbers: int64 of shape (rows,)."""
        return self._joined(self.chunks)

    def _joined(self, parts: Iterable[pa.Array]) -> Ints:
        joined = np.concatenate([np.empty(0, dtype=np.int64), *(part.to_numpy(zero_copy_only=False) for part in parts)])
        self._mapped.release()
        return joined


class Texts(Sequence[str]):
    """Texts by id, memory-mapped: of shape (n,), each only in memory while it is used."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._column = Column(Mapped(file), "text")
        self._keys: Keys | None = None

    @property
    def keys(self) -> Keys:
        """The ``text_key`` of each text, uint64 of shape (n,): memory-mapped where they lie beside the texts."""
        if self._keys is None:
            stored = keys_file(self.file)
            self._keys = np.load(stored, mmap_mode="r", allow_pickle=False) if stored.exists() else _keys(self)
        return self._keys

    @property
    def rows(self) -> Ints:
        """How many rows of the file hold each text, int64 of shape (n,); 1 where a text stands for what is judged."""
        stored = rows_file(self.file)
        if not stored.exists():
            return np.ones(len(self), dtype=np.int64)
        found: Ints = np.load(stored, mmap_mode="r", allow_pickle=False)
        return found

    def __len__(self) -> int:
        return self._column.rows

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        return self._text(self._checked(index))

    def __iter__(self) -> Iterator[str]:
        for batch in self.batches(BATCH_ROWS):
            yield from batch

    def take(self, ids: Sequence[int] | Ints) -> list[str]:
        """Texts of ids, in the order of the ids."""
        return [self._text(self._checked(int(item))) for item in ids]

    def batches(self, size: int) -> Iterator[list[str]]:
        """All texts in order, ``size`` at a time."""
        for start in range(0, len(self), size):
            yield [self._text(row) for row in range(start, min(start + size, len(self)))]

    def __reduce__(self) -> tuple[type[Texts], tuple[Path]]:
        return (Texts, (self.file,))

    def _checked(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"text {index} of {len(self)}")
        return index % len(self)

    def _text(self, row: int) -> str:
        return str(self._column.value(row))


def keys_file(file: Path) -> Path:
    """Where the keys of a file of texts lie."""
    return file.with_name(file.name + artifacts.KEYS_SUFFIX)


def rows_file(file: Path) -> Path:
    """Where the numbers of rows of a file of texts lie."""
    return file.with_name(file.name + artifacts.ROWS_SUFFIX)


def keys_of(texts: Sequence[str]) -> Keys:
    """The ``text_key`` of each text, uint64 of shape (n,); those that the texts carry with them are not made again."""
    carried = getattr(texts, "keys", None)
    return carried if isinstance(carried, np.ndarray) else _keys(texts)


def _keys(texts: Iterable[str]) -> Keys:
    return np.frombuffer(b"".join(map(text_key, texts)), dtype=np.uint64)


def windows(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """All items in order, ``size`` at a time; the last window may be smaller."""
    remaining = iter(items)
    while window := list(islice(remaining, size)):
        yield window


def digest(text: str) -> bytes:
    """The 16-byte BLAKE2b of a text in UTF-8: the same on every machine, and no two texts share one in practice."""
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()


def fingerprint_of_texts(texts: Iterable[str]) -> str:
    """SHA-256 over texts in order; each one's length goes before it, so that texts cannot run into each other."""
    total = hashlib.sha256()
    for text in texts:
        content = text.encode("utf-8")
        total.update(len(content).to_bytes(8))
        total.update(content)
    return total.hexdigest()
