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
