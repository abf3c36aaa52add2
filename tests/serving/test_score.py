"""The Python API: three scales of one relevance."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import bistill
from bistill.errors import DataError, ModelError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.calibration import Calibration
from bistill.models.files import calibration_file

QUERY, DOCUMENTS = "read a file", ["file of the list", "red tree", "서울 날씨"]


def test_scores_are_cosines_on_three_scales(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "student"
    shutil.copytree(tiny_encoder, folder)
    calibration_file.write(folder, Calibration(a=4.0, b=-1.5))
    found = bistill.load(str(folder), precision="fp32").score(QUERY, DOCUMENTS)
    encoder = BiEncoder.load(str(tiny_encoder), precision="fp32")
    cosine = encoder.encode_documents(DOCUMENTS) @ encoder.encode_queries([QUERY])[0]
    np.testing.assert_allclose(found.cosine, cosine, atol=1e-6)
    np.testing.assert_allclose(found.normalized, (cosine + 1) / 2, atol=1e-6)
    assert found.calibrated is not None
    np.testing.assert_allclose(found.calibrated, 1 / (1 + np.exp(-(4.0 * cosine - 1.5))), atol=1e-6)
    assert (np.argsort(found.calibrated) == np.argsort(found.cosine)).all()


def test_a_model_without_calibration_has_no_calibrated_score(tiny_encoder: Path) -> None:
    assert bistill.load(str(tiny_encoder)).score(QUERY, DOCUMENTS).calibrated is None


def test_one_text_instead_of_several_documents_is_refused(tiny_encoder: Path) -> None:
    with pytest.raises(DataError, match="several documents"):
        bistill.load(str(tiny_encoder)).score(QUERY, "red tree")


def test_one_text_is_not_taken_for_its_letters(tiny_encoder: Path) -> None:
    student = bistill.load(str(tiny_encoder))
    for encode in (student.encode_queries, student.encode_documents):
        with pytest.raises(DataError, match="several texts are expected") as raised:
            encode("red tree")
        assert "red tree" in str(raised.value) and "[text]" in str(raised.value)
    with pytest.raises(DataError, match="one query is expected"):
        student.score([QUERY], DOCUMENTS)  # type: ignore[arg-type]


def test_vectors_that_are_no_numbers_are_an_error(tiny_encoder: Path) -> None:
    student = bistill.load(str(tiny_encoder), precision="fp32")
    token = student.encoder.tokenizer.convert_tokens_to_ids("tree")
    with torch.no_grad():
        student.encoder.model.get_input_embeddings().weight[token] = torch.nan
    assert np.isfinite(student.encode_documents(["red"])).all()
    with pytest.raises(ModelError, match="no numbers") as raised:
        student.encode_documents(["red", "red tree", "map"])
    assert "1 of 3 texts" in str(raised.value)


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, bistill; print('torch' in sys.modules, callable(bistill.load))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True"]


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sore'"):
        _ = bistill.sore
