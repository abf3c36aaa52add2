"""Files from strangers: a pickle bomb in any of them never runs, and code of a model runs only where it is wished."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bistill import artifacts, cli
from bistill.candidates.mining.lexical import LexicalMiner
from bistill.candidates.mining.miners import kept
from bistill.config import LoraOptions, ScoringOptions
from bistill.data import cache
from bistill.data.store import load_documents
from bistill.encoders import loading, rerankers
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.encoders.vectors import cached_vectors, vectors_key
from bistill.errors import ArtifactError, BistillError, ModelError

ROOT = Path(__file__).parents[2]
TEXTS = ["how to read a file", "서울 날씨", "sort a list"]
PICKLED = "pickled code, which is never run"
BOMBED = [
    "pickle",  # bare, as for files that are no weights
    "weights",  # as torch writes it
    "old weights",  # as torch wrote it before 1.6
]


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


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.marker),))


@pytest.fixture
def marker(tmp_path: Path) -> Any:
    """What a bomb would make; checked after every test that asks for it."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists()


def bomb(marker: Path, kind: str = "weights") -> bytes:
    if kind == "pickle":
        return pickle.dumps(Bomb(marker))
    file = io.BytesIO()
    torch.save({"weight": torch.ones(2), "bomb": Bomb(marker)}, file, _use_new_zipfile_serialization=kind == "weights")
    return file.getvalue()


@pytest.mark.parametrize("kind", BOMBED)
def test_the_bomb_goes_off_where_files_are_trusted(kind: str, tmp_path: Path) -> None:
    content = io.BytesIO(bomb(tmp_path / "ran", kind))
    if kind == "pickle":
        pickle.load(content)
    else:
        torch.load(content, weights_only=False)
    assert (tmp_path / "ran").exists()


@pytest.fixture
def student(tiny_encoder: Path, tmp_path: Path) -> Path:
    BiEncoder.load(str(tiny_encoder)).save(tmp_path / "student", LoraOptions())
    return tmp_path / "student"


@pytest.fixture
def teacher(tiny_teacher: Path, tmp_path: Path) -> Path:
    CrossEncoder.load(str(tiny_teacher)).save(tmp_path / "teacher", LoraOptions())
    return tmp_path / "teacher"


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


def test_module_names_of_every_release_are_known(student: Path) -> None:
    from sentence_transformers import SentenceTransformer

    expected = BiEncoder.load(str(student)).encode_queries(TEXTS)
    SentenceTransformer(str(student)).save(str(student.parent / "newer"))
    kinds = [module["type"] for module in json.loads((student.parent / "newer" / "modules.json").read_text())]
    assert "sentence_transformers.base.modules.transformer.Transformer" in kinds
    np.testing.assert_allclose(BiEncoder.load(str(student.parent / "newer")).encode_queries(TEXTS), expected, atol=1e-6)


def encoder_and_cache(tiny_encoder: Path) -> tuple[BiEncoder, Path]:
    encoder = BiEncoder.load(str(tiny_encoder))
    return encoder, artifacts.cache_dir() / "index" / vectors_key(encoder, TEXTS)


def bombed_array(marker: Path) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("array", [True, False])
def test_cached_vectors_with_a_bomb_are_made_again(
    array: bool, tiny_encoder: Path, marker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, folder = encoder_and_cache(tiny_encoder)
    expected = np.array(cached_vectors(encoder, TEXTS))
    (folder / "vectors.npy").write_bytes(bombed_array(marker) if array else bomb(marker, "pickle"))
    manifest = artifacts.read_json(folder / "manifest.json")
    manifest["sha256"] = artifacts.sha256_of_file(folder / "vectors.npy")  # whoever lays a bomb can write this, too
    artifacts.write_json(folder / "manifest.json", manifest)
    np.testing.assert_array_equal(cached_vectors(encoder, TEXTS), expected)
    assert f"{folder}: the cached index is no array of numbers" in capsys.readouterr().err


@pytest.mark.parametrize("array", [True, False])
def test_cached_answers_of_a_miner_with_a_bomb_are_refused(array: bool, marker: Path) -> None:
    miner = LexicalMiner(TEXTS, TEXTS, tokens="words")
    data: Any = SimpleNamespace(fingerprint="data")

    class Corpus(list[str]):
        def fingerprint(self) -> str:
            return "corpus"

    corpus: Any = Corpus(TEXTS)
    expected = np.array(kept(miner, data, corpus, np.arange(3), 2))
    (file,) = artifacts.cache_dir().rglob("mined.npy")
    file.write_bytes(bombed_array(marker) if array else bomb(marker, "pickle"))
    np.testing.assert_array_equal(kept(miner, data, corpus, np.arange(3), 2), expected)  # by its checksum
    file.write_bytes(bombed_array(marker) if array else bomb(marker, "pickle"))
    manifest = artifacts.read_json(file.parent / "manifest.json")
    manifest["files"][file.name] = {"bytes": file.stat().st_size, "sha256": artifacts.sha256_of_file(file)}
    artifacts.write_json(file.parent / "manifest.json", manifest)
    assert cache.entry_folder(manifest["key"]) == file.parent
    with pytest.raises(ArtifactError, match="the file is no array of numbers") as error:
        kept(miner, data, corpus, np.arange(3), 2)
    assert error.value.where == str(file)


@pytest.mark.parametrize("kind", BOMBED)
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_a_bomb_as_data(ending: str, kind: str, tmp_path: Path, marker: Path) -> None:
    file = tmp_path / f"documents.{ending}"
    file.write_bytes(bomb(marker, kind))
    with pytest.raises(BistillError, match=r"documents\."):
        load_documents(str(file))


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
    with pytest.raises(ModelError, match="never run unless --trust_remote_code is given") as error:
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
