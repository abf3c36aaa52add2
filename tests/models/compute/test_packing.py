"""Packed rows give what padded batches give, for every family; and a model that cannot be packed is found out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor, nn

from bistill.models.compute import batching, packable, packing, products
from bistill.models.compute.dropout import text_dropout
from bistill.models.compute.packing import PackedLayout, row_size
from tests.conftest import bert_config

CPU = torch.device("cpu")
COMMON: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "initializer_range": 0.2,
}
QWEN = {**COMMON, "num_key_value_heads": 2, "head_dim": 8}
FAMILIES: dict[str, Any] = {
    "bert": transformers.BertConfig(**COMMON),
    "xlm-roberta": transformers.XLMRobertaConfig(**COMMON),
    "modernbert": transformers.ModernBertConfig(
        **{**COMMON, "cls_token_id": 0, "sep_token_id": 2}, local_attention=16, global_attn_every_n_layers=2
    ),
    "qwen3": transformers.Qwen3Config(**QWEN),
    "qwen3-sliding": transformers.Qwen3Config(**QWEN, use_sliding_window=True, sliding_window=8, max_window_layers=1),
    "electra": transformers.ElectraConfig(**COMMON, embedding_size=16),
}
LENGTHS = np.array([40, 9, 40, 3, 27, 9])


def batch(lengths: np.ndarray = LENGTHS) -> dict[str, Tensor]:
    mask = torch.arange(int(lengths.max())) < torch.from_numpy(lengths).unsqueeze(1)
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(3, 100, mask.shape, generator=generator)
    return {"input_ids": ids.masked_fill(~mask, 1), "attention_mask": mask.long()}


def built(config: Any, kind: Any = transformers.AutoModel) -> Any:
    torch.manual_seed(0)
    return kind.from_config(config).eval()


def test_a_layout_by_hand() -> None:
    layout = PackedLayout(np.array([2, 2, 1]), CPU)
    assert (layout.tokens, layout.longest, layout.runs) == (5, 2, [(2, 2), (1, 1)])
    assert layout.texts.tolist() == [0, 0, 1, 1, 2]
    assert layout.positions.tolist() == [0, 1, 0, 1, 0]
    assert layout.ends.tolist() == [0, 2, 4, 5]
    padded = torch.tensor([[1, 2], [3, 4], [5, 0]])
    assert layout.pack(padded).tolist() == [[1, 2, 3, 4, 5]]
    row = torch.arange(1.0, 6).view(1, 5, 1)
    assert layout.unpack(row).squeeze(-1).tolist() == [[1, 2], [3, 4], [5, 0]]


@pytest.mark.parametrize(
    ("lengths", "runs", "sources"),
    [
        # 129 tokens become 132: the longest text's first three once more.
        ([29, 50, 50], [(1, 29), (2, 50), (1, 3)], [1, 1, 1]),
        # 2,060 become 2,112: what fills up is longer than any text, so it is the first 17 times, and its first token.
        ([3] * 686 + [2], [(686, 3), (1, 2), (17, 3), (1, 1)], [0] * 52),
    ],
)
def test_a_row_is_filled_up_by_hand(lengths: list[int], runs: list[tuple[int, int]], sources: list[int]) -> None:
    layout = PackedLayout(np.array(lengths), CPU)
    added = len(sources)
    assert (layout.tokens, layout.size, layout.runs) == (sum(lengths), sum(lengths) + added, runs)
    assert layout.texts[-added:].tolist() == sources
    assert layout.positions[-added:].tolist() == [place % max(lengths) for place in range(added)]
    assert layout.ends[-1] == layout.size
    padded = torch.arange(1.0, len(lengths) * max(lengths) + 1).view(len(lengths), max(lengths), 1)
    row = layout.pack(padded)
    assert torch.equal(row[0, -added:, 0], padded[sources[0]].flatten().repeat(added)[:added])
    real = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    assert torch.equal(layout.unpack(row), padded * real.unsqueeze(-1))


def test_only_rows_on_a_cpu_are_filled_up() -> None:
    assert PackedLayout(np.array([29, 50, 50]), torch.device("meta")).size == 129


@pytest.mark.parametrize("family", FAMILIES)
def test_what_fills_a_row_up_changes_nothing(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors and gradients in float64, with dropout, of 129 tokens in rows of 129, 132 and 400."""
    lengths = np.array([50, 29, 50])
    config = type(FAMILIES[family])(**{**FAMILIES[family].to_dict(), "mlp_dropout": 0.2, "embedding_dropout": 0.2})
    model, inputs = built(config).double().train(), batch(lengths)

    def found(size: int) -> list[Tensor]:
        monkeypatch.setattr(packing, "row_size", lambda _: size)
        model.zero_grad()
        with text_dropout(5, np.arange(3)), packing.packed(model, lengths):
            vectors = model(**inputs).last_hidden_state
            vectors.sin().sum().backward()
        return [vectors.detach(), *(value.grad for value in model.parameters() if value.grad is not None)]

    expected = found(129)
    assert len(expected) > 20
    for size in (132, 400):
        for own, other in zip(found(size), expected, strict=True):
            torch.testing.assert_close(own, other, atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_token_vectors_equal_those_of_the_padded_batch(family: str) -> None:
    model, inputs = built(FAMILIES[family]), batch()
    real = inputs["attention_mask"].bool()
    with torch.inference_mode():
        expected = model(**inputs).last_hidden_state
        with packing.packed(model, LENGTHS):
            found = model(**inputs).last_hidden_state
        again = model(**inputs).last_hidden_state
    assert packable.packs(model, "fp32")
    torch.testing.assert_close(found[real], expected[real], atol=2e-5, rtol=1e-4)
    assert found[~real].abs().max() == 0
    assert torch.equal(again, expected)  # outside of the context the model is as it was


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "modernbert", "qwen3"])
def test_heads_and_poolers_see_texts(family: str) -> None:
    config = type(FAMILIES[family])(**{**FAMILIES[family].to_dict(), "num_labels": 1})
    model, inputs = built(config, transformers.AutoModelForSequenceClassification), batch()
    with torch.inference_mode():
        expected = model(**inputs).logits
        with packing.packed(model, LENGTHS):
            torch.testing.assert_close(model(**inputs).logits, expected, atol=1e-5, rtol=1e-4)
    assert len(set(expected.flatten().tolist())) == len(LENGTHS)


