"""Checkpoints under real faults: cut, flipped and missing files, full disks, failing renames, links, foreign files."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bistill import artifacts
from bistill.errors import ArtifactError, TrainingError
from bistill.training.checkpoint import SCHEMA, Checkpoints, State, bytes_of

FILES = (
    "weights.safetensors",
    "best.safetensors",
    "optimizer.safetensors",
    "random.safetensors",
    "schedule.json",
    "hooks.json",
    "manifest.json",
)


def state(step: int, **changes: object) -> State:
    base = State(
        step=step,
        run={"options": {"lr": 5e-05, "이름": "실험"}, "order": {10: "a", 9: "b"}},
        weights={"linear.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3), "count": torch.tensor(step)},
        best={},
        best_step=0,
        optimizer={"0.exp_avg": torch.tensor([0.1, -0.0], dtype=torch.bfloat16)},
        random={"cpu": torch.tensor([0, 255, 7], dtype=torch.uint8)},
        schedule={"last_epoch": step, "scale": 1.0},
        hooks={"validate": {"best": None, "passes": [0.25, 0.5]}},
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


class Damages(list[tuple[str, str]]):
    def __call__(self, path: Path, reason: str) -> None:
        assert path.is_dir()
        self.append((path.name, reason))


def two(tmp_path: Path) -> tuple[Checkpoints, Damages]:
    damages = Damages()
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2, on_damage=damages)
    checkpoints.write(state(50))
    checkpoints.write(state(100))
    return checkpoints, damages


def assert_same(found: State | None, wanted: State) -> None:
    assert found is not None
    for field in ("weights", "best", "optimizer", "random"):
        ours, theirs = getattr(found, field), getattr(wanted, field)
        assert ours.keys() == theirs.keys()
        for name, tensor in theirs.items():
            assert (ours[name].dtype, ours[name].shape) == (tensor.dtype, tensor.shape)
            flat = tensor.contiguous().reshape(-1).view(torch.uint8)
            assert torch.equal(ours[name].reshape(-1).view(torch.uint8), flat), name
    for field in ("step", "best_step", "schedule", "hooks"):
        assert getattr(found, field) == getattr(wanted, field)
    assert found.run == json.loads(json.dumps(wanted.run))


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    nan_payload = torch.tensor([0x7FC00001, -1, 1], dtype=torch.int32).view(torch.float32)  # two NaNs, a subnormal
    tied = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    wanted = state(
        7,
        weights={
            "tied.a": tied,
            "tied.b": tied,
            "transposed": tied.T,
            "row": tied[1],
            "strided": torch.arange(10)[::3],
            "scalar": torch.tensor(-0.0),
            "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
            "flag": torch.tensor([True, False]),
            "none": torch.zeros(0, 4),
        },
        best={"linear.weight": torch.tensor([1.0, 1e-45])},
        best_step=5,
        random={"odd": nan_payload, "cuda": torch.get_rng_state()},
    )
    checkpoints = Checkpoints(tmp_path / "new" / "checkpoints", keep=1)
    written = checkpoints.write(wanted)
    found = checkpoints.read_newest()
    assert_same(found, wanted)
    assert found and not found.weights["tied.a"].requires_grad
    assert written == sum(path.stat().st_size for path in (checkpoints.folder / "step-00000007").iterdir())
    checkpoints.write(dataclasses.replace(found, step=8))  # what was read can be written again
    assert_same(checkpoints.read_newest(), dataclasses.replace(wanted, step=8))


def test_the_folder_holds_what_the_manifest_lists(tmp_path: Path) -> None:
    checkpoints, _ = two(tmp_path)
    folder = checkpoints.folder / "step-00000100"
    assert names(checkpoints.folder) == ["step-00000050", "step-00000100"]
    assert names(folder) == sorted(FILES)
    manifest = artifacts.read_json(folder / "manifest.json")
    assert (manifest["schema"], manifest["step"], manifest["best_step"]) == ("bistill.checkpoint/1", 100, 0)
    assert set(manifest["files"]) == set(FILES) - {"manifest.json"}
    for name, listed in manifest["files"].items():
        assert listed == {"sha256": artifacts.sha256_of_file(folder / name), "bytes": (folder / name).stat().st_size}
    assert len({stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}) == 1  # as readable as any new file


def test_bytes_of_a_state_are_counted_by_hand() -> None:
    assert bytes_of(state(1)) == 6 * 4 + 8 + 2 * 2 + 3


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=1)
    assert (checkpoints.read_newest(), checkpoints.newest_run(), checkpoints.steps()) == (None, None, [])
    checkpoints.remove_unfinished()
    checkpoints.remove_all()
    assert names(tmp_path) == []


def test_the_newest_are_kept_by_number_and_not_by_name(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 99_999_999, 100_000_000):
        checkpoints.write(state(step))
    assert checkpoints.steps() == [99_999_999, 100_000_000]
    single = Checkpoints(tmp_path, keep=1)
    single.write(state(100_000_001))
    assert single.steps() == [100_000_001]
    single.write(state(3))  # never removes what it has just written, nor what is newer
    assert single.steps() == [3, 100_000_001]


def test_the_newest_run_is_told_from_the_manifest_alone(tmp_path: Path) -> None:
    checkpoints, damages = two(tmp_path)
    for path in (checkpoints.folder / "step-00000100").glob("*.safetensors"):
        path.unlink()
    run = {"options": {"lr": 5e-05, "이름": "실험"}, "order": {"10": "a", "9": "b"}}
    assert checkpoints.newest_run() == (100, run)
    (checkpoints.folder / "step-00000100" / "manifest.json").write_text("{")
    assert checkpoints.newest_run() == (50, run)
    assert damages == [] and checkpoints.steps() == [50, 100]


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
    manifest = {"schema": "bistill.checkpoint/2", "parts": []}
    if with_fingerprint:
        manifest["fingerprint"] = artifacts.fingerprint(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="another version of bistill") as caught:
        checkpoints.read_newest()
    assert caught.value.found == "bistill.checkpoint/2" and SCHEMA == "bistill.checkpoint/1"
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
        if path.parent.name == "step-00000100" and path.name == "random.safetensors":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path)

    monkeypatch.setattr(artifacts, "sha256_of_file", broken)
    assert_same(checkpoints.read_newest(), state(50))
    assert damages == [("damaged-step-00000100", "random.safetensors cannot be read (Input/output error)")]


def test_a_link_is_neither_read_nor_removed_nor_replaced(tmp_path: Path) -> None:
    checkpoints, _ = two(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(checkpoints.folder / "step-00000100", elsewhere)
    before = content(elsewhere)
    links = [checkpoints.folder / f"{prefix}step-00000300" for prefix in ("", "damaged-", "unfinished-")]
    for link in links:
        link.symlink_to(elsewhere)
    assert checkpoints.steps() == [50, 100]
    assert_same(checkpoints.read_newest(), state(100))
    checkpoints.remove_unfinished()
    links[2].unlink()
    with pytest.raises(ArtifactError, match="cannot be written"):
        checkpoints.write(state(300))
    assert checkpoints.steps() == [50, 100]
    checkpoints.remove_all()
    assert names(checkpoints.folder) == ["damaged-step-00000300", "step-00000300"]
    assert content(elsewhere) == before


def test_leftovers_are_not_read_and_are_removed(tmp_path: Path) -> None:
    checkpoints, damages = two(tmp_path)
    for name in ("unfinished-step-00000100", "unfinished-step-00000150", "unfinished-step-00000050-removed"):
        shutil.copytree(checkpoints.folder / "step-00000100", checkpoints.folder / name)
    assert checkpoints.steps() == [50, 100]
    assert_same(checkpoints.read_newest(), state(100))
    assert len(names(checkpoints.folder)) == 5 and damages == []
    checkpoints.remove_unfinished()
    assert names(checkpoints.folder) == ["step-00000050", "step-00000100"]
    shutil.copytree(checkpoints.folder / "step-00000100", checkpoints.folder / "unfinished-step-00000150")
    checkpoints.write(state(150))  # over the leftover of its own name
    assert_same(checkpoints.read_newest(), state(150))
    assert names(checkpoints.folder) == ["step-00000100", "step-00000150"]


def test_foreign_names_are_left_alone_by_everything(tmp_path: Path) -> None:
    checkpoints, _ = two(tmp_path)
    folder = checkpoints.folder
    foreign = ("step-50", "step-000000050", "step-00000050.bak", "unfinished-model", "damaged-step-x", "notes")
    for name in foreign:
        (folder / name).mkdir()
        (folder / name / "mine.txt").write_text("mine")
    (folder / "step-00000070").write_text("a file by a checkpoint's name")
    (folder / "readme.txt").write_text("mine")
    kept = {
        name: data for name, data in content(folder).items() if "mine" in name or name.endswith(("70", "readme.txt"))
    }
    checkpoints.write(state(150))
    assert checkpoints.steps() == [100, 150]
    (folder / "step-00000150" / "hooks.json").unlink()
    assert_same(checkpoints.read_newest(), state(100))
    checkpoints.remove_unfinished()
    checkpoints.remove_all()
    assert content(folder) == kept and len(kept) == 8


def test_remove_all_takes_the_folder_and_everything_of_ours(tmp_path: Path) -> None:
    checkpoints, _ = two(tmp_path)
    shutil.copytree(checkpoints.folder / "step-00000100", checkpoints.folder / "unfinished-step-00000150")
    shutil.copytree(checkpoints.folder / "step-00000100", checkpoints.folder / "damaged-step-00000100-2")
    checkpoints.remove_all()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("field", "subject"),
    [("weights", "weights are"), ("best", "best weights are"), ("optimizer", "state of the optimizer is")],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_are_not_written(tmp_path: Path, field: str, subject: str, value: float) -> None:
    tensors = {"whole": torch.ones(2), "count": torch.tensor(3), "broken": torch.tensor([1.0, value])}
    with pytest.raises(TrainingError, match=f"the {subject} not written: broken holds values that are no numbers"):
        Checkpoints(tmp_path / "checkpoints", keep=1).write(state(5, **{field: tensors}))
    assert names(tmp_path) == []


@pytest.mark.parametrize("field", ["run", "schedule", "hooks"])
def test_json_has_no_nan_and_nothing_is_written(tmp_path: Path, field: str) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Checkpoints(tmp_path / "checkpoints", keep=1).write(state(5, **{field: {"loss": float("nan")}}))
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
@pytest.mark.parametrize("call", range(1, 10))
def test_a_failing_flush_leaves_the_older_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: int
) -> None:
    """Calls 1 to 9: the parent, six files, the manifest, the unfinished folder."""
    checkpoints, _ = two(tmp_path)
    before, calls, real = content(checkpoints.folder), [], os.fsync

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) == call:
            raise OSError(code, os.strerror(code))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError) as caught:
        checkpoints.write(state(150))
    assert os.strerror(code) in caught.value.what and caught.value.where == str(checkpoints.folder)
    assert str(caught.value.found).startswith("at least 39 bytes needed, ")
    assert "the checkpoints before are whole" in caught.value.todo
    assert content(checkpoints.folder) == before
    assert names(checkpoints.folder) == ["step-00000050", "step-00000100"]


@pytest.mark.parametrize("limit", [20, 10_000])
def test_a_file_over_the_limit_of_the_system_leaves_the_older_ones(tmp_path: Path, limit: int) -> None:
    """The limit is reached in safetensors' own writer, which is not Python's."""
    code = f"""
