"""A teacher of 12 updates, undisturbed and broken off, and a disk that is soon full.

Whatever happens, a run ends with the bytes of the run to which nothing happened, or it says plainly why it cannot.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bistill.app.commands import teacher
from bistill.app.config import TeacherOptions
from bistill.data.store.version import Version
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from tests.faults.files.runs import break_off, hashes


@pytest.fixture(scope="package", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs that all tests of this folder share are made before a test has its own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BISTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="package")
def options(tmp_path_factory: pytest.TempPathFactory, data_version: Path, tiny_encoder: Path) -> TeacherOptions:
    """A teacher of 12 updates with a checkpoint every second and a validation every third."""
    return TeacherOptions(
        data_version="tiny",
        data_root=str(data_version),
        output_dir=str(tmp_path_factory.mktemp("uninterrupted") / "teacher"),
        model_name=str(tiny_encoder),
        epochs=2,
        batch_size=8,
        lr=1e-3,
        max_len=32,
        negatives_per_positive=3,
        eval_steps=3,
        save_steps=2,
        precision="fp32",
    )


@pytest.fixture(scope="package")
def uninterrupted(options: TeacherOptions) -> dict[str, str]:
    """SHA-256 of the files of the run to which nothing happened."""
    teacher.train(options)
    return hashes(options)


@pytest.fixture(scope="package")
def broken_off(options: TeacherOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that ended within update 7: with checkpoints of steps 4 and 6."""
    folder = tmp_path_factory.mktemp("broken-off") / "run"
    break_off(dataclasses.replace(options, output_dir=str(folder)), at=7)
    return folder


@pytest.fixture
def run(options: TeacherOptions, broken_off: Path, tmp_path: Path) -> TeacherOptions:
    """Options of the run that was broken off, in a folder of the test."""
    shutil.copytree(broken_off, tmp_path / "run")
    return dataclasses.replace(options, output_dir=str(tmp_path / "run"))


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 4 MiB."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount")
    with tempfile.TemporaryDirectory(prefix="bistill-disk-") as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True
        )
        if mounted.returncode:
            pytest.skip(f"this process may not mount a small file system: {mounted.stderr.strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a model fails the test."""
    monkeypatch.setattr(CrossEncoder, "start", lambda *_, **__: pytest.fail("a model was loaded"))
    monkeypatch.setattr(BiEncoder, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    monkeypatch.setattr(Version, "training", lambda *_, **__: pytest.fail("data was read"))
