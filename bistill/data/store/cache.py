"""Files by content: a folder per key, written aside and renamed, verified by sha256 whenever it is opened."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from bistill import artifacts, cache_folder
from bistill.console import say
from bistill.errors import ArtifactError

FORMAT_VERSION: Final = 3
# What the system says of a disk or a share of it that has no room; other errors may be those of a file that is read.
FULL: Final = (errno.ENOSPC, errno.EDQUOT)


PARSED: Final = "data"


def entry_folder(key: str, part: str = PARSED) -> Path:
    """Folder of a key in a part of the cache."""
    return cache_folder.cache_dir() / part / key[:32]


def obtain(
    key: str,
    fill: Callable[[Path], dict[str, Any]],
    *,
    accept: Callable[[dict[str, Any]], bool] = lambda _manifest: True,
    part: str = PARSED,
    what: str = "parsed data is",
) -> tuple[Path, dict[str, Any]]:
    """Folder and manifest of a key, made where it is missing, damaged (which is said) or not accepted.

    Several processes may ask at once: one makes the folder, the others wait and use it.

    Args:
        key: the content key.
        fill: writes files into the folder it is given and returns what the manifest shall say beside them.
        accept: whether the manifest of an intact folder will do.
        part: subfolder of the cache.
        what: subject and verb for the message about a damaged folder.

    Raises:
        ArtifactError: the folder is to be made and the cache cannot be written, or its disk is full.
    """
    final = entry_folder(key, part)
    lock = FileLock(final.parent / f"{final.name}.lock")
    try:
        with cache_folder.writing_cache(final.parent):
            final.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except ArtifactError:  # nobody writes there: what a read-only cache holds whole can be used without a lock
        if (opened := _open(final, key, what)) is not None and accept(opened[1]):
            return opened
        raise
    try:
        opened = _open(final, key, what)
        if opened is not None and accept(opened[1]):
            return opened
        return _write(final, key, fill)
    finally:
        lock.release()


def _open(folder: Path, key: str, what: str) -> tuple[Path, dict[str, Any]] | None:
    try:
        if not folder.exists():
            return None
        manifest = artifacts.read_json(folder / artifacts.MANIFEST)
        _verify(folder, key, manifest)
    except OSError:  # asking is not allowed
        return None
    except ArtifactError as error:
        say(f"{what} damaged and made again: {error.what} ({folder})")
        return None
    return folder, manifest


def _write(final: Path, key: str, fill: Callable[[Path], dict[str, Any]]) -> tuple[Path, dict[str, Any]]:
    with cache_folder.writing_cache(final.parent):
        temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}."))
    try:
        manifest = fill(temporary)
        files = {
            file.name: {"bytes": file.stat().st_size, "sha256": artifacts.sha256_of_file(file)}
            for file in sorted(temporary.iterdir())
        }
        manifest |= {"version": FORMAT_VERSION, "key": key, "files": files}
        artifacts.write_json(temporary / artifacts.MANIFEST, manifest)
        temporary.chmod(0o755)
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
    except OSError as error:
        if error.errno in FULL:
            raise cache_folder.cache_unwritable(final.parent, error) from None
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final, manifest


def _verify(folder: Path, key: str, manifest: dict[str, Any]) -> None:
    if manifest.get("version") != FORMAT_VERSION or manifest.get("key") != key:
        raise ArtifactError("the manifest is of another version", where=str(folder))
    for name, facts in manifest["files"].items():
        file = folder / name
        if not file.exists() or file.stat().st_size != facts["bytes"]:
            raise ArtifactError(f"{name} is missing or cut", where=str(folder))
        if artifacts.sha256_of_file(file) != facts["sha256"]:
            raise ArtifactError(f"{name} has another sha256", where=str(folder))
