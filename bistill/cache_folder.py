"""The folder of everything that can be made again, and room for what is needed for a moment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bistill.artifacts import unwritable
from bistill.errors import ArtifactError

CACHE_VARIABLE: Final = "BISTILL_CACHE"
CACHE_TODO: Final = f"set {CACHE_VARIABLE} to a folder that can be written"


def cache_dir() -> Path:
    """Folder of everything that can be made again: ``$BISTILL_CACHE``, else ``$XDG_CACHE_HOME/bistill``, else
    ``~/.cache/bistill``.

    Raises:
        ArtifactError: there is no home folder, as for a user without an entry in the system, and no variable.
    """
    try:
        if explicit := os.environ.get(CACHE_VARIABLE):
            return Path(explicit).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bistill"
    except RuntimeError:  # of pathlib, about "~" without a home
        raise ArtifactError("there is no home folder to keep the cache in", todo=CACHE_TODO) from None


@contextmanager
def writing_cache(folder: Path) -> Iterator[None]:
    """Say of a folder of the cache that cannot be written which variable names another one.

    Only what writes into the cache belongs into the block: any error of the system there counts as the cache's.

    Raises:
        ArtifactError: the folder cannot be made or written.
    """
    try:
        yield
    except OSError as error:
        raise cache_unwritable(folder, error) from None


def check_cache(folder: Path) -> None:
    """Make a folder of the cache and see that it can be written, before work whose result is to lie there.

    Raises:
        ArtifactError: it cannot.
    """
    with writing_cache(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def cache_unwritable(folder: Path, error: OSError) -> ArtifactError:
    """What is said where the cache cannot be written."""
    return ArtifactError(
        f"the cache folder cannot be written ({error.strerror or error})", where=str(folder), todo=CACHE_TODO
    )


@contextmanager
def scratch(otherwise: Path) -> Iterator[Path]:
    """A folder for what is needed no longer than the block: in the cache, or where that cannot be written, in a folder
    that the command writes anyway.

    Raises:
        ArtifactError: neither can be written.
    """
    try:
        folder = cache_dir()
        with writing_cache(folder):
            folder.mkdir(parents=True, exist_ok=True)
            made = tempfile.TemporaryDirectory(prefix="scratch-", dir=folder)
    except ArtifactError:
        try:
            otherwise.mkdir(parents=True, exist_ok=True)
            made = tempfile.TemporaryDirectory(prefix=".scratch-", dir=otherwise)
        except OSError as error:
            raise unwritable(otherwise, error) from None
    with made as name:
        yield Path(name)
