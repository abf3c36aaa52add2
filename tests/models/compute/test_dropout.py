"""A text's masks are its own, and the bits they are made of are as good as random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bistill.errors import TrainingError
from bistill.models.compute import dropout, products
from bistill.models.compute.dropout import text_dropout
from tests.conftest import bert_config

CPU = torch.device("cpu")
LENGTHS = (3, 9, 5, 9, 1)
TEXTS = np.array([40, 7, 2**40, 0, 41])
SEED = 11


def bert(**changes: object) -> nn.Module:
    from transformers import BertModel

    torch.manual_seed(0)
    return BertModel(bert_config(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, **changes)).train()


def eager_bert() -> nn.Module:
    return bert(attn_implementation="eager")


def roberta(kind: str) -> nn.Module:
    from transformers import AutoConfig, AutoModel

    settings = bert_config(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1).to_diff_dict()
    settings.pop("model_type")
    config = AutoConfig.for_model(kind, **{**settings, "pad_token_id": 1})
    torch.manual_seed(0)
    return AutoModel.from_config(config).train()


def with_adapters() -> nn.Module:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, lora_dropout=0.3, target_modules=["query", "value", "dense"], init_lora_weights=False)
    return get_peft_model(bert(), config).train()


MODELS: dict[str, Callable[[], nn.Module]] = {
    "bert": bert,
    "bert, eager": eager_bert,
    "roberta": lambda: roberta("roberta"),
    "xlm-roberta": lambda: roberta("xlm-roberta"),
    "lora": with_adapters,
}


def hidden(model: nn.Module, rows: list[int], *, seed: int = SEED, texts: np.ndarray = TEXTS) -> list[Tensor]:
    """Token vectors of some texts, padded together: each of shape (its length, 32)."""
    with text_dropout(seed, texts[rows]):
        return plain(model, rows)


def plain(model: nn.Module, rows: list[int]) -> list[Tensor]:
    longest = max(LENGTHS[row] for row in rows)
    ids, mask = torch.ones(len(rows), longest, dtype=torch.int64), torch.zeros(len(rows), longest, dtype=torch.int64)
    for place, row in enumerate(rows):
        ids[place, : LENGTHS[row]] = torch.arange(LENGTHS[row]) * 3 + row + 5
        mask[place, : LENGTHS[row]] = 1
    output = model(input_ids=ids, attention_mask=mask).last_hidden_state
    return [output[place, : LENGTHS[row]] for place, row in enumerate(rows)]


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def gap(one: Tensor, other: Tensor) -> float:
    return float((one - other).detach().abs().max())


@pytest.mark.parametrize("name", MODELS)
def test_neighbours_padding_and_order_change_no_text(name: str) -> None:
    model = MODELS[name]()
    together = hidden(model, [0, 1, 2, 3, 4])
    assert_same([hidden(model, [row])[0] for row in range(5)], together)
    assert_same(hidden(model, [4, 2, 0, 3, 1]), [together[row] for row in (4, 2, 0, 3, 1)])
    dry = plain(model.eval(), [0, 1, 2, 3, 4])
    assert min(gap(one, other) for one, other in zip(together, dry, strict=True)) > 0.01


@pytest.mark.parametrize("name", MODELS)
def test_a_replayed_forward_has_the_same_bits_and_gradients(name: str) -> None:
    model = MODELS[name]()
    outcomes = []
    for number in range(2):
        torch.manual_seed(number)
        model.zero_grad()
        vectors = torch.cat(hidden(model, [3, 1]))
        vectors.sin().sum().backward()
        outcomes.append([vectors, *[weight.grad for weight in model.parameters() if weight.grad is not None]])
    assert len(outcomes[0]) > 10
    assert all(torch.equal(one, other) for one, other in zip(*outcomes, strict=True))


def test_gradients_of_parts_add_up_to_those_of_the_whole() -> None:
    model = bert()

    def gradient(*parts: list[int]) -> Tensor:
        model.zero_grad()
        for part in parts:
            sum(vectors[0].sin().sum() for vectors in hidden(model, part)).backward()
        return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])

    whole = gradient([0, 1, 2, 3, 4])
    assert whole.abs().max() > 0.1
    torch.testing.assert_close(gradient([2, 4], [1], [3, 0]), whole, atol=1e-5, rtol=1e-4)


def test_other_seeds_texts_and_sites_have_other_masks() -> None:
    x = torch.ones(3, 50, 8)
    with text_dropout(SEED, np.array([1, 2, 1])):
        first, second = functional.dropout(x, 0.5), functional.dropout(x, 0.5)
    with text_dropout(SEED + 1, np.array([1, 2, 1])):
        third = functional.dropout(x, 0.5)
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    assert not torch.equal(first, third)


def test_a_context_that_is_opened_again_begins_again() -> None:
    x, context, outcomes = torch.ones(2, 40), text_dropout(SEED, np.array([1, 2])), []
    for _ in range(2):
        with context:
            outcomes.append(functional.dropout(x, 0.5))
    assert torch.equal(*outcomes)


def test_sites_are_counted_over_those_that_act() -> None:
    x = torch.ones(2, 40)
    with text_dropout(SEED, np.array([1, 2])):
        expected = functional.dropout(x, 0.5)
    with text_dropout(SEED, np.array([1, 2])):
        assert torch.equal(functional.dropout(x, 0.0), x)
        assert torch.equal(functional.dropout(x, 0.5, training=False), x)
        assert functional.dropout(x.view(2, 1, 8, 5), 0.5).data_ptr() == x.data_ptr()
        assert torch.equal(nn.Dropout(0.5)(x), expected)


def test_the_result_and_its_gradient_are_mask_times_scale() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 6, 10, requires_grad=True)
    weights = torch.randn(4, 6, 10)
    with text_dropout(SEED, np.arange(4)):
        result = functional.dropout(x, p=0.2)
    mask = dropout.kept(dropout.row_keys(SEED, np.arange(4), 0), x, 0.2)
    (result * weights).sum().backward()
    assert 0.7 < mask.float().mean() < 0.9
    torch.testing.assert_close(result, torch.where(mask, x * 1.25, 0.0))
    torch.testing.assert_close(x.grad, torch.where(mask, weights * 1.25, 0.0))


def test_the_hash_is_what_its_text_says() -> None:
    """The same, in Python's integers: lowbias32, a row's own product and sum, a round of MurmurHash3's finaliser."""
    keys = dropout.row_keys(-3, np.array([-1, 5]), 2)
    mask = dropout.kept(keys, torch.empty(2, 100), 0.3)

    def splitmix(x: int) -> int:
        x = (x + 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        return x ^ x >> 31

    for row, text in enumerate((2**64 - 1, 5)):
        key = splitmix(splitmix(splitmix(2**64 - 3) ^ text) ^ 2)
        assert key == int(keys[row])
        for element in range(100):
            x = element ^ element >> 16
            x = x * 0x7FEB352D % 2**32
            x = (x ^ x >> 15) * 0x846CA68B % 2**32
            x = ((x ^ x >> 16) * (key % 2**32 | 1) + (key >> 32)) % 2**32
            x = (x ^ x >> 16) * 0x85EBCA6B % 2**32
            signed = x - 2**32 if x >= 2**31 else x
            assert bool(mask[row, element]) == (signed >= round(0.3 * 2**32) - 2**31)
    assert splitmix(0) == 0xE220A8397B1DCDAF  # the first number of the reference implementation from state 0


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    keys, x = dropout.row_keys(SEED, np.arange(7), 0), torch.empty(7, 30)
    expected = dropout.kept(keys, x, 0.5)
    for chunk in (1, 60, 100):
        monkeypatch.setattr(dropout, "CHUNK", chunk)
        assert torch.equal(dropout.kept(keys, x, 0.5), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_types_are_kept(dtype: torch.dtype) -> None:
    x = torch.full((2, 64), 3.0, dtype=dtype)
    with text_dropout(SEED, np.array([1, 2])), torch.autocast("cpu", dtype=torch.bfloat16):
        result = functional.dropout(x, 0.25, True, False)
    assert result.dtype == dtype
    assert set(result.flatten().tolist()) == {0.0, 4.0}


def test_everything_and_nothing() -> None:
    x = torch.ones(2, 5, requires_grad=True)
    with text_dropout(SEED, np.array([1, 2])):
        gone = functional.dropout(x, 1.0)
        assert functional.dropout(x[:, :0], 0.5).shape == (2, 0)
        assert functional.dropout(x, 1 - 1e-12).isfinite().all()
        with pytest.raises(ValueError, match="between 0 and 1"):
            functional.dropout(x, 1.5)
    with text_dropout(SEED, np.empty(0, dtype=np.int64)):
        assert functional.dropout(x[:0], 0.5).shape == (0, 5)
    gone.sum().backward()
    assert torch.equal(gone, torch.zeros(2, 5))
    assert torch.equal(x.grad, torch.zeros(2, 5))


def test_a_tensor_that_has_not_one_row_a_text_is_refused() -> None:
    with text_dropout(SEED, np.arange(3)):
        for x in (torch.ones(4, 8, 2), torch.tensor(1.0)):
            with pytest.raises(TrainingError, match="not one row a text") as caught:
                functional.dropout(x, 0.1)
            assert caught.value.found == tuple(x.shape)


def test_a_table_that_all_texts_share_has_one_mask() -> None:
    table = torch.ones(6, 40)
    found = []
    for texts in ([0], [4, 5, 9]):
        with text_dropout(SEED, np.array(texts)):
            found.append(functional.dropout(table, 0.3))
    assert torch.equal(*found)
    assert 0.5 < (found[0] > 0).float().mean() < 0.9


def test_deberta_with_its_relative_positions_meets_the_same_masks() -> None:
    from transformers import DebertaV2Config, DebertaV2Model

    torch.manual_seed(0)
    model = DebertaV2Model(
        DebertaV2Config(
            vocab_size=100,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
            relative_attention=True,
            pos_att_type=["p2c", "c2p"],
            position_buckets=8,
            hidden_dropout_prob=0.1,
            attention_probs_dropout_prob=0.1,
        )
    ).train()
    ids, mask = torch.randint(5, 100, (3, 12)), torch.ones(3, 12, dtype=torch.int64)
    mask[0, 7:] = 0
    with text_dropout(SEED, np.arange(3)):
        together = model(input_ids=ids, attention_mask=mask).last_hidden_state
    for text, length in enumerate((7, 12, 12)):
        with text_dropout(SEED, np.array([text])):
            alone = model(input_ids=ids[text : text + 1, :length]).last_hidden_state
        torch.testing.assert_close(alone[0], together[text, :length], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_attention_has_no_dropout(implementation: str) -> None:
    model = bert(attn_implementation=implementation)
    other = type(model)(bert_config(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.0)).train()
    other.load_state_dict(model.state_dict())
    assert_same(hidden(model, [0, 1, 2]), hidden(other, [0, 1, 2]))


def test_attention_called_with_dropout_in_any_way() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 6, 8)
    expected = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    with text_dropout(SEED, np.arange(2)):
        for found in (
            functional.scaled_dot_product_attention(q, k, v, None, 0.5, True),
            functional.scaled_dot_product_attention(q, k, v, dropout_p=0.5, is_causal=True),
            functional.scaled_dot_product_attention(q, k, v, is_causal=True),
        ):
            torch.testing.assert_close(found, expected)


def test_without_training_nothing_changes() -> None:
    model = bert().eval()
    assert all(torch.equal(*pair) for pair in zip(hidden(model, [0, 1]), plain(model, [0, 1]), strict=True))


@pytest.mark.parametrize("outer", ["products", "dropout"])
def test_both_contexts_work_in_either_order(monkeypatch: pytest.MonkeyPatch, outer: str) -> None:
    calls: list[int] = []
    linear = products.onednn_linear
    monkeypatch.setattr(products, "fastest", lambda: products.Fastest(True, True, False))
    monkeypatch.setattr(products, "onednn_linear", lambda *args: calls.append(1) or linear(*args))
    model = bert()
    expected = hidden(model, [0, 1, 2])
    contexts: list[Any] = [products.fast_products(CPU), text_dropout(SEED, TEXTS[[0, 1, 2]])]
    first, second = contexts if outer == "products" else contexts[::-1]
    with first, second:
        found = plain(model, [0, 1, 2])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert len(calls) == 13  # six linear layers in each of two blocks, and the pooler


# Statistics: signs are centred and have variance 1, so that means of products are within 4 / sqrt(samples) of 0.


def signs(p: float, *, texts: int = 64, site: int = 0, seed: int = SEED) -> np.ndarray:
    """Centred masks of consecutive texts: (texts, 64 tokens, 384)."""
    mask = dropout.kept(dropout.row_keys(seed, np.arange(texts), site), torch.empty(texts, 64, 384), p)
    return ((mask.numpy() - (1 - p)) / np.sqrt(p * (1 - p))).astype(np.float32)


def sigmas(product: np.ndarray) -> float:
    return abs(float(product.mean(dtype=np.float64))) * np.sqrt(product.size)


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5])
def test_masks_are_uncorrelated(p: float) -> None:
    x = signs(p)
    found = {
        "frequency": x,
        "rows": x[:-1] * x[1:],
        "sites": x * signs(p, site=1),
        "seeds": x * signs(p, seed=SEED + 1),
        "tokens": x[:, :-1] * x[:, 1:],
        "dimensions": x[:, :, :-1] * x[:, :, 1:],
        "triples": x[:, :, :-2] * x[:, :, 1:-1] * x[:, :, 2:],
        "rows and dimensions": x[:-1, :, :-1] * x[1:, :, 1:],
    }
    assert {name: sigmas(product) for name, product in found.items() if sigmas(product) > 4} == {}


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_no_row_is_another_one_shifted(p: float) -> None:
    """Correlations at all shifts, rows with themselves included: their extremes are those of as many normal draws."""
    x = signs(p, texts=12).reshape(12, -1)
    size = x.shape[1]
    spectra = np.fft.rfft(x)
    extremes = []
    for one in range(12):
        for other in range(one, 12):
            shifted = np.fft.irfft(spectra[one] * spectra[other].conj(), n=size) / np.sqrt(size)
            extremes.append(np.abs(shifted[1:] if one == other else shifted).max())
    # The chance that any of 78 * 24,576 normal draws exceeds 6 is 0.4 %.
    assert max(extremes) < 6
    assert 4 < np.median(extremes) < 5


