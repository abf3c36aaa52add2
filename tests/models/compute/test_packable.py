"""Whether a model runs on packed rows is tried, once, and a wrong answer is found out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from bistill.models.compute import packable
from tests.models.compute.test_packing import COMMON, FAMILIES, built


def test_a_model_that_answers_otherwise_when_packed_is_found_out() -> None:
    """Positions that count on from text to text: attention is asked for, but the vectors are others."""

    class Counting(transformers.BertModel):
        def forward(self, input_ids: Any = None, position_ids: Any = None, **others: Any) -> Any:
            return super().forward(input_ids=input_ids, **others)

    torch.manual_seed(0)
    assert packable.packs(built(FAMILIES["bert"]), "fp32")
    assert not packable.packs(Counting(FAMILIES["bert"]).eval(), "fp32")


def test_the_answer_is_kept_by_model_and_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def tried(_model: Any, precision: str) -> bool:
        asked.append(precision)
        return True

    monkeypatch.setattr(packable, "tried", tried)
    model = built(FAMILIES["bert"])
    assert all(packable.packs(model, precision) for precision in ("fp32", "bf16", "fp32"))
    assert asked == ["fp32", "bf16"]


def test_the_mode_of_training_is_put_back() -> None:
    model = built(FAMILIES["bert"]).train()
    assert packable.packs(model, "fp32")
    assert model.training and all(module.training for module in model.modules())


def test_a_model_whose_packed_vectors_are_others_stays_padded_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = built(transformers.BertConfig(**COMMON))
    monkeypatch.setitem(packable.TOLERANCES, "fp32", -1.0)
    assert not packable.packs(model, "fp32")
    said = capsys.readouterr().err
    assert said == (
        "BertModel runs padded, which can cost half of the speed where texts differ in length: "
        "without padding its vectors are others\n"
    )
