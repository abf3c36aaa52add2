"""Vectors in shards: for more texts than one process encodes in good time, and more rows than one file should hold.

A crew encodes; its results come to the driver, which alone writes, so that the workers need no folder in common with
it. A shard holds the rows of one block. Its name follows from them: whoever makes it again makes the same file. It is
written beside and renamed, and then a line in the record tells of it, with its checksum; what a line tells of and still
has that checksum is kept by the next process. The manifest comes last, once every row is in a shard or was set aside.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np

from bistill import artifacts, console
from bistill.arrays import Floats
from bistill.errors import ArtifactError
from bistill.models.compute.unfinished import ROW, explained, line_of

SCHEMA: Final = "bistill.unfinished-shards/1"


class Shard(NamedTuple):
    """A file of rows.

    Attributes:
        file: its name.
        first: number of its first row.
        rows: how many there are.
        sha256: of the whole file.
    """

    file: str
    first: int
    rows: int
    sha256: str


class UnfinishedShards:
    """The shards of a folder in the making; as a context manager it lets go of the record.

    Only one process may have it open: see ``unfinished.alone``.

    Args:
        folder: that exists.
        shape: rows and columns of the whole.
        inputs: JSON-able values that decide the vectors.
        shard_rows: rows of a shard; one that an earlier process began with goes first.
        manifest: of a folder that holds shards of the same inputs; {} where there is none.

    Attributes:
        shard_rows: as above.
        shards: those that are whole, by their first row.

    Raises:
        ArtifactError: the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        shape: tuple[int, int],
        inputs: Mapping[str, Any],
        shard_rows: int,
        manifest: Mapping[str, Any],
    ) -> None:
        self.folder, self.shape = folder, shape
        head, *lines = _record(folder, inputs) or [{}]
        self.shard_rows = int(head.get("shard_rows") or manifest.get("shard_rows") or shard_rows)
        told = manifest.get("shards", []) if manifest.get("shard_rows") == self.shard_rows else []
        head = {"schema": SCHEMA, "shard_rows": self.shard_rows, "inputs": dict(inputs)}
        with explained(folder):
            self.shards = {shard.first: shard for shard in self._whole([*told, *lines])}
            with artifacts.atomic_path(folder / artifacts.UNFINISHED_SHARDS) as temporary:
                kept = (shard._asdict() for shard in self.shards.values())
                temporary.write_bytes(b"".join(map(line_of, (head, *kept))))
            for left in folder.glob(f".{artifacts.SHARD_FILES}.*.tmp"):  # of a killed process
                left.unlink()
            self._record = (folder / artifacts.UNFINISHED_SHARDS).open("ab", buffering=0)

    @property
    def rows(self) -> int:
        """Rows of all shards that are whole."""
        return sum(shard.rows for shard in self.shards.values())

    def missing(self) -> list[range]:
        """The rows of each shard that is not there."""
        return [rows for rows in self._parts() if rows.start not in self.shards]

    def add(self, first: int, vectors: Floats) -> None:
        """Write a shard, then record it.

        Args:
            first: number of its first row.
            vectors: all of its rows: float32 of shape (n, columns).

        Raises:
            ArtifactError: the disk is full.
        """
        rows = range(first, min(first + self.shard_rows, self.shape[0]))
        assert vectors.shape == (len(rows), self.shape[1])
        path = self.folder / name_of(rows)
        with explained(self.folder):
            with artifacts.atomic_path(path) as temporary:
                with temporary.open("wb") as file:
                    np.save(file, np.ascontiguousarray(vectors, dtype=ROW), allow_pickle=False)
                shard = Shard(path.name, first, len(rows), artifacts.sha256_of_file(temporary))
            self._record.write(line_of(shard._asdict()))
            os.fsync(self._record.fileno())
        self.shards[first] = shard

    def all_but(self, without: Iterable[range]) -> list[Shard]:
        """The shards in the order of their rows; their files and the record's are what counts now, others are removed.

        Args:
            without: rows that no shard has.

        Raises:
            ArtifactError: rows are in no shard: what went in did not come out.
        """
        lacking = [rows for rows in self.missing() if rows not in set(without)]
        found = [self.shards[first] for first in sorted(self.shards)]
        counted = sum(shard.rows for shard in found) + sum(map(len, without))
        if lacking or counted != self.shape[0]:
            raise ArtifactError(
                f"{self.shape[0]} texts went in, {counted} came out",
                where=str(self.folder),
                todo="give the same command again",
            )
        with explained(self.folder):
            remove_all_but(self.folder, {shard.file for shard in found})
        return found

    def forget(self) -> None:
        """Remove the record: the manifest tells of the shards now."""
        with explained(self.folder):
            (self.folder / artifacts.UNFINISHED_SHARDS).unlink()
            artifacts.flush(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._record.close()

    def _parts(self) -> Iterator[range]:
        for first in range(0, self.shape[0], self.shard_rows):
            yield range(first, min(first + self.shard_rows, self.shape[0]))

    def _whole(self, told: list[Any]) -> Iterator[Shard]:
        """Those of the told shards that are what was told; said of the others."""
        parts = {rows.start: rows for rows in self._parts()}
        newest = {shard.first: shard for shard in map(_shard, told) if shard}
        for shard in newest.values():
            rows = parts.get(shard.first)
            if rows is None or (shard.file, shard.rows) != (name_of(rows), len(rows)):
                continue
            if is_whole(self.folder, shard):
                yield shard


def name_of(rows: range) -> str:
    """The file name of the shard of some rows."""
    return artifacts.SHARD_FILE.format(first=rows.start, last=rows.stop - 1)


def is_whole(folder: Path, shard: Shard) -> bool:
    """Whether a shard is the file that was written; said where it is not."""
    path = folder / shard.file
    with explained(folder):
        if path.is_file() and artifacts.sha256_of_file(path) == shard.sha256:
            return True
    console.say(f"{path}: not the file that was written (its checksum differs); it is made again")
    return False


def shards_of(manifest: Mapping[str, Any]) -> list[Shard] | None:
    """The shards of a finished folder; None where its manifest tells of none, or tells it otherwise."""
    told = manifest.get("shards")
    if not isinstance(told, list):
        return None
    found = [shard for shard in map(_shard, told) if shard]
    return found if len(found) == len(told) else None


def inputs_of(folder: Path) -> dict[str, Any] | None:
    """What the unfinished shards of a folder are of; None where there are none."""
    found = _lines(folder)
    return found[0]["inputs"] if found else None


def disown(folder: Path) -> None:
    """Remove the manifest of a folder where it is one of shards."""
    path = folder / artifacts.VECTORS_RECORD
    with suppress(ArtifactError):  # there is none, or one that says nothing
        if "shards" in artifacts.read_json(path):
            path.unlink()
            artifacts.flush(folder)


def names_in(folder: Path) -> list[str]:
    """The names of all shards that lie in a folder, in the order of their rows."""
    return sorted(path.name for path in folder.glob(artifacts.SHARD_FILES))


def remove_all_but(folder: Path, kept: Iterable[str] = ()) -> None:
    """Remove the shards of a folder but for those of some names."""
    for name in set(names_in(folder)) - set(kept):
        (folder / name).unlink()


def _record(folder: Path, inputs: Mapping[str, Any]) -> list[Any] | None:
    """Head and lines of the record; None where there is none of these inputs."""
    found = _lines(folder)
    return found if found and found[0]["inputs"] == json.loads(json.dumps(dict(inputs))) else None


def _lines(folder: Path) -> list[Any]:
    """Head and lines of the record of any inputs, as far as they can be read; [] without a head."""
    found: list[Any] = []
    try:
        content = (folder / artifacts.UNFINISHED_SHARDS).read_bytes()
    except OSError:
        return found
    for line in io.BytesIO(content):
        try:
            found.append(json.loads(line))
        except ValueError:  # a line without end is a killed process's
            continue
    head = found[0] if found and isinstance(found[0], dict) else {}
    if head.get("schema") != SCHEMA or not isinstance(head.get("inputs"), dict):
        return []
    return found if type(head.get("shard_rows")) is int and head["shard_rows"] > 0 else []


def _shard(told: Any) -> Shard | None:
    """A shard as a line or a manifest tells of it; None where it tells of something else."""
    if not isinstance(told, dict) or told.keys() != set(Shard._fields):
        return None
    kinds = {name: type(value) for name, value in told.items()}
    return Shard(**told) if kinds == {"file": str, "first": int, "rows": int, "sha256": str} else None
