"""Weights between start and training by hand, which of them is kept, and that a folder holds these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from bistill.config import DistillationOptions
from bistill.encoders import lora
from bistill.encoders.bi_encoder import BiEncoder
from bistill.errors import OptionError
from bistill.journal import Journal, read
from bistill.training import merging
from bistill.training.distillation import train
from tests.training.test_distillation import options

SHARES = (0.5, 0.75)


@pytest.mark.parametrize(
    ("ndcg", "expected"),
    [
        ({1.0: 0.8, 0.9: 0.7985, 0.8: 0.799, 0.7: 0.79}, 0.8),
        ({1.0: 0.8, 0.9: 0.7985, 0.8: 0.7979, 0.7: 0.79}, 0.9),
        ({1.0: 0.8, 0.9: 0.81, 0.8: 0.8, 0.7: 0.79}, 0.9),
        ({1.0: 0.8, 0.9: 0.7, 0.5: 0.8}, 0.5),
        ({1.0: 0.8, 0.9: 0.7}, 1.0),
    ],
)
def test_the_smallest_share_within_the_tolerance_of_the_best(ndcg: dict[float, float], expected: float) -> None:
    figures = {share: {"ndcg_at_10": value, "auc": 1 - share} for share, value in ndcg.items()}
    assert merging.smallest_share(figures) == expected


def trained(folder: Path, use_lora: bool) -> tuple[BiEncoder, DistillationOptions]:
    made = DistillationOptions(teacher_path="t", output_dir="o", student_name=str(folder), use_lora=use_lora, lora_r=4)
    encoder = BiEncoder.load(str(folder))
    if use_lora:
        encoder.model = lora.apply(encoder.model, made, new_keys=[], seed=0)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in encoder.model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=random) * 0.1)
    return encoder, made


@pytest.mark.parametrize("use_lora", [False, True])
def test_weights_are_start_and_a_share_of_the_difference(tiny_encoder: Path, tmp_path: Path, use_lora: bool) -> None:
    encoder, _ = trained(tiny_encoder, use_lora)
    start = AutoModel.from_pretrained(tiny_encoder).state_dict()
    whole = {name: value.clone() for name, value in lora.merged(encoder.model).state_dict().items()}
    seen: list[dict[str, Any]] = []

    def measure() -> dict[str, float]:
        seen.append(lora.merged(encoder.model).state_dict())
        seen[-1] = {name: value.clone() for name, value in seen[-1].items()}
        return {"ndcg_at_10": 0.9 if len(seen) == 1 else 0.5, "auc": 0.5}

    journal = Journal(tmp_path / "journal.jsonl")
    share, figures = merging.merge(
        encoder, lambda: BiEncoder.load(str(tiny_encoder)), SHARES, measure, {"ndcg_at_10": 0.9, "auc": 0.5}, journal
    )
    journal.close()
    assert (share, figures) == (0.75, {"ndcg_at_10": 0.9, "auc": 0.5})
    moved = 0
    for expected_share, weights in zip(
        (0.75, 0.5, 0.75), [*seen, lora.merged(encoder.model).state_dict()], strict=True
    ):
        for name, value in weights.items():
            torch.testing.assert_close(value, start[name] + expected_share * (whole[name] - start[name]))
            moved += int((whole[name] - start[name]).abs().max() > 0.01)
    assert moved >= 3 * (12 if use_lora else 30)
    assert [item["share"] for item in next(read(tmp_path / "journal.jsonl"))["measured"]] == [1.0, 0.75, 0.5]


def test_all_of_the_training_is_kept_to_the_bit(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder, _ = trained(tiny_encoder, use_lora=False)
    before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    figures = iter([{"ndcg_at_10": 0.2, "auc": 1.0}] * 2)
    journal = Journal(tmp_path / "journal.jsonl")
    share, _ = merging.merge(
        encoder,
        lambda: BiEncoder.load(str(tiny_encoder)),
        SHARES,
        lambda: next(figures),
        {"ndcg_at_10": 0.9, "auc": 0.1},
        journal,
    )
    journal.close()
    assert share == 1.0
    assert all(torch.equal(value, before[name]) for name, value in encoder.model.state_dict().items())


@pytest.mark.parametrize("changes", [{}, {"use_lora": True, "lora_r": 4}, {"student_layers": 1}])
def test_the_folder_holds_the_chosen_weights_and_says_so(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [data_root.parent / name for name in ("plain", "merged")]
    plain = train(options(data_root, tiny_teacher, tiny_encoder, output_dir=str(folders[0]), epochs=1, **changes))
    monkeypatch.setattr(merging, "smallest_share", min)
    settings = {"output_dir": str(folders[1]), "merge_with_start": SHARES, "epochs": 1, **changes}
    record = train(options(data_root, tiny_teacher, tiny_encoder, **settings))
    assert (plain["merged_share"], record["merged_share"]) == (None, 0.5)
    assert json.loads((folders[1] / "bistill.json").read_text()) == record
    start = BiEncoder.load(str(tiny_encoder), layer_count=changes.get("student_layers")).model.state_dict()
    whole, found = (AutoModel.from_pretrained(folder).state_dict() for folder in folders)
    for name, value in found.items():
        np.testing.assert_allclose(value, (start[name] + whole[name]) / 2, atol=1e-6)
    events = [item for item in read(folders[1] / "journal.jsonl") if item["event"] == "merge"]
    assert len(events) == 1 and events[0]["share"] == 0.5
    assert record["validation"] == {name: value for name, value in events[0]["measured"][-1].items() if name != "share"}


@pytest.mark.parametrize("shares", [(0.0,), (0.5, 1.0), (-0.5,), (float("nan"),)])
def test_what_is_no_share_is_an_error(shares: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match="--merge_with_start: a share of the training lies between 0 and 1"):
        DistillationOptions(teacher_path="t", output_dir="o", merge_with_start=shares)
