"""Checkpoints that cannot be written: bad values, full disks, failing renames and interrupts leave the older ones."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bistill import artifacts
from bistill.errors import ArtifactError, TrainingError
from bistill.training.run.checkpoint import Checkpoints
from tests.training.checkpoints import assert_same, content, names, state, two


@pytest.mark.parametrize(
    ("field", "subject"),
    [("weights", "weights are"), ("best", "best weights are"), ("optimizer", "state of the optimizer is")],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_are_not_written(tmp_path: Path, field: str, subject: str, value: float) -> None:
    tensors = {"whole": torch.ones(2), "count": torch.tensor(3), "broken": torch.tensor([1.0, value])}
    with pytest.raises(TrainingError, match=f"the {subject} not written: broken holds NaN or infinite values"):
        Checkpoints(tmp_path / "checkpoints", keep=1).write(state(5, **{field: tensors}))
    assert names(tmp_path) == []


@pytest.mark.parametrize("field", ["run", "schedule", "hooks"])
def test_json_has_no_nan_and_nothing_is_written(tmp_path: Path, field: str) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Checkpoints(tmp_path / "checkpoints", keep=1).write(state(5, **{field: {"loss": float("nan")}}))
    assert names(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
@pytest.mark.parametrize("call", range(1, 9))
def test_a_failing_flush_leaves_the_older_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: int
) -> None:
    """Calls 1 to 8: the parent, five files, the manifest, the unfinished folder."""
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
    assert str(caught.value.found).startswith("at least 36 bytes needed, ")
    assert "the checkpoints before are whole" in caught.value.todo
    assert content(checkpoints.folder) == before
    assert names(checkpoints.folder) == ["step-00000050", "step-00000100"]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [20, 10_000])
def test_a_file_over_the_limit_of_the_system_leaves_the_older_ones(tmp_path: Path, limit: int) -> None:
    """The limit is reached in safetensors' own writer, which is not Python's."""
    code = f"""
import resource, sys, torch
from pathlib import Path
from bistill.errors import ArtifactError
from bistill.training.run.checkpoint import Checkpoints, State
checkpoints = Checkpoints(Path({str(tmp_path / "checkpoints")!r}), keep=1)
small = dict(run={{}}, best={{}}, best_step=0, optimizer={{}}, schedule={{}}, hooks={{}})
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
