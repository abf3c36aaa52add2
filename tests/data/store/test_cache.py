from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill import cache_folder
from bistill.data.store import cache
from bistill.data.store.opening import load_documents
from bistill.data.store.spilled import Spilled
from bistill.errors import ArtifactError

NAMED = r"the cache folder cannot be written \(.*\)\n  do: set BISTILL_CACHE to a folder that can be written"


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is opened for writing is refused, as a read-only mount refuses it; root may write anywhere else."""

    def refuse(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, flags, *rest, **named)

    opened = os.open
    monkeypatch.setattr(os, "open", refuse)


def filled(folder: Path) -> dict[str, Any]:
    (folder / "numbers.bin").write_bytes(bytes(range(8)))
    return {"count": 8}


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_cache_that_is_a_file_is_said_with_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "documents.csv").write_text("passage\none\n")
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / place))
    with pytest.raises(ArtifactError, match=NAMED):
        load_documents(tmp_path / "documents.csv")
    with pytest.raises(ArtifactError, match="set BISTILL_CACHE to a folder"):
        Spilled([np.ones(3)])


def test_a_read_only_cache_is_said_and_what_it_holds_whole_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    made = cache.obtain("key", filled)
    request.getfixturevalue("read_only")
    assert cache.obtain("key", lambda _: pytest.fail("it is there")) == made
    with pytest.raises(ArtifactError, match=NAMED):
        cache.obtain("other key", filled)
    with pytest.raises(ArtifactError, match=NAMED):
        cache.obtain("key", filled, accept=lambda _: False)


def test_a_full_disk_is_the_caches_and_a_file_that_cannot_be_read_is_not() -> None:
    def full(_: Path) -> dict[str, Any]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def unreadable(_: Path) -> dict[str, Any]:
        raise PermissionError(errno.EACCES, "Permission denied", "documents.csv")

    with pytest.raises(ArtifactError, match=r"the cache folder cannot be written \(No space left on device\)"):
        cache.obtain("key", full)
    with pytest.raises(PermissionError, match=r"documents\.csv"):
        cache.obtain("key", unreadable)
    assert not cache_folder.cache_dir().joinpath("data", "key").exists()
