"""Several files given for one: a folder of them, or their paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bistill.console import counted, say
from bistill.data.read.files import ending_of
from bistill.data.read.lines import TEXT_ENDING
from bistill.errors import DataError


def files_of(given: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files in the order in which they are read: as they were given, those of a folder by their names.

    What a folder holds besides files of rows (other folders, names that begin with a point or an underscore, other
    endings) is not read, which is said.

    Args:
        given: a file, a folder, or several of both.

    Raises:
        DataError: no file is given, one is given twice, or a folder has none.
    """
    paths = [Path(one) for one in ([given] if isinstance(given, str | Path) else given)]
    found = [file for path in paths for file in (_inside(path) if path.is_dir() else [path])]
    if not found:
        raise DataError("a file is missing", where="`documents`", todo="name one, several, or a folder of them")
    known: set[Path] = set()
    for file in found:
        if file.resolve() in known:
            raise DataError("the file is given twice", where=str(file), todo="name it once")
        known.add(file.resolve())
    return found


def _inside(folder: Path) -> list[Path]:
    """The files of rows in a folder, by name."""
    there = sorted(folder.iterdir())
    files = [
        path
        for path in there
        if path.is_file() and not path.name.startswith((".", "_")) and (ending_of(path) or path.suffix == TEXT_ENDING)
    ]
    if not files:
        raise DataError(
            "no file of rows is in the folder",
            where=str(folder),
            todo="have files there that end with .jsonl, .parquet, .csv or another form of rows",
        )
    if others := len(there) - len(files):
        unread = counted(others, "other entry", "other entries")
        say(f"{folder}: {counted(len(files), 'file')} of rows; {unread} not read")
    return files
