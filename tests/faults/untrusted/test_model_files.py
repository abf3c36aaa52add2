"""A pickle bomb in any file of a model never runs: the file is refused by name, or not read."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bistill.app import cli
from bistill.errors import BistillError, ModelError
from bistill.models import rerankers
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.files import loading
from tests.faults.commands import ROOT
from tests.faults.untrusted.bombs import BOMBED, PICKLED, TEXTS, bomb

# Files of a student's folder that are read where they are there.
READ = """
    model.safetensors config.json tokenizer.json tokenizer_config.json modules.json bistill.json 1_Pooling/config.json
    sentence_bert_config.json config_sentence_transformers.json special_tokens_map.json added_tokens.json
    chat_template.jinja adapter_config.json
""".split()  # noqa: SIM905
STRANGE_CLASSES = [
    "evil_package.Transformer",
    "os.system",
    "modeling_own.Pooling",
    "Transformer",
    "",
    "sentence_transformers_evil.models.Transformer",
    "evil.sentence_transformers.models.Normalize",
]


@pytest.fixture
def student(tiny_encoder: Path, tmp_path: Path) -> Path:
    BiEncoder.load(str(tiny_encoder)).save(tmp_path / "student", None)
    return tmp_path / "student"


@pytest.fixture
def teacher(tiny_teacher: Path, tmp_path: Path) -> Path:
    CrossEncoder.load(str(tiny_teacher)).save(tmp_path / "teacher", None)
    return tmp_path / "teacher"


@pytest.mark.parametrize("kind", BOMBED)
def test_the_bomb_goes_off_where_files_are_trusted(kind: str, tmp_path: Path) -> None:
    content = io.BytesIO(bomb(tmp_path / "ran", kind))
    if kind == "pickle":
        pickle.load(content)
    else:
        torch.load(content, weights_only=False)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", BOMBED)
def test_best_model_pt_is_read_where_it_is_named(kind: str, teacher: Path, marker: Path) -> None:
    file = teacher / "best_model.pt"
    for load in (CrossEncoder.load, rerankers.identity, loading.resolve):
        load(str(file))
    file.write_bytes(bomb(marker, kind))
    for load in (CrossEncoder.load, rerankers.load, rerankers.identity, BiEncoder.load, loading.portable):
        with pytest.raises(ModelError, match=PICKLED) as error:
            load(str(file))
        assert error.value.where == str(file)
    CrossEncoder.load(str(teacher))  # of a folder it is never read


def test_code_in_weights_is_named(teacher: Path, marker: Path) -> None:
    (teacher / "best_model.pt").write_bytes(bomb(marker))
    with pytest.raises(ModelError, match=f"the file is damaged or holds {PICKLED}\n  found: 'posix.mkdir'"):
        loading.resolve(str(teacher / "best_model.pt"))


def test_a_best_model_pt_in_the_old_form_and_a_missing_or_torn_one(teacher: Path) -> None:
    file = teacher / "best_model.pt"
    torch.save({"weight": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
    assert loading.resolve(str(file)) == str(teacher)
    whole = file.read_bytes()
    for torn in (b"", b"no weights", whole[: len(whole) // 2]):
        file.write_bytes(torn)
        with pytest.raises(ModelError, match=PICKLED):
            loading.resolve(str(file))
    file.unlink()
    with pytest.raises(ModelError, match=r"best_model.pt: no such file"):
        loading.resolve(str(file))


@pytest.mark.parametrize("kind", BOMBED)
@pytest.mark.parametrize("load", [BiEncoder.load, CrossEncoder.load])
def test_a_bomb_as_the_only_weights(
    kind: str, load: Callable[[str], object], tiny_teacher: Path, tmp_path: Path, marker: Path
) -> None:
    folder = shutil.copytree(tiny_teacher, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(bomb(marker, kind))
    with pytest.raises(ModelError, match=PICKLED) as error:
        load(str(folder))
    assert error.value.where == str(folder / "pytorch_model.bin")


def test_plain_weights_of_pytorch_load(tiny_teacher: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = shutil.copytree(tiny_teacher, tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    found, expected = (CrossEncoder.load(str(path)).model.state_dict() for path in (folder, tiny_teacher))
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("kind", BOMBED)
def test_a_bomb_in_place_of_any_file_of_a_student(kind: str, name: str, student: Path, marker: Path) -> None:
    (student / name).write_bytes(bomb(marker, kind))
    with pytest.raises(BistillError) as error:
        BiEncoder.load(str(student))
    assert str(student) in error.value.where


@pytest.mark.parametrize(
    "name",
    ["optimizer.pt", "training_args.bin", "scheduler.pt", "rng_state.pth", "vocab.txt", "adapter/adapter_model.bin"],
)
def test_files_that_are_never_read(name: str, student: Path, teacher: Path, marker: Path) -> None:
    for folder, load in ((student, BiEncoder.load), (teacher, CrossEncoder.load)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(bomb(marker))
        load(str(folder))


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("load", [BiEncoder.load, CrossEncoder.load, rerankers.load, rerankers.identity])
def test_adapters_are_not_loaded(
    load: Callable[[str], object], beside: bool, tiny_teacher: Path, tmp_path: Path, marker: Path
) -> None:
    folder = tmp_path / "adapter"
    if beside:
        shutil.copytree(tiny_teacher, folder)
    folder.mkdir(exist_ok=True)
    config = {"peft_type": "LORA", "base_model_name_or_path": str(tiny_teacher), "r": 2, "target_modules": ["query"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.bin").write_bytes(bomb(marker))
    (folder / "pytorch_model.bin").write_bytes(bomb(marker))  # so that the folder has weights, as identity demands
    with pytest.raises(ModelError, match="adapters of another model are not loaded") as error:
        load(str(folder))
    assert error.value.where == str(folder / "adapter_config.json")


@pytest.mark.parametrize("kind", STRANGE_CLASSES)
def test_a_module_of_another_package_is_refused_by_name(kind: str, student: Path, marker: Path) -> None:
    modules = json.loads((student / "modules.json").read_text())
    modules[0]["type"] = kind
    (student / "modules.json").write_text(json.dumps(modules))
    (student / "modeling_own.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    with pytest.raises(ModelError, match="class is not of sentence-transformers") as error:
        BiEncoder.load(str(student))
    assert error.value.found == kind
    assert error.value.where == str(student / "modules.json")


@pytest.mark.slow
def test_module_names_of_every_release_are_known(student: Path) -> None:
    from sentence_transformers import SentenceTransformer

    expected = BiEncoder.load(str(student)).encode_queries(TEXTS)
    SentenceTransformer(str(student)).save(str(student.parent / "newer"))
    kinds = [module["type"] for module in json.loads((student.parent / "newer" / "modules.json").read_text())]
    assert "sentence_transformers.base.modules.transformer.Transformer" in kinds
    np.testing.assert_allclose(BiEncoder.load(str(student.parent / "newer")).encode_queries(TEXTS), expected, atol=1e-6)


@pytest.mark.slow
def test_a_bomb_ends_a_command_with_its_name_and_no_traceback(
    tiny_encoder: Path, tmp_path: Path, marker: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(bomb(marker))
    rows = [["query", "passage", "label"], ["how to read", "read a file", "1"], ["how to sort", "sort a list", "1"]]
    line = ["--model_path", str(folder), "--test_data", str(write_csv(tmp_path / "test.csv", rows))]
    command = [sys.executable, str(ROOT / "evaluate_final_model.py"), *line]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == cli.EXIT_USER_ERROR
    assert f"error: {folder}/pytorch_model.bin: the file is damaged or holds {PICKLED}" in result.stderr
    assert "Traceback" not in result.stderr
