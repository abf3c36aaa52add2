from __future__ import annotations

from pathlib import Path

import pytest

from bistill import cache_folder
from bistill.errors import ArtifactError


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BISTILL_CACHE", "/one")
    assert cache_folder.cache_dir() == Path("/one")
    monkeypatch.delenv("BISTILL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/two")
    assert cache_folder.cache_dir() == Path("/two/bistill")


def test_the_cache_variable_may_begin_with_a_home_and_a_missing_home_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somebody")
    monkeypatch.setenv("BISTILL_CACHE", "~/mine")
    assert cache_folder.cache_dir() == Path("/somebody/mine")
    monkeypatch.delenv("BISTILL_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 54321)  # a number that no user of the system has
    with pytest.raises(
        ArtifactError, match=r"no home folder to keep the cache in\n  do: set BISTILL_CACHE to a folder"
    ):
        cache_folder.cache_dir()


def test_scratch_lies_in_the_cache_or_where_that_cannot_be_written_beside_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "cache"))
    with cache_folder.scratch(tmp_path / "data") as folder:
        assert folder.parent == tmp_path / "cache"
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "file"))
    with cache_folder.scratch(tmp_path / "data") as folder:
        assert folder.parent == tmp_path / "data" and folder.is_dir()
    assert list((tmp_path / "data").iterdir()) == []
    with (
        pytest.raises(ArtifactError, match="the output folder cannot be written"),
        cache_folder.scratch(tmp_path / "file"),
    ):
        pass
