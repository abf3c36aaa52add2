"""Equal scores by every way a teacher can be loaded, LoRA head included (sentence-transformers #3980)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder as Reference

from bistill.models import lora
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.settings import Lora

PAIRS = [
    ("how to read a file", "open the file and read it"),
    ("서울 날씨", "부산 음식 역사 과학"),
    ("sort", "list set map tree graph query key value fast slow " * 5),
    ("json", ""),
]


def test_scores_equal_sentence_transformers(tiny_teacher: Path) -> None:
    reference = Reference(str(tiny_teacher), device="cpu").predict(PAIRS, activation_fn=torch.nn.Identity())
    np.testing.assert_allclose(CrossEncoder.load(str(tiny_teacher)).score(PAIRS), reference, atol=1e-6)


def test_scores_do_not_depend_on_order_or_batch(tiny_teacher: Path) -> None:
    encoder = CrossEncoder.load(str(tiny_teacher))
    scores = encoder.score(PAIRS, batch_size=1)
    np.testing.assert_allclose(encoder.score(PAIRS[::-1], batch_size=3)[::-1], scores, atol=1e-6)


def test_a_new_head_is_a_function_of_the_seed(tiny_encoder: Path) -> None:
    def head(seed: int) -> torch.Tensor:
        encoder = CrossEncoder.start(str(tiny_encoder), max_len=None, precision="fp32", seed=seed)
        assert encoder.new_keys == ["classifier.bias", "classifier.weight"]
        return encoder.model.classifier.weight.detach()

    torch.testing.assert_close(head(1), head(1))
    assert not torch.equal(head(1), head(2))


def test_the_head_computes_in_float32_under_bf16(tiny_teacher: Path) -> None:
    encoder = CrossEncoder.load(str(tiny_teacher), precision="bf16")
    scores = torch.tensor(encoder.score(PAIRS))
    assert (scores != scores.bfloat16().float()).all()  # no score is rounded to bf16
    np.testing.assert_allclose(scores, CrossEncoder.load(str(tiny_teacher), precision="fp32").score(PAIRS), atol=0.02)
    assert not torch.is_autocast_enabled("cpu")


def trained(folder: Path, *, use_lora: bool) -> CrossEncoder:
    """A teacher after some real updates."""
    options = Lora(rank=4, alpha=8, dropout=0.0) if use_lora else None
    encoder = CrossEncoder.start(str(folder), max_len=48, precision="fp32", seed=0)
    if use_lora:
        encoder.model = lora.apply(encoder.model, options, new_keys=encoder.new_keys, seed=0)
    trainable = [parameter for parameter in encoder.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-2)
    for _ in range(5):
        (encoder.logits(PAIRS) - torch.tensor([2.0, -2.0, 1.0, 0.0])).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return encoder


@pytest.mark.slow
@pytest.mark.parametrize("use_lora", [True, False])
def test_saved_teacher_gives_the_same_scores_in_a_new_process(
    tiny_encoder: Path, tmp_path: Path, use_lora: bool
) -> None:
    encoder = trained(tiny_encoder, use_lora=use_lora)
    expected = encoder.score(PAIRS)
    encoder.save(tmp_path, Lora(rank=4, alpha=8, dropout=0.0) if use_lora else None)
    np.testing.assert_array_equal(encoder.score(PAIRS), expected)  # saving leaves the model in training as it was
    code = """
import json, sys, torch
from sentence_transformers import CrossEncoder as Reference
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from bistill.models.cross_encoder import CrossEncoder
folder, pairs = sys.argv[1], [tuple(pair) for pair in json.loads(sys.argv[2])]
reference = Reference(folder, device="cpu")
assert isinstance(reference.activation_fn, torch.nn.Sigmoid)
plain = AutoModelForSequenceClassification.from_pretrained(folder).eval()
assert plain.config.id2label == {0: "relevance"} and plain.config.num_labels == 1
batch = AutoTokenizer.from_pretrained(folder)(pairs, truncation=True, padding=True, return_tensors="pt")
with torch.no_grad(): automatic = plain(**batch).logits[:, 0]
weights = torch.load(folder + "/best_model.pt", weights_only=True)
plain.load_state_dict(weights)
with torch.no_grad(): from_pt = plain(**batch).logits[:, 0]
print(json.dumps({
    "sentence_transformers": torch.logit(torch.tensor(reference.predict(pairs)).double()).tolist(),
    "transformers": automatic.tolist(),
    "best_model.pt": from_pt.tolist(),
    "bistill": CrossEncoder.load(folder).score(pairs).tolist(),
    "bistill by file": CrossEncoder.load(folder + "/best_model.pt").score(pairs).tolist(),
}))
"""
    command = [sys.executable, "-c", code, str(tmp_path), json.dumps(PAIRS)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for way, scores in json.loads(result.stdout.splitlines()[-1]).items():
        np.testing.assert_allclose(scores, expected, atol=1e-6, err_msg=way)


@pytest.mark.parametrize("use_lora", [True, False])
def test_a_random_head_and_its_pooler_are_named(tiny_encoder: Path, tiny_teacher: Path, use_lora: bool) -> None:
    encoder = CrossEncoder.start(str(tiny_encoder), max_len=None, precision="fp32", seed=0)
    if use_lora:
        encoder.model = lora.apply(encoder.model, Lora(), new_keys=encoder.new_keys, seed=0)
    trainable = {name for name, parameter in encoder.model.named_parameters() if parameter.requires_grad}
    head = encoder.new_head() & trainable
    assert {name.split(".")[-1] for name in head} == {"weight", "bias"}
    assert len(head) == 4  # weight and bias of classifier and pooler
    assert all("classifier" in name or "pooler" in name for name in head)
    assert CrossEncoder.load(str(tiny_teacher)).new_head() == frozenset()


def test_lora_trains_adapters_and_the_head_and_nothing_else(tiny_encoder: Path) -> None:
    encoder = CrossEncoder.start(str(tiny_encoder), max_len=None, precision="fp32", seed=0)
    before = encoder.model.classifier.weight.detach().clone()
    model = lora.apply(encoder.model, Lora(), new_keys=encoder.new_keys, seed=0)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    whole = [name for name in names if "lora_" not in name]
    assert {name.split(".modules_to_save")[0].split(".")[-1] for name in whole} == {"classifier", "pooler"}
    assert not torch.equal(lora.merged(trained(tiny_encoder, use_lora=True).model).classifier.weight, before)


def test_lora_config_is_written_and_read(tmp_path: Path) -> None:
    lora.write_config(tmp_path, Lora(rank=32, alpha=64), "base")
    assert lora.read_config(tmp_path) == {
        "use_lora": True,
        "lora_r": 32,
        "lora_alpha": 64,
        "lora_dropout": 0.1,
        "base_model": "base",
    }
    assert lora.read_config(tmp_path / "elsewhere") == {}
