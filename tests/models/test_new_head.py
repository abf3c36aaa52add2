"""What the last layer of a new head reads, family by family, and what it is fitted to."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sklearn.linear_model import LogisticRegression
from torch import nn

from bistill.models import lora, new_head
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.settings import Lora
from tests.conftest import WORDS, write_tokenizer

PAIRS = [
    ("how to read a file", "open the file and read it"),
    ("서울 날씨", "부산 음식 역사 과학"),
    ("sort", "list set map tree graph query key value fast slow " * 5),
    ("json", ""),
]
SIZES = {"vocab_size": 5 + len(WORDS) + 36, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 64, "pad_token_id": 0, "max_position_embeddings": 80}  # fmt: skip
DISTIL = {"vocab_size": SIZES["vocab_size"], "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
# A bare encoder of each way in which a head ends.
FAMILIES: dict[str, Callable[[], Any]] = {
    "bert": lambda: transformers.BertModel(transformers.BertConfig(**SIZES)),
    "roberta": lambda: transformers.RobertaModel(transformers.RobertaConfig(**SIZES)),
    "xlm-roberta": lambda: transformers.XLMRobertaModel(transformers.XLMRobertaConfig(**SIZES)),
    "electra": lambda: transformers.ElectraModel(transformers.ElectraConfig(**SIZES, embedding_size=32)),
    "deberta": lambda: transformers.DebertaV2Model(transformers.DebertaV2Config(**SIZES)),
    "distilbert": lambda: transformers.DistilBertModel(transformers.DistilBertConfig(**DISTIL)),
    "mpnet": lambda: transformers.MPNetModel(transformers.MPNetConfig(**SIZES)),
    "modernbert": lambda: transformers.ModernBertModel(
        transformers.ModernBertConfig(**SIZES, cls_token_id=2, sep_token_id=3, bos_token_id=2, eos_token_id=3)
    ),
    "qwen3": lambda: transformers.Qwen3Model(
        transformers.Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=8, bos_token_id=2, eos_token_id=3)
    ),
}


@pytest.fixture(params=FAMILIES)
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    torch.manual_seed(3)
    FAMILIES[request.param]().save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    if request.param in ("distilbert", "modernbert", "qwen3"):  # they know no kinds of tokens
        settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
        settings["model_input_names"] = ["input_ids", "attention_mask"]
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    return tmp_path


def started(folder: Path, *, use_lora: bool = False, precision: Any = "fp32") -> tuple[CrossEncoder, nn.Linear]:
    encoder = CrossEncoder.start(str(folder), max_len=48, precision=precision, seed=0)
    if use_lora:
        encoder.model = lora.apply(encoder.model, Lora(rank=2), new_keys=encoder.new_keys, seed=0)
    layer = new_head.last_layer(encoder)
    assert layer is not None
    return encoder, layer


def without_dropout(encoder: CrossEncoder) -> None:
    for module in encoder.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


@pytest.mark.parametrize("use_lora", [False, True])
def test_the_layer_makes_the_logits_of_what_it_reads(bare: Path, use_lora: bool) -> None:
    encoder, layer = started(bare, use_lora=use_lora)
    without_dropout(encoder)
    encoder.model.eval()
    inputs = torch.from_numpy(new_head.inputs_of(encoder, layer, PAIRS, seed=1))
    assert not encoder.model.training
    with torch.no_grad():
        np.testing.assert_allclose(layer(inputs)[:, 0], encoder.score(PAIRS), atol=1e-6)
    alone = [new_head.inputs_of(encoder, layer, [pair], seed=1)[0] for pair in PAIRS]
    np.testing.assert_allclose(inputs, alone, atol=1e-5)  # whatever stands beside it


def test_pairs_are_read_with_the_dropout_of_seed_and_place(tiny_encoder: Path) -> None:
    encoder, layer = started(tiny_encoder)
    encoder.model.train()
    first, again = (new_head.inputs_of(encoder, layer, PAIRS, seed=1) for _ in range(2))
    assert encoder.model.training
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(new_head.inputs_of(encoder, layer, PAIRS[:2], seed=1), first[:2], atol=1e-5)
    other = new_head.inputs_of(encoder, layer, PAIRS, seed=2)
    assert np.abs(first - other).max() > 0.01
    zeros = (first == 0).mean()  # of the dropout right in front of the layer, whose probability is 0.1
    assert 0.02 < zeros < 0.25


@pytest.mark.parametrize("use_lora", [False, True])
def test_what_enters_the_activation_is_spread_evenly(bare: Path, use_lora: bool) -> None:
    encoder, layer = started(bare, use_lora=use_lora)
    without_dropout(encoder)
    seen: dict[str, list[torch.Tensor]] = defaultdict(list)
    for name, module in encoder.model.named_modules():
        if isinstance(module, nn.Linear) and f"{name}.weight" in encoder.new_head():
            module.register_forward_hook(lambda _m, _i, output, name=name: seen[name].append(output))
    before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    new_head.settle(encoder, layer, PAIRS, seed=1)
    changed = {name for name, value in encoder.model.state_dict().items() if not torch.equal(value, before[name])}
    seen.clear()
    encoder.score(PAIRS)
    (below,) = {name.rpartition(".")[0] for name in changed} or {""}
    if not below:  # the logit is made of the last token's vector itself
        assert encoder.model.config.model_type == "qwen3"
        return
    centred = f"{below}.bias" in changed
    outputs = torch.cat(seen[below])
    deviation = outputs - (outputs.mean(dim=0) if centred else 0)
    assert deviation.square().mean().sqrt() == pytest.approx(new_head.SPREAD, rel=1e-4)
    if centred:
        np.testing.assert_allclose(outputs.mean(dim=0), 0, atol=1e-4)


@pytest.mark.parametrize("use_lora", [False, True])
def test_a_fitted_head_is_trained_and_saved(bare: Path, tmp_path: Path, use_lora: bool) -> None:
    encoder, layer = started(bare, use_lora=use_lora)
    with torch.no_grad():
        layer.weight.fill_(0.5)
    assert layer.weight.requires_grad
    encoder.save(tmp_path / "saved", Lora(rank=2) if use_lora else None)
    saved = CrossEncoder.load(str(tmp_path / "saved"), max_len=48, precision="fp32")
    np.testing.assert_allclose(saved.score(PAIRS), encoder.score(PAIRS), atol=1e-6)


def test_bf16_gives_what_the_head_reads_in_float32(tiny_encoder: Path) -> None:
    encoder, layer = started(tiny_encoder, precision="bf16")
    without_dropout(encoder)
    inputs = torch.from_numpy(new_head.inputs_of(encoder, layer, PAIRS, seed=1))
    with torch.no_grad():
        np.testing.assert_allclose(layer(inputs)[:, 0], encoder.score(PAIRS), atol=1e-6)


def test_a_head_that_is_there_has_no_layer_to_fit(tiny_teacher: Path) -> None:
    assert new_head.last_layer(CrossEncoder.load(str(tiny_teacher))) is None


@pytest.mark.parametrize("bias", [True, False])
def test_the_fit_is_the_logistic_regression_of_scikit_learn(bias: bool) -> None:
    random = np.random.default_rng(2)
    inputs = (random.normal(size=(300, 5)) * [1, 10, 0.1, 1, 1] + [0, 3, 1, 0, 0]).astype(np.float32)
    targets = (inputs[:, 1] / 10 + random.normal(size=300) > 0.8).astype(float)
    inputs[:, 4] = 7.0 if bias else 0.0  # says nothing
    layer = nn.Linear(5, 1, bias=bias)
    loss = new_head.fit(layer, inputs, targets)
    wide = inputs[:, :4].astype(np.float64)
    mean = wide.mean(axis=0) if bias else np.zeros(4)
    scale = np.sqrt(((wide - mean) ** 2).mean(axis=0))
    reference = LogisticRegression(C=1 / (300 * new_head.PENALTY), tol=1e-10, max_iter=10_000, fit_intercept=bias)
    reference.fit((wide - mean) / scale, targets)
    expected = reference.decision_function((wide - mean) / scale)
    with torch.no_grad():
        found = layer(torch.from_numpy(inputs))[:, 0].numpy()
        assert layer.weight[0, 4] == 0
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert loss == pytest.approx(np.logaddexp(0, np.where(targets > 0, -expected, expected)).mean(), abs=1e-5)


def test_pairs_of_one_kind_give_a_finite_head() -> None:
    layer = nn.Linear(3, 1)
    inputs = np.random.default_rng(3).normal(size=(20, 3)).astype(np.float32)
    new_head.fit(layer, inputs, np.ones(20))
    with torch.no_grad():
        logits = layer(torch.from_numpy(inputs))
    assert torch.isfinite(logits).all() and (logits > 3).all()