def test_rows_taken_in_pairs_are_spread_as_normal_draws() -> None:
    """The matrix of 400 rows' correlations: its off-diagonal has the variance and the extremes of chance."""
    x = signs(0.1, texts=400)[:, :8].reshape(400, -1)
    found = (x @ x.T)[np.triu_indices(400, 1)] / np.sqrt(x.shape[1])
    assert abs(found.mean()) * np.sqrt(found.size) < 4
    assert abs(found.var() - 1) < 4 * np.sqrt(2 / found.size)
    assert np.abs(found).max() < 6


def test_elements_over_many_steps_are_uncorrelated() -> None:
    """Over 4,000 seeds, a text's first 192 elements: none is dropped too often, no two go together."""
    x = np.concatenate([signs_of_step(seed) for seed in range(4000)])
    assert np.abs(x.mean(0)).max() * np.sqrt(len(x)) < 5
    found = (x.T @ x)[np.triu_indices(192, 1)] / np.sqrt(len(x))
    assert np.abs(found).max() < 6
    assert abs(found.var() - 1) < 0.05


def signs_of_step(seed: int) -> np.ndarray:
    mask = dropout.kept(dropout.row_keys(seed, np.array([3]), 0), torch.empty(1, 192), 0.5)
    return mask.numpy() * 2.0 - 1.0
