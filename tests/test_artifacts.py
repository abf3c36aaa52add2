from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bistill import artifacts
from bistill.errors import ArtifactError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    artifacts.write_json(path, {"old": 1})
    with pytest.raises(ValueError, match=r"not JSON compliant"):
        artifacts.write_json(path, {"new": float("nan")})
    with pytest.raises(RuntimeError), artifacts.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert artifacts.read_json(path) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_fingerprint_depends_on_values_not_on_order() -> None:
    assert artifacts.fingerprint({"a": 1, "b": [2]}) == artifacts.fingerprint({"b": [2], "a": 1})
    assert artifacts.fingerprint({"a": 1}) != artifacts.fingerprint({"a": 2})


def test_sha256_of_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"bistill")
    assert artifacts.sha256_of_file(tmp_path / "x") == hashlib.sha256(b"bistill").hexdigest()


@pytest.mark.parametrize(("content", "message"), [(None, "does not exist"), ("{", "not JSON"), ("[]", "JSON object")])
def test_unreadable_json_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ArtifactError, match=message) as error:
        artifacts.read_json(path)
    assert str(path) in str(error.value)


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BISTILL_CACHE", "/one")
    assert artifacts.cache_dir() == Path("/one")
    monkeypatch.delenv("BISTILL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/two")
    assert artifacts.cache_dir() == Path("/two/bistill")


def test_the_cache_variable_may_begin_with_a_home_and_a_missing_home_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somebody")
    monkeypatch.setenv("BISTILL_CACHE", "~/mine")
    assert artifacts.cache_dir() == Path("/somebody/mine")
    monkeypatch.delenv("BISTILL_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 54321)  # a number that no user of the system has
    with pytest.raises(
        ArtifactError, match=r"no home folder to keep the cache in\n  do: set BISTILL_CACHE to a folder"
    ):
        artifacts.cache_dir()


def test_scratch_lies_in_the_cache_or_where_that_cannot_be_written_beside_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "cache"))
    with artifacts.scratch(tmp_path / "data") as folder:
        assert folder.parent == tmp_path / "cache"
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "file"))
    with artifacts.scratch(tmp_path / "data") as folder:
        assert folder.parent == tmp_path / "data" and folder.is_dir()
    assert list((tmp_path / "data").iterdir()) == []
    with (
        pytest.raises(ArtifactError, match="the output folder cannot be written"),
        artifacts.scratch(tmp_path / "file"),
    ):
        pass


def test_a_file_where_a_folder_is_expected_is_no_file_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ArtifactError, match=r"cannot be read \(Not a directory\)"):
        artifacts.read_json(tmp_path / "file" / "x.json")


def test_a_file_is_appended_to_another_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    two.write_text("second\n")
    artifacts.append_file(two, one)
    artifacts.append_file(two, one)
    assert (one.read_text(), two.read_text()) == ("second\nsecond\n", "second\n")
    monkeypatch.setattr("shutil.copyfileobj", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        artifacts.append_file(two, one)
    assert one.read_text() == "second\nsecond\n" and len(list(tmp_path.iterdir())) == 2
