"""Damaged checkpoints: cut, flipped and missing files are noticed and passed over, and only these are."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from bistill import artifacts
from bistill.errors import ArtifactError
from bistill.training.run.checkpoint import SCHEMA, Checkpoints
from tests.training.checkpoints import FILES, Damages, assert_same, content, flip, names, state, two


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_damage_and_the_one_before_is_read(tmp_path: Path, name: str) -> None:
    checkpoints, damages = two(tmp_path)
    (checkpoints.folder / "step-00000100" / name).unlink()
    assert_same(checkpoints.read_newest(), state(50))
    assert damages == [("damaged-step-00000100", f"{name} is missing")]
    assert names(checkpoints.folder) == ["damaged-step-00000100", "step-00000050"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("left", [0, 0.5, -1])
def test_a_truncated_file_is_damage(tmp_path: Path, name: str, left: float) -> None:
    checkpoints, damages = two(tmp_path)
    path = checkpoints.folder / "step-00000100" / name
    whole = path.stat().st_size
    size = whole - 2 if left < 0 else int(whole * left)  # the manifest's last byte is a line feed, of no meaning
    os.truncate(path, size)
    assert_same(checkpoints.read_newest(), state(50))
    [(_, reason)] = damages
    if name == "manifest.json":
        assert reason.startswith("manifest.json is no manifest (")
    else:
        assert reason == f"{name} has {size} bytes where the manifest says {whole}"


@pytest.mark.parametrize("name", FILES[:-1])
def test_one_flipped_bit_is_damage(tmp_path: Path, name: str) -> None:
    checkpoints, damages = two(tmp_path)
    folder = checkpoints.folder / "step-00000100"
    whole = content(folder)
    bits = len(whole[name]) * 8
    for number, bit in enumerate((0, bits // 2, bits - 1)):
        flip(folder / name, bit)
        assert_same(checkpoints.read_newest(), state(50))
        assert damages.pop()[1] == f"{name}: sha256 differs from the manifest's (one bit or more has changed)"
        aside = checkpoints.folder / ("damaged-step-00000100" + (f"-{number + 1}" if number else ""))
        shutil.copytree(aside, folder)
        (folder / name).write_bytes(whole[name])
    assert_same(checkpoints.read_newest(), state(100))
    assert damages == []


@pytest.mark.slow
def test_no_flipped_bit_of_the_manifest_changes_what_is_read(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write(state(3))
    path = tmp_path / "step-00000003" / "manifest.json"
    whole = path.read_bytes()
    unseen = []
    for bit in range(0, len(whole) * 8, 5):  # each of the eight places in a byte in turn
        flip(path, bit)
        found = checkpoints.newest_run()
        path.write_bytes(whole)
        if found is not None:
            assert found == (3, json.loads(json.dumps(state(3).run)))
            unseen.append(chr(whole[bit // 8]))
    # The same value written otherwise: the case of an exponent's e and of the digits of an escaped letter.
    assert set(unseen) <= set("eabcdf")
    flip(path, whole.index(b'"step": 3') * 8 + 8 * 8)  # 3 -> 2
    damages = Damages()
    assert Checkpoints(tmp_path, keep=1, on_damage=damages).read_newest() is None
    assert damages == [
        ("damaged-step-00000003", "manifest.json: its fingerprint differs (one bit or more has changed)")
    ]


def test_a_checkpoint_by_the_name_of_another_is_damage(tmp_path: Path) -> None:
    checkpoints, damages = two(tmp_path)
    (checkpoints.folder / "step-00000100").rename(checkpoints.folder / "step-00000200")
    assert_same(checkpoints.read_newest(), state(50))
    assert damages == [("damaged-step-00000200", "manifest.json is of step 100")]


def test_when_all_are_damaged_none_is_left_and_pruning_spares_them(tmp_path: Path) -> None:
    checkpoints, damages = two(tmp_path)
    for step in (50, 100):
        (checkpoints.folder / f"step-{step:08d}" / "hooks.json").unlink()
    assert checkpoints.read_newest() is None
    assert [name for name, _ in damages] == ["damaged-step-00000100", "damaged-step-00000050"]
    for step in (150, 200, 250):
        checkpoints.write(state(step))
    assert names(checkpoints.folder) == [
        "damaged-step-00000050",
        "damaged-step-00000100",
        "step-00000200",
        "step-00000250",
    ]


@pytest.mark.parametrize("with_fingerprint", [True, False])
def test_another_version_is_no_damage(tmp_path: Path, with_fingerprint: bool) -> None:
    checkpoints, damages = two(tmp_path)
    path = checkpoints.folder / "step-00000100" / "manifest.json"
    manifest = {"schema": "bistill.checkpoint/3", "parts": []}
    if with_fingerprint:
        manifest["fingerprint"] = artifacts.fingerprint(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="another version of bistill") as caught:
        checkpoints.read_newest()
    assert caught.value.found == "bistill.checkpoint/3" and SCHEMA == "bistill.checkpoint/2"
    assert damages == [] and checkpoints.steps() == [50, 100]
    assert checkpoints.newest_run() == (50, json.loads(json.dumps(state(50).run)))


def test_a_refusal_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints, damages = two(tmp_path)

    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(artifacts, "sha256_of_file", refuse)  # root may read anything, so chmod would not do
    with pytest.raises(ArtifactError, match="Permission denied") as caught:
        checkpoints.read_newest()
    assert caught.value.where.endswith("step-00000100/weights.safetensors")
    assert damages == [] and checkpoints.steps() == [50, 100]


def test_a_broken_sector_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints, damages = two(tmp_path)
    real = artifacts.sha256_of_file

    def broken(path: Path) -> str:
        if path.parent.name == "step-00000100" and path.name == "optimizer.safetensors":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path)

    monkeypatch.setattr(artifacts, "sha256_of_file", broken)
    assert_same(checkpoints.read_newest(), state(50))
    assert damages == [("damaged-step-00000100", "optimizer.safetensors cannot be read (Input/output error)")]
