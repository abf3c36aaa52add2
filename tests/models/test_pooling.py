"""Equality with sentence-transformers' own pooling for every mode, with padding on either side."""

from __future__ import annotations

import pytest
import torch
from sentence_transformers.sentence_transformer.modules import Pooling

from bistill.errors import ModelError
from bistill.models import pooling

HIDDEN = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
RIGHT = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])


@pytest.mark.parametrize("mode", pooling.POOLINGS)
@pytest.mark.parametrize("mask", [RIGHT, RIGHT.flip(1)], ids=["right", "left"])
def test_equals_sentence_transformers(mode: str, mask: torch.Tensor) -> None:
    names = {long: short for short, long in pooling.NEWER_NAMES.items()}
    reference = Pooling(4, pooling_mode=names[mode])({"token_embeddings": HIDDEN.clone(), "attention_mask": mask})[
        "sentence_embedding"
    ]
    torch.testing.assert_close(pooling.POOLINGS[mode](HIDDEN, mask), reference)


def test_mean_by_hand() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]]])
    assert pooling.mean_tokens(hidden, torch.tensor([[1, 1, 0]])).tolist() == [[2.0, 4.0]]


def test_mode_is_read_from_either_schema() -> None:
    older = {"word_embedding_dimension": 4, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    assert pooling.mode_of_config(older, "x") == "pooling_mode_cls_token"
    assert pooling.mode_of_config({"pooling_mode": "lasttoken"}, "x") == "pooling_mode_lasttoken"


@pytest.mark.parametrize(
    "config",
    [
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
        {"pooling_mode_cls_token": False},
        {"pooling_mode_weightedmean_tokens": True},
    ],
)
def test_no_single_known_mode_is_an_error(config: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"folder/config\.json: exactly one known pooling mode"):
        pooling.mode_of_config(config, "folder/config.json")
