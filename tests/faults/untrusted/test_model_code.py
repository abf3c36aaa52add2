"""Code that a model brings along runs only where it is wished."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.app import cli
from bistill.app.config import ScoringOptions
from bistill.errors import ModelError
from bistill.models import rerankers
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.files import loading
from tests.faults.untrusted.bombs import TEXTS

OWN_CODE = """
import os
from transformers import BertConfig, BertForSequenceClassification, BertModel

os.mkdir({marker!r})

class OwnConfig(BertConfig):
    model_type = "own-bert"

class OwnModel(BertModel):
    config_class = OwnConfig

class OwnClassifier(BertForSequenceClassification):
    config_class = OwnConfig
"""


def with_own_code(source: Path, folder: Path, marker: Path, model_type: str = "own-bert") -> Path:
    shutil.copytree(source, folder)
    (folder / "own_modeling.py").write_text(OWN_CODE.format(marker=str(marker)))
    config = json.loads((folder / "config.json").read_text())
    names = {"AutoConfig": "Config", "AutoModel": "Model", "AutoModelForSequenceClassification": "Classifier"}
    config["auto_map"] = {auto: f"own_modeling.Own{name}" for auto, name in names.items()}
    config["model_type"] = model_type
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("model_type", ["own-bert", "bert"])  # of the second transformers has a class of its own
@pytest.mark.parametrize("load", [BiEncoder.load, CrossEncoder.load, rerankers.load, rerankers.identity])
def test_code_of_a_model_is_not_run(
    load: Callable[[str], object], model_type: str, tiny_teacher: Path, tmp_path: Path, marker: Path
) -> None:
    folder = with_own_code(tiny_teacher, tmp_path / "model", marker, model_type)
    with pytest.raises(ModelError, match="never run unless `trust_remote_code` is given") as error:
        load(str(folder))
    assert error.value.where == str(folder / "config.json")


@pytest.mark.parametrize(
    ("file", "entry"),
    [
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["own.Slow", "own.Fast"]}}),
        ("config.json", {"text_config": {"auto_map": {"AutoModel": "own.Model"}}}),
        ("config.json", {"attn_implementation": "stranger/kernel"}),
        ("config.json", {"_attn_implementation": {"text_config": "stranger/kernel"}}),
    ],
)
def test_code_that_other_entries_name_is_not_run(
    file: str, entry: dict[str, Any], tiny_teacher: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_teacher, tmp_path / "model")
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | entry))
    for load in (BiEncoder.load, CrossEncoder.load):
        with pytest.raises(ModelError, match="the model brings code along") as error:
            load(str(folder))
        assert error.value.where == str(folder / file)


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers copies code that it runs into a folder of its own: not into the user's."""
    modules = tmp_path / "modules"
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(modules))
    monkeypatch.syspath_prepend(str(modules))
    modules.mkdir()
    (modules / "__init__.py").touch()
    for name in [name for name in sys.modules if name.split(".")[0] == "transformers_modules"]:
        monkeypatch.delitem(sys.modules, name)


def test_trusted_code_of_a_student_runs(tiny_encoder: Path, tmp_path: Path, own_modules: None) -> None:
    folder = with_own_code(tiny_encoder, tmp_path / "model", tmp_path / "ran")
    encoder = BiEncoder.load(str(folder), trust_remote_code=True)
    assert (tmp_path / "ran").exists()
    assert type(encoder.model).__name__ == "OwnModel"
    expected = BiEncoder.load(str(tiny_encoder)).encode_queries(TEXTS)
    np.testing.assert_allclose(encoder.encode_queries(TEXTS), expected, atol=1e-6)


def test_trusted_code_of_a_teacher_runs(tiny_teacher: Path, tmp_path: Path, own_modules: None) -> None:
    folder = with_own_code(tiny_teacher, tmp_path / "model", tmp_path / "ran")
    pairs = [("how to", text) for text in TEXTS]
    identity = rerankers.identity(str(folder), trust_remote_code=True)
    assert identity["kind"] == "sequence_classification"
    found = rerankers.load(str(folder), trust_remote_code=True).score(pairs)
    np.testing.assert_allclose(found, CrossEncoder.load(str(tiny_teacher)).score(pairs), atol=1e-6)
    (folder / "own_modeling.py").write_text("# another\n")
    assert loading.model_fingerprint(str(folder)) != identity["fingerprint"]


def test_the_option_is_off_and_reaches_every_command_that_loads_models() -> None:
    lines = {
        "teacher": "",
        "distill": "--teacher_path t --output_dir s",
        "candidates": "--teacher_path t",
        "evaluate": "--model_path s --test_data t.csv",
        "search": "--model_path s --documents d.csv --query q",
    }
    for command, line in lines.items():
        assert cli.parse(command, line.split(), "x").trust_remote_code is False
        assert cli.parse(command, [*line.split(), "--trust_remote_code"], "x").trust_remote_code is True
    options = cli.parse("pipeline", ["--teacher.trust_remote_code"], "x")
    assert (options.teacher.trust_remote_code, options.distillation.trust_remote_code) == (True, False)
    assert ScoringOptions().trust_remote_code is False
