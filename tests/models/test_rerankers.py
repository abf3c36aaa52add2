"""Re-rankers trained elsewhere score as in transformers, and their identity is known before they are loaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bistill.errors import ModelError, OptionError
from bistill.models import rerankers
from bistill.models.causal_reranker import CausalReranker
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.files import loading
from tests.conftest import WORDS, qwen3_config, write_causal_tokenizer

PAIRS = [
    ("how to read a file", "open the file and read it"),
    ("서울 날씨", "부산 음식 역사 과학"),
    ("sort", "list set map tree graph query key value fast slow " * 5),
    ("json", ""),
]


@pytest.fixture(scope="module")
def xlm_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The form of bge-reranker-v2-m3: padding index 1, positions counted behind it, no token types."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForSequenceClassification

    folder = tmp_path_factory.mktemp("xlm-roberta")
    vocabulary = {word: number for number, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=8192,
        model_input_names=["input_ids", "attention_mask"],
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    ).save_pretrained(folder)
    torch.manual_seed(3)
    config = XLMRobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=42,
        type_vocab_size=1,
        initializer_range=0.3,
        num_labels=1,
    )
    XLMRobertaForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def qwen3_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder with a head on its last token, which it finds by the padding token's id."""
    from transformers import Qwen3ForSequenceClassification

    folder = tmp_path_factory.mktemp("qwen3-classifier")
    torch.manual_seed(4)
    size = write_causal_tokenizer(folder)
    Qwen3ForSequenceClassification(qwen3_config(vocab_size=size, num_labels=1)).save_pretrained(folder)
    return folder


