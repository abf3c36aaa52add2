"""Bad rows: the one place where it is decided whether they stop the reading or are set aside."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bistill import artifacts
from bistill.console import counted
from bistill.data.settings import BadRows
from bistill.errors import RowError, shown

COLUMNS: Final = ("file", "row", "column", "reason", "found")


class Rejection(NamedTuple):
    """A row set aside. ``found`` is the offending value as Python shows it, "" where there is none."""

    row: int
    column: str
    reason: str
    found: str


def set_aside(count: int, file: str, first: Rejection) -> str:
    """What is said wherever rows were set aside: how many, and where and why the first.

    Args:
        count: rows set aside.
        file: the file of the first, as the user named it.
        first: the first of them.
    """
    rows = counted(count, "bad row was", "bad rows were")
    column = f", column {first.column!r}" if first.column else ""
    found = f" ({first.found})" if first.found else ""
    return f"{rows} set aside; the first: {file}, row {first.row}{column}: {first.reason}{found}"


class Rejections:
    """Raises bad rows, or appends them to a JSONL file so that their number does not fill memory.

    Args:
        policy: "stop" raises, "skip" collects.
        file: JSONL file of this collection.

    Attributes:
        count: rows set aside so far.
        first: the first of them, with the file's name.
    """

    def __init__(self, policy: BadRows, file: Path) -> None:
        self.policy = policy
        self.file = file
        self.count = 0
        self.first: tuple[str, Rejection] | None = None
        self._out = file.open("w", encoding="utf-8")

    def handle(self, error: RowError) -> None:
        """Raise the error or set its row aside."""
        if self.policy == "stop":
            raise error
        found = "" if error.found is None else shown(error.found)
        entry = Rejection(error.row, error.column, error.what, found)
        # ASCII: lone surrogates of undecodable bytes stay readable
        self._out.write(json.dumps((error.file, *entry)) + "\n")
        self.count += 1
        self.first = self.first or (error.file, entry)

    def close(self) -> None:
        """Write what is buffered."""
        self._out.close()


def read_rejections(file: Path) -> Iterator[tuple[str, Rejection]]:
    """File name and rejection of each line that ``Rejections`` wrote."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            name, *rest = json.loads(line)
            yield name, Rejection(*rest)


def write_rejected(path: Path, entries: Iterable[tuple[str, Rejection]], *, files: Iterable[str]) -> None:
    """Write rejected.csv, replacing earlier entries of ``files`` and keeping those of others."""
    replaced = set(files)
    earlier = [row for row in _earlier(path) if row[0] not in replaced]
    with artifacts.atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(earlier)
        for name, entry in entries:
            cells = (name, entry.row, entry.column, entry.reason, entry.found)
            writer.writerow([str(cell).encode("utf-8", "backslashreplace").decode() for cell in cells])


def _earlier(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as text:
        rows = list(csv.reader(text))
    return rows[1:] if rows and tuple(rows[0]) == COLUMNS else []
