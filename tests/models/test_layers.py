"""Models of some layers, against the whole ones in which the others are passed over, and from their own folders."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from bistill.errors import ModelError, OptionError
from bistill.models import layers, lora
from bistill.models.bi_encoder import BiEncoder
from bistill.models.settings import Lora
from tests.conftest import WORDS, write_tokenizer
from tests.models.compute.test_packing import COMMON, QWEN

TEXTS = ["how to read a file", "서울 날씨", "sort " * 20, "a"]
SIX: dict[str, Any] = {"num_hidden_layers": 6, "pad_token_id": 0, "vocab_size": 5 + len(WORDS) + 36}
FAMILIES: dict[str, Any] = {
    "bert": transformers.BertConfig(**COMMON | SIX),
    "xlm-roberta": transformers.XLMRobertaConfig(**COMMON | SIX),
    "modernbert": transformers.ModernBertConfig(
        **COMMON | SIX | {"cls_token_id": 0, "sep_token_id": 2}, local_attention=8, global_attn_every_n_layers=3
    ),
    "qwen3": transformers.Qwen3Config(**QWEN | SIX),
    "qwen3-sliding": transformers.Qwen3Config(
        **QWEN | SIX, use_sliding_window=True, sliding_window=4, max_window_layers=3
    ),
    "distilbert": transformers.DistilBertConfig(vocab_size=SIX["vocab_size"], dim=32, n_layers=6, n_heads=4),
    "mpnet": transformers.MPNetConfig(**COMMON | SIX),
}
INPUTS = {"input_ids": torch.arange(3, 43).view(2, 20), "attention_mask": torch.ones(2, 20, dtype=torch.int64)}


def built(config: Any) -> Any:
    torch.manual_seed(0)
    return transformers.AutoModel.from_config(config).eval()


def token_vectors(model: Any) -> Tensor:
    with torch.no_grad():
        vectors: Tensor = model(**INPUTS).last_hidden_state
    return vectors


def write_model(folder: Path, config: Any) -> None:
    """A model folder; its tokenizer gives no token types, which most families do not take."""
    built(config).save_pretrained(folder)
    write_tokenizer(folder)
    file = folder / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps({**settings, "model_input_names": ["input_ids", "attention_mask"]}))


@pytest.fixture
def six_layers(tmp_path: Path) -> Path:
    folder = tmp_path / "six"
    write_model(folder, FAMILIES["bert"])
    return folder


def test_the_choice_by_hand() -> None:
    assert layers.evenly(12, 6) == [0, 2, 4, 7, 9, 11]  # steps of 2.2
    assert layers.evenly(12, 3) == [0, 6, 11]  # 5.5 goes to the even number
    assert layers.evenly(6, 4) == [0, 2, 3, 5]
    assert (layers.evenly(6, 2), layers.evenly(6, 1)) == ([0, 5], [0])
    assert all(len(set(layers.evenly(28, count))) == count for count in range(1, 29))


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_a_cut_model_runs_the_chosen_layers_one_after_the_other(family: str) -> None:
    model = built(FAMILIES[family])
    smaller, kept = layers.cut(model, 3)
    by_hand = copy.deepcopy(model)
    by_hand.encoder.layer = nn.ModuleList(model.encoder.layer[number] for number in (0, 2, 5))
    assert kept == [0, 2, 5] and smaller.config.num_hidden_layers == 3
    torch.testing.assert_close(token_vectors(smaller), token_vectors(by_hand))
    assert (token_vectors(smaller) - token_vectors(model)).abs().max() > 0.1
    assert [layer.attention.self.layer_idx for layer in smaller.encoder.layer] == [0, 1, 2]
    assert model.config.num_hidden_layers == 6 and len(model.encoder.layer) == 6


@pytest.mark.parametrize("family", FAMILIES)
def test_the_saved_folder_gives_the_same_vectors_everywhere(family: str, tmp_path: Path) -> None:
    write_model(tmp_path / "whole", FAMILIES[family])
    encoder = BiEncoder.load(str(tmp_path / "whole"), layer_count=4)
    assert encoder.start_layers == [0, 2, 3, 5]
    expected = encoder.encode_documents(TEXTS)
    encoder.save(tmp_path / "cut", None)
    found = BiEncoder.load(str(tmp_path / "cut"))
    assert found.model.config.num_hidden_layers == 4
    np.testing.assert_allclose(found.encode_documents(TEXTS), expected, atol=1e-6)
    reference = SentenceTransformer(str(tmp_path / "cut"), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(reference, expected, atol=1e-6)
    model = transformers.AutoModel.from_pretrained(tmp_path / "cut")
    torch.testing.assert_close(token_vectors(model), token_vectors(encoder.model), atol=1e-5, rtol=1e-5)


def test_each_layer_keeps_its_own_kind_of_attention() -> None:
    full, sliding = "full_attention", "sliding_attention"
    modernbert, _ = layers.cut(built(FAMILIES["modernbert"]), 4)
    assert FAMILIES["modernbert"].layer_types == [full, sliding, sliding, full, sliding, sliding]
    assert modernbert.config.layer_types == [full, sliding, full, sliding]  # of layers 0, 2, 3, 5
    qwen, _ = layers.cut(built(FAMILIES["qwen3-sliding"]), 4)
    assert qwen.config.layer_types == [full, full, sliding, sliding]


def test_a_wrong_kind_of_attention_would_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rebuilt = layers.rebuilt

    def wrong(*given: Any) -> Any:
        model = rebuilt(*given)
        model.config.layer_types = model.config.layer_types[::-1]
        return model

    monkeypatch.setattr(layers, "rebuilt", wrong)
    with pytest.raises(ModelError, match="layers of this model cannot be left out"):
        layers.cut(built(FAMILIES["qwen3-sliding"]), 4)


def test_all_layers_are_the_model_itself_and_more_are_refused() -> None:
    model = built(FAMILIES["bert"])
    assert layers.cut(model, 6) == (model, None)
    with pytest.raises(OptionError, match=r"(?s)`EncoderStart.layers`: the model has fewer layers.*7.*give at most 6"):
        layers.cut(model, 7)


def test_a_model_whose_layers_are_no_list_is_refused() -> None:
    config = transformers.AlbertConfig(**COMMON | SIX, embedding_size=16)  # one layer, run six times
    with pytest.raises(ModelError, match=r"(?s)cannot be left out.*0 lists of 6 layers"):
        layers.cut(built(config), 3)


def test_adapters_of_a_cut_model_are_merged_and_not_written_beside(six_layers: Path, tmp_path: Path) -> None:
    options = Lora(rank=4)
    encoder = BiEncoder.load(str(six_layers), layer_count=2)
    encoder.model = lora.apply(encoder.model, options, new_keys=[], seed=0)
    with torch.no_grad():
        for name, parameter in encoder.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    encoder.save(tmp_path / "cut", options)
    assert not (tmp_path / "cut" / "adapter").exists()
    found = BiEncoder.load(str(tmp_path / "cut")).encode_documents(TEXTS)
    np.testing.assert_allclose(found, encoder.encode_documents(TEXTS), atol=1e-6)