@pytest.fixture(params=["tiny_teacher", "xlm_roberta", "qwen3_classifier", "tiny_causal_reranker"])
def any_reranker(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def one_by_one(folder: Path, max_len: int) -> list[float]:
    """Logits of transformers' own forward, each pair alone and hence without padding."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return [
            model(**tokenizer([pair], truncation=True, max_length=max_len, return_tensors="pt")).logits.item()
            for pair in PAIRS
        ]


def facts(reranker: rerankers.Reranker) -> dict[str, Any]:
    """What ``identity`` promises, read from the loaded model."""
    return {
        "fingerprint": loading.model_fingerprint(reranker.source),
        "kind": "causal" if isinstance(reranker, CausalReranker) else "sequence_classification",
        "max_len": reranker.max_len,
        "prompt": reranker.prompt,
        "precision": reranker.precision,
    }


@pytest.mark.parametrize("fixture", ["xlm_roberta", "qwen3_classifier"])
def test_classifiers_score_as_transformers_one_by_one(fixture: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(fixture)
    reranker = rerankers.load(str(folder))
    assert isinstance(reranker, CrossEncoder)
    expected = one_by_one(folder, reranker.max_len)
    assert len({round(score, 2) for score in expected}) == len(PAIRS)  # different by far more than the tolerance
    np.testing.assert_allclose(reranker.score(PAIRS), expected, atol=1e-5)


def test_positions_lost_to_the_padding_offset_are_not_used(xlm_roberta: Path) -> None:
    reranker = rerankers.load(str(xlm_roberta))
    assert reranker.max_len == 40
    np.testing.assert_allclose(reranker.score([("sort", "list " * 100)]), reranker.score([("sort", "list " * 35)]))


def test_a_language_model_is_asked_for_yes(tiny_causal_reranker: Path) -> None:
    reranker = rerankers.load(str(tiny_causal_reranker), max_len=500, instruction="Find code")
    expected = CausalReranker.load(str(tiny_causal_reranker), max_len=500, instruction="Find code")
    np.testing.assert_array_equal(reranker.score(PAIRS), expected.score(PAIRS))
    assert "<Instruct>: Find code\n" in reranker.prompt


@pytest.mark.parametrize("max_len", [None, 400, 10**6])
def test_identity_is_that_of_the_loaded_model(any_reranker: Path, max_len: int | None) -> None:
    identity = rerankers.identity(str(any_reranker), max_len=max_len)
    assert identity == facts(rerankers.load(str(any_reranker), max_len=max_len))
    assert identity["precision"] == ("bf16" if torch.cuda.is_available() else "fp32")


def test_identity_follows_all_that_decides_the_scores(tiny_causal_reranker: Path, tmp_path: Path) -> None:
    name = str(tiny_causal_reranker)
    base = rerankers.identity(name)
    changes: tuple[tuple[str, dict[str, Any]], ...] = (
        ("prompt", {"instruction": "x"}),
        ("max_len", {"max_len": 400}),
        ("precision", {"precision": "bf16" if base["precision"] == "fp32" else "fp32"}),
    )
    for changed, settings in changes:
        other = rerankers.identity(name, **settings)
        assert {fact for fact in base if base[fact] != other[fact]} == {changed}
        assert other == facts(rerankers.load(name, **settings))
    folder = shutil.copytree(tiny_causal_reranker, tmp_path / "model")
    assert rerankers.identity(str(folder)) == base
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    assert rerankers.identity(str(folder))["fingerprint"] != base["fingerprint"]


def test_identity_builds_no_model(any_reranker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    for name in ("AutoModelForCausalLM", "AutoModelForSequenceClassification"):
        monkeypatch.delattr(transformers, name)
    assert len(rerankers.identity(str(any_reranker))["fingerprint"]) == 64


@pytest.mark.parametrize("function", [rerankers.load, rerankers.identity])
def test_an_instruction_for_a_classifier_is_refused(tiny_teacher: Path, function: Any) -> None:
    with pytest.raises(OptionError, match=r"`TeacherReading.instruction`: .* reads query and document alone"):
        function(str(tiny_teacher), instruction="Find code")


def test_what_is_no_reranker_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no trained Cross-Encoder: its head is missing"):
        rerankers.load(str(tiny_encoder))
    for function in (rerankers.load, rerankers.identity):
        with pytest.raises(ModelError, match="does not hold a loadable model"):
            function(str(tmp_path))
        with pytest.raises(ModelError, match="neither on this machine nor could it be fetched"):
            function("nobody/no-such-model")


def test_code_in_a_model_folder_is_not_run(tmp_path: Path, tiny_causal_reranker: Path) -> None:
    folder = shutil.copytree(tiny_causal_reranker, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "custom", "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    for function in (rerankers.load, rerankers.identity):
        with pytest.raises(ModelError):
            function(str(folder))
    assert not (tmp_path / "ran").exists()


def into_hub_cache(cache: Path, model: Path, revision: str) -> Path:
    """Lay a model folder into a hub cache as ``org/name``, its newest revision."""
    repository = cache / "models--org--name"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text(revision)
    return Path(shutil.copytree(model, repository / "snapshots" / revision))


@pytest.mark.slow
def test_a_hub_model_is_its_files(tiny_teacher: Path, tiny_causal_reranker: Path, tmp_path: Path) -> None:
    into_hub_cache(tmp_path / "hub", tiny_teacher, "a" * 40)
    into_hub_cache(tmp_path / "hub", tiny_causal_reranker, "b" * 40)  # the newer revision, of another model
    code = """
import json
from bistill.models import rerankers
from bistill.models.files import loading
reranker = rerankers.load("org/name", max_len=500)
print(json.dumps({
    "folder": loading.local_folder("org/name"), "identity": rerankers.identity("org/name", max_len=500),
    "source": reranker.source, "scores": reranker.score([("a", "b")]).tolist(),
}))
"""
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, cwd=Path.cwd()
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["folder"] == str((tmp_path / "hub/models--org--name/snapshots" / ("b" * 40)).resolve())
    assert found["identity"] == rerankers.identity(str(tiny_causal_reranker), max_len=500)
    assert found["source"] == found["folder"]
    expected = rerankers.load(str(tiny_causal_reranker), max_len=500).score([("a", "b")])
    np.testing.assert_allclose(found["scores"], expected, atol=1e-6)


def test_the_folder_of_a_hub_model_follows_its_revision(
    tiny_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="neither on this machine nor could it be fetched"):
        loading.local_folder("org/name")
    first = into_hub_cache(tmp_path, tiny_teacher, "a" * 40)
    assert loading.local_folder("org/name") == str(first.resolve())
    assert loading.local_folder(str(tiny_teacher)) == str(tiny_teacher)
    assert loading.model_fingerprint("org/name") == loading.model_fingerprint(str(tiny_teacher))
    second = into_hub_cache(tmp_path, tiny_teacher, "b" * 40)
    (second / "model.safetensors").rename(second / "pytorch_model.bin")  # older models have no safetensors
    assert loading.local_folder("org/name") == str(second.resolve())
    assert loading.model_fingerprint("org/name") == loading.model_fingerprint(str(second))
    assert loading.model_fingerprint("org/name") != loading.model_fingerprint(str(first))
    (second / "pytorch_model.bin").unlink()  # as after a download that broke off
    for function in (loading.local_folder, loading.model_fingerprint):
        with pytest.raises(ModelError, match="org/name: the model is neither on this machine nor"):
            function("org/name")


def test_a_length_beyond_what_a_re_ranker_reads_is_said_and_one_beyond_its_tokenizers_is_read(
    xlm_roberta: Path, tiny_teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rerankers.load(str(xlm_roberta), max_len=512).max_len == 40
    assert "the model has 40 positions, so 40 tokens are read, not 512" in capsys.readouterr().err
    folder = Path(shutil.copytree(tiny_teacher, tmp_path / "teacher"))
    tokenizer = loading.load_tokenizer(str(folder))
    tokenizer.model_max_length = 32
    tokenizer.save_pretrained(folder)
    reranker = rerankers.load(str(folder), max_len=60)
    assert reranker.max_len == 60 == rerankers.identity(str(folder), max_len=60)["max_len"]
    assert "60 tokens are read, more than the 32 that the model's files name" in capsys.readouterr().err
    np.testing.assert_allclose(
        reranker.score(PAIRS), rerankers.load(str(tiny_teacher), max_len=60).score(PAIRS), atol=1e-6
    )
