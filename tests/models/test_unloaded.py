"""A Bi-Encoder known by its files: the same facts and vectors as loaded, and no weights before they are needed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from bistill.errors import ModelError, OptionError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute.vectors import cached_vectors, vectors_key
from bistill.models.settings import EncoderStart
from bistill.models.unloaded import UnloadedEncoder

TEXTS = ["sort list", "open file", "서울 날씨"]
FACTS = ("source", "mode", "max_len", "prompts", "precision", "start_layers", "dim")


@pytest.fixture
def start(tiny_encoder: Path) -> EncoderStart:
    return EncoderStart(str(tiny_encoder), max_len=16, query_prompt="how to ", pooling="cls", precision="fp32")


@pytest.mark.parametrize("layers", [None, 1, 2])
def test_its_facts_and_keys_are_those_of_the_loaded_model(start: EncoderStart, layers: int | None) -> None:
    start = dataclasses.replace(start, layers=layers)
    unloaded, loaded = UnloadedEncoder(start), BiEncoder.start(start)
    assert [getattr(unloaded, name) for name in FACTS] == [getattr(loaded, name) for name in FACTS]
    for kind in ("query", "document"):
        assert vectors_key(unloaded, TEXTS, kind) == vectors_key(loaded, TEXTS, kind)


def test_weights_are_loaded_once_and_for_what_the_cache_lacks_alone(
    start: EncoderStart, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = BiEncoder.start(start)
    expected = cached_vectors(loaded, TEXTS[:2])
    loads: list[EncoderStart] = []
    make = BiEncoder.start
    monkeypatch.setattr(BiEncoder, "start", lambda given: loads.append(given) or make(given))
    encoder = UnloadedEncoder(start)
    np.testing.assert_array_equal(cached_vectors(encoder, TEXTS[:2]), expected)
    assert loads == []
    queries = cached_vectors(encoder, TEXTS, kind="query")
    np.testing.assert_array_equal(queries, loaded.encode_queries(TEXTS))
    np.testing.assert_array_equal(cached_vectors(encoder, TEXTS), loaded.encode_documents(TEXTS))
    assert loads == [start]
    encoder.free()
    cached_vectors(encoder, TEXTS[1:])
    assert loads == [start, start]


def test_a_cut_model_does_not_find_the_vectors_of_the_whole_one(start: EncoderStart) -> None:
    whole = cached_vectors(UnloadedEncoder(start), TEXTS)
    cut = cached_vectors(UnloadedEncoder(dataclasses.replace(start, layers=1)), TEXTS)
    expected = BiEncoder.start(dataclasses.replace(start, layers=1)).encode_documents(TEXTS)
    np.testing.assert_array_equal(cut, expected)
    assert np.abs(cut - whole).max() > 1e-3


def test_what_cannot_be_used_is_said(start: EncoderStart, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        UnloadedEncoder(dataclasses.replace(start, name=str(tmp_path / "gone")))
    encoder = UnloadedEncoder(dataclasses.replace(start, layers=9))
    with pytest.raises(OptionError, match="the model has fewer layers"):
        cached_vectors(encoder, TEXTS)
