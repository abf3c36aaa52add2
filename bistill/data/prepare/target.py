"""The folder of a data version: whether it may be written, and whether what is to be written lies there already."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bistill.console import say
from bistill.data.prepare.record import changes, of_earlier_version
from bistill.data.read.files import RowReader
from bistill.data.store.version import Version
from bistill.errors import EmptyFileError, OptionError


def check_target(source: Any, version: Version) -> None:
    """Raise unless a data version is named as a plain folder that is not its own source.

    Raises:
        OptionError: it is not.
    """
    name = version.name
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise OptionError("not a plain folder name", where="`Version.name`", found=name, todo="give a name without /")
    if isinstance(source, str | Path) and Path(source).resolve() == version.folder.resolve():
        raise OptionError(
            "the source would be overwritten", where="`Version.name`", found=name, todo="give another name"
        )


def is_done(
    folder: Path,
    record: Mapping[str, Any],
    identity: Mapping[str, Any],
    overwrite: bool,
    readers: Iterable[RowReader],
) -> bool:
    """Whether an earlier run finished the same data version, which is said; else it is to be made.

    Raises:
        DataError: another data version of that name is there, and this source's columns are not recognised.
        OptionError: another data version of that name is there, and may not be replaced.
    """
    if not any((folder / name).exists() for name in record.get("files", ())):
        return False
    if changed := changes(record, identity):
        _refuse_replacing(folder, changed, overwrite, readers)
        return False
    older = of_earlier_version(record)
    if (older and overwrite) or not all((folder / name).exists() for name in record["files"]):
        return False
    say(f"{folder}: nothing to do, source, options and files are unchanged{older}")
    return True


def _refuse_replacing(folder: Path, changed: Sequence[str], overwrite: bool, readers: Iterable[RowReader]) -> None:
    """Raise unless the data version that lies in a folder may be replaced, which is said. What is wrong with a header
    is raised first: it may be all that has changed."""
    if not overwrite:
        for reader in readers:
            with contextlib.suppress(EmptyFileError):  # as if the file were not there
                next(reader.rows(), None)
        raise OptionError(
            f"the data version was made otherwise: {'; '.join(changed)}",
            where="`Version.name`",
            found=str(folder),
            todo="give `overwrite` to replace it once the new one is whole, or another name",
        )
    say(f"{folder}: {'; '.join(changed)}; the data version stays until the new one is whole")