import resource, sys, torch
from pathlib import Path
from bistill.errors import ArtifactError
from bistill.training.checkpoint import Checkpoints, State
checkpoints = Checkpoints(Path({str(tmp_path / "checkpoints")!r}), keep=1)
small = dict(run={{}}, best={{}}, best_step=0, optimizer={{}}, random={{}}, schedule={{}}, hooks={{}})
checkpoints.write(State(step=1, weights={{"w": torch.ones(2)}}, **small))
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, hard))
try:
    checkpoints.write(State(step=2, weights={{"w": torch.ones(5000)}}, **small))
except ArtifactError as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print(error)
    print(checkpoints.steps(), checkpoints.read_newest().weights["w"].tolist())
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "File too large" in result.stdout and "at least 20000 bytes needed, " in result.stdout
    assert result.stdout.splitlines()[-1] == "[1] [1.0, 1.0]"
    assert names(tmp_path / "checkpoints") == ["step-00000001"]


def test_an_interrupt_leaves_nothing_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints, _ = two(tmp_path)

    def interrupt(path: Path) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(artifacts, "sha256_of_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.write(state(150))
    assert names(checkpoints.folder) == ["step-00000050", "step-00000100"]


@pytest.mark.parametrize("step", [100, 150])
def test_older_ones_go_only_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    checkpoints, _ = two(tmp_path)
    before, real = content(checkpoints.folder), Path.rename
    checkpoints.keep = 1

    def fail(path: Path, target: Path) -> Path:
        if path.name == f"unfinished-step-{step:08d}":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        with pytest.raises(ArtifactError, match="No space left on device"):
            checkpoints.write(state(step, schedule={"new": True}))
    assert content(checkpoints.folder) == before
    assert names(checkpoints.folder) == ["step-00000050", "step-00000100"]
    checkpoints.write(state(step, schedule={"new": True}))
    assert names(checkpoints.folder) == [f"step-{step:08d}"]
    assert_same(checkpoints.read_newest(), state(step, schedule={"new": True}))


@pytest.mark.parametrize("reader", ["read_newest", "remove_unfinished", "write"])
def test_a_kill_between_the_renames_of_a_replacement_loses_nothing(tmp_path: Path, reader: str) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write(state(50))
    (tmp_path / "step-00000050").rename(tmp_path / "unfinished-step-00000050-replaced")
    if reader == "write":
        checkpoints.keep = 2
        checkpoints.write(state(60))
    else:
        getattr(checkpoints, reader)()
    assert 50 in checkpoints.steps()
    shutil.copytree(tmp_path / "step-00000050", tmp_path / "unfinished-step-00000050-replaced")  # after both renames
    checkpoints.remove_unfinished()
    assert 50 in checkpoints.steps() and not list(tmp_path.glob("unfinished-*"))


def test_what_cannot_be_pruned_does_not_fail_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints, _ = two(tmp_path)
    real = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name == "step-00000050":
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        checkpoints.write(state(150))
    assert checkpoints.steps() == [50, 100, 150]
    checkpoints.write(state(200))
    assert checkpoints.steps() == [150, 200]


def test_what_is_read_does_not_hang_on_the_files(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write(state(50))
    found = checkpoints.read_newest()
    assert "step-00000050" not in Path("/proc/self/maps").read_text()
    for path in (tmp_path / "step-00000050").iterdir():
        os.truncate(path, 0)
    assert_same(found, state(50))