@pytest.mark.parametrize("family", ["bert", "modernbert", "qwen3"])
def test_gradients_equal_those_of_the_padded_batch_in_float64(family: str) -> None:
    model, inputs = built(FAMILIES[family]).double(), batch()
    weight = inputs["attention_mask"].unsqueeze(-1) * torch.linspace(-1, 1, 32, dtype=torch.float64)

    def gradients(packed: bool) -> list[Tensor]:
        model.zero_grad()
        with packing.packed(model, LENGTHS) if packed else torch.enable_grad():
            (model(**inputs).last_hidden_state.sin() * weight).sum().backward()
        return [value.grad for value in model.parameters() if value.grad is not None]

    expected, found = gradients(packed=False), gradients(packed=True)
    assert len(found) == len(expected) >= 20
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize(
    "config",
    [
        transformers.MPNetConfig(**COMMON),
        transformers.DebertaV2Config(**COMMON, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    ],
    ids=["mpnet", "deberta"],
)
def test_a_model_with_an_attention_of_its_own_stays_padded(config: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model, inputs = built(config), batch()
    assert not packable.packs(model, "fp32")
    said = capsys.readouterr().err
    assert said.startswith(f"{type(model).__name__} runs padded") and said.endswith("see each other\n")
    with torch.inference_mode():
        expected = model(**inputs).last_hidden_state
        with pytest.raises(ValueError, match="see each other"), packing.packed(model, LENGTHS):
            model(**inputs)
        assert torch.equal(model(**inputs).last_hidden_state, expected)


def test_attention_that_is_not_built_is_refused() -> None:
    module, row = nn.Module(), torch.ones(1, 2, 5, 4)
    with pytest.raises(ValueError, match="mask"):
        packing.attention(module, row, row, row, None)  # no row is being worked on
    packing.active.layout = PackedLayout(np.array([3, 2]), CPU)
    try:
        with pytest.raises(ValueError, match="softcap"):
            packing.attention(module, row, row, row, None, softcap=30.0)
        found, _ = packing.attention(module, row, row, row, None, dropout=0.1)
    finally:
        packing.active.layout = None
    assert torch.equal(found, torch.ones(1, 5, 2, 4))


@pytest.mark.parametrize(("causal", "seen"), [(False, [[0, 1], [0, 1, 2], [1, 2]]), (True, [[0], [0, 1], [1, 2]])])
def test_a_window_by_hand(causal: bool, seen: list[list[int]]) -> None:
    band = packing.window_mask(3, 2, causal, CPU)
    assert [row.nonzero().flatten().tolist() for row in band] == seen


def test_dropout_of_a_text_is_the_same_packed_and_padded() -> None:
    model, inputs = built(FAMILIES["bert"]).train(), batch()
    texts, real = np.arange(10, 16), inputs["attention_mask"].bool()
    with text_dropout(7, texts):
        expected = model(**inputs).last_hidden_state
    with text_dropout(7, texts), packing.packed(model, LENGTHS):
        found = model(**inputs).last_hidden_state
    with text_dropout(8, texts), packing.packed(model, LENGTHS):
        other = model(**inputs).last_hidden_state
    torch.testing.assert_close(found[real], expected[real], atol=2e-5, rtol=1e-4)
    assert (other[real] - expected[real]).abs().mean() > 0.1


def test_groups_of_packed_texts_count_real_tokens() -> None:
    lengths = np.array([5, 10, 1, 10, 4])
    groups = batching.buckets(lengths, max_items=10, max_tokens=20, packed=True)
    assert [group.tolist() for group in groups] == [[1, 3], [0, 4, 2]]
    assert [batching.size(lengths[group], packed=True) for group in groups] == [20, 10]
    assert batching.size(lengths[[0, 4, 2]], packed=False) == 15
    padded = batching.buckets(lengths, max_items=10, max_tokens=20)
    assert [group.tolist() for group in padded] == [[1, 3], [0, 4, 2]]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    # Multiples of 1, 2, 4, 16, 32, 64: a 32nd of the power of two below.
    [(1, 1), (63, 63), (64, 64), (65, 66), (129, 132), (700, 704), (1023, 1024), (1025, 1056), (2049, 2112)],
)
def test_sizes_by_hand(tokens: int, expected: int) -> None:
    assert row_size(tokens) == expected


def test_few_sizes_hardly_longer() -> None:
    tokens = np.arange(1, 8193)
    sizes = np.array([row_size(int(count)) for count in tokens])
    assert (sizes >= tokens).all() and (sizes <= tokens * (33 / 32)).all()
    assert (np.diff(sizes) >= 0).all()
    assert [row_size(int(size)) for size in sizes] == sizes.tolist()  # a size is its own
    for power in range(6, 13):
        assert len(set(sizes[2**power : 2 ** (power + 1)].tolist())) == 32
    assert (sizes / tokens)[511:].mean() < 1.015


def test_products_of_a_packed_model_meet_few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    linear = products.onednn_linear

    def note(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        seen.add(x.numel() // x.shape[-1])
        return linear(x, weight, bias)

    monkeypatch.setattr(products, "fastest", lambda: products.Fastest(True, True, False))
    monkeypatch.setattr(products, "onednn_linear", note)
    model = transformers.BertModel(bert_config(num_hidden_layers=1), add_pooling_layer=False).eval()
    with torch.inference_mode(), products.fast_products(torch.device("cpu")):
        for tokens in range(512, 768, 3):
            lengths = np.append(np.full(tokens // 64, 64), tokens % 64 or 64)
            ids = torch.ones(len(lengths), 64, dtype=torch.int64)
            with packing.packed(model, lengths):
                model(input_ids=ids, attention_mask=ids)
    assert seen == {row_size(size) for size in seen} and len(seen) <= 21
