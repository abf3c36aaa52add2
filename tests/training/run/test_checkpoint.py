"""A state comes back bit for bit; a folder keeps the newest checkpoints, and leaves links and foreign files alone."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bistill import artifacts
from bistill.errors import ArtifactError
from bistill.training.run.checkpoint import Checkpoints, bytes_of
from tests.training.checkpoints import FILES, assert_same, content, names, state, two


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    odd = torch.tensor([0x7F7FFFFF, -0x80000000, 1], dtype=torch.int32).view(torch.float32)  # largest, -0.0, subnormal
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
        optimizer={"odd": odd, "bytes": torch.tensor([0, 255, 7], dtype=torch.uint8)},
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
    assert (manifest["schema"], manifest["step"], manifest["best_step"]) == ("bistill.checkpoint/2", 100, 0)
    assert set(manifest["files"]) == set(FILES) - {"manifest.json"}
    for name, listed in manifest["files"].items():
        assert listed == {"sha256": artifacts.sha256_of_file(folder / name), "bytes": (folder / name).stat().st_size}
    assert len({stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}) == 1  # as readable as any new file


def test_one_of_the_first_schema_is_read_and_its_generators_are_passed_over(tmp_path: Path) -> None:
    checkpoints, damages = two(tmp_path)
    folder = checkpoints.folder / "step-00000100"
    save_file({"cpu": torch.tensor([0, 255, 7], dtype=torch.uint8)}, folder / "random.safetensors")
    manifest = artifacts.read_json(folder / "manifest.json") | {"schema": "bistill.checkpoint/1"}
    del manifest["fingerprint"]
    generators = (folder / "random.safetensors").read_bytes()
    manifest["files"]["random.safetensors"] = {
        "sha256": hashlib.sha256(generators).hexdigest(),
        "bytes": len(generators),
    }
    manifest["fingerprint"] = artifacts.fingerprint(manifest)
    artifacts.write_json(folder / "manifest.json", manifest)
    assert_same(checkpoints.read_newest(), state(100))
    assert damages == []


def test_bytes_of_a_state_are_counted_by_hand() -> None:
    assert bytes_of(state(1)) == 6 * 4 + 8 + 2 * 2


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


def test_what_is_read_does_not_hang_on_the_files(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.write(state(50))
    found = checkpoints.read_newest()
    assert "step-00000050" not in Path("/proc/self/maps").read_text()
    for path in (tmp_path / "step-00000050").iterdir():
        os.truncate(path, 0)
    assert_same(found, state(50))
