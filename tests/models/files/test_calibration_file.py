"""The calibration beside a model: read back as written, refused where it cannot be true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bistill import artifacts
from bistill.errors import ArtifactError
from bistill.models.calibration import Calibration
from bistill.models.files import calibration_file, loading


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_what_is_written_is_read_and_leaves_the_models_fingerprint_alone(folder: Path) -> None:
    before = loading.model_fingerprint(str(folder))
    calibration_file.write(folder, Calibration(a=12.5, b=-7.25), data="abc")
    assert artifacts.read_json(folder / artifacts.CALIBRATION_FILE)["schema"] == "bistill.calibration/1"
    assert loading.model_fingerprint(str(folder)) == before
    assert calibration_file.read(str(folder)) == Calibration(a=12.5, b=-7.25)
    assert json.loads((folder / artifacts.CALIBRATION_FILE).read_text())["data"] == "abc"


def test_a_model_without_the_file_has_no_calibration(folder: Path) -> None:
    assert calibration_file.read(str(folder)) is None


def test_weights_that_changed_since_have_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calibration_file.write(folder, Calibration(a=1.0, b=0.0))
    (folder / "model.safetensors").write_bytes(b"others")
    assert calibration_file.read(str(folder)) is None
    assert "is of other weights" in "".join(capsys.readouterr())


@pytest.mark.parametrize("a", [0.0, -1.0, "1", None])
def test_a_line_that_does_not_rise_is_refused(folder: Path, a: object) -> None:
    calibration_file.write(folder, Calibration(a=1.0, b=0.0))
    file = folder / artifacts.CALIBRATION_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), "a": a}))
    with pytest.raises(ArtifactError, match="no rising line"):
        calibration_file.read(str(folder))
