"""Weights between start and training by hand, which of them is kept, when the start is, and what a folder holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel

from bistill.app.commands.distill import train
from bistill.app.config import DistillationOptions
from bistill.errors import OptionError
from bistill.journal import Journal, read
from bistill.models import lora
from bistill.models.bi_encoder import BiEncoder
from bistill.models.settings import Lora
from bistill.training import validation
from bistill.training.settings import Merging
from bistill.training.student import merging
from bistill.training.validation import Measured
from tests.training.conftest import distillation_options as options

SHARES = (0.5, 0.75)


@pytest.mark.parametrize(
    ("ndcg", "expected"),
    [
        ({1.0: 0.8, 0.9: 0.7985, 0.8: 0.799, 0.7: 0.79}, 0.8),
        ({1.0: 0.8, 0.9: 0.7985, 0.8: 0.7979, 0.7: 0.79}, 0.9),
        ({1.0: 0.8, 0.9: 0.81, 0.8: 0.8, 0.7: 0.79}, 0.9),
        ({1.0: 0.8, 0.9: 0.7, 0.5: 0.8}, 0.5),
        ({1.0: 0.8, 0.9: 0.7}, 1.0),
        ({1.0: 0.8, 0.9: float("nan")}, 1.0),
        ({1.0: float("nan"), 0.9: 0.1}, 0.9),
        ({1.0: float("nan"), 0.9: float("nan")}, 1.0),
    ],
)
def test_the_smallest_share_within_the_tolerance_of_the_best(ndcg: dict[float, float], expected: float) -> None:
    figures = {share: {"ndcg_at_10": value, "auc": 1 - share} for share, value in ndcg.items()}
    assert merging.smallest_share(figures) == expected


def trained(folder: Path, use_lora: bool) -> tuple[BiEncoder, DistillationOptions]:
    made = DistillationOptions(teacher_path="t", output_dir="o", student_name=str(folder), use_lora=use_lora, lora_r=4)
    encoder = BiEncoder.load(str(folder))
    if use_lora:
        encoder.model = lora.apply(encoder.model, Lora(rank=4), new_keys=[], seed=0)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in encoder.model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=random) * 0.1)
    return encoder, made


def found(ndcg: float, by_query: list[float] | None = None, auc: float = 0.5) -> Measured:
    return Measured({"ndcg_at_10": ndcg, "auc": auc}, by_query=np.array(by_query or [ndcg] * 8))


def merged(
    encoder: BiEncoder,
    folder: Path,
    measure: Callable[[], Measured],
    trained: Measured | None,
    untouched: Measured | None,
    *,
    shares: tuple[float, ...] = SHARES,
    keep_start: bool = True,
    most: float = 1.0,
) -> tuple[merging.Merged, dict[str, Any]]:
    """What merging finds, and its line in the journal."""
    journal = Journal(folder / "journal.jsonl")
    result = merging.merge(
        encoder,
        lambda: BiEncoder.load(encoder.source),
        shares,
        measure,
        trained,
        untouched,
        journal,
        keep_start=keep_start,
        seed=3,
        most=most,
    )
    journal.close()
    return result, next(read(folder / "journal.jsonl"))


@pytest.mark.parametrize("use_lora", [False, True])
def test_weights_are_start_and_a_share_of_the_difference(tiny_encoder: Path, tmp_path: Path, use_lora: bool) -> None:
    encoder, _ = trained(tiny_encoder, use_lora)
    start = AutoModel.from_pretrained(tiny_encoder).state_dict()
    whole = {name: value.clone() for name, value in lora.merged(encoder.model).state_dict().items()}
    seen: list[dict[str, Any]] = []

    def measure() -> Measured:
        weights = lora.merged(encoder.model).state_dict()
        seen.append({name: value.clone() for name, value in weights.items()})
        return found(0.9 if len(seen) == 1 else 0.5)

    result, line = merged(encoder, tmp_path, measure, found(0.9), found(0.4))
    assert (result.share, result.measured.figures) == (0.75, {"ndcg_at_10": 0.9, "auc": 0.5})
    moved = 0
    for expected_share, weights in zip(
        (0.75, 0.5, 0.75), [*seen, lora.merged(encoder.model).state_dict()], strict=True
    ):
        for name, value in weights.items():
            torch.testing.assert_close(value, start[name] + expected_share * (whole[name] - start[name]))
            moved += int((whole[name] - start[name]).abs().max() > 0.01)
    assert moved >= 3 * (12 if use_lora else 30)
    assert [item["share"] for item in line["measured"]] == [1.0, 0.75, 0.5, 0.0]


def test_all_of_the_training_is_kept_to_the_bit(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder, _ = trained(tiny_encoder, use_lora=False)
    before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    values = iter([found(0.9), found(0.2), found(0.2), found(0.1)])  # a run that went on measures both ends anew
    result, line = merged(encoder, tmp_path, lambda: next(values), None, None)
    assert result.share == 1.0
    assert [item["ndcg_at_10"] for item in line["measured"]] == [0.9, 0.2, 0.2, 0.1]
    assert all(torch.equal(value, before[name]) for name, value in encoder.model.state_dict().items())


@pytest.mark.parametrize("use_lora", [False, True])
@pytest.mark.parametrize("shares", [SHARES, ()])
@pytest.mark.parametrize(("ndcg", "kept"), [(0.8, True), (0.7999, True), (0.8001, False)])
def test_the_start_is_kept_to_the_bit_where_training_gained_nothing(
    tiny_encoder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    use_lora: bool,
    shares: tuple[float, ...],
    ndcg: float,
    kept: bool,
) -> None:
    encoder, _ = trained(tiny_encoder, use_lora)
    whole = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    result, line = merged(encoder, tmp_path, lambda: found(0.1), found(ndcg), found(0.8), shares=shares)
    assert result.share == line["share"] == (0.0 if kept else 1.0)
    assert result.measured.figures["ndcg_at_10"] == (0.8 if kept else ndcg)
    assert result.beside_start == line["beside_start"]
    assert result.beside_start["kept"] == ("start" if kept else "trained")
    if kept:
        start = AutoModel.from_pretrained(tiny_encoder).state_dict()
        for name, value in lora.merged(encoder.model).state_dict().items():
            assert torch.equal(value, start[name])
    else:
        assert all(torch.equal(value, whole[name]) for name, value in encoder.model.state_dict().items())
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("the training gained nothing: the student is the base model; nDCG@10 on 8") is kept
    assert f"trained {ndcg:.4f}, base model 0.8000, difference {ndcg - 0.8:+.4f} (95 %: " in last


def test_the_smallest_share_stands_beside_the_start_not_the_best_one(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder, _ = trained(tiny_encoder, use_lora=True)
    values = iter([found(0.81), found(0.809)])
    result, _ = merged(encoder, tmp_path, lambda: next(values), found(0.8105), found(0.8092))
    assert (result.share, result.beside_start["share"]) == (0.0, 0.5)


def test_a_weak_student_is_written_where_it_is_wanted(
    tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder, _ = trained(tiny_encoder, use_lora=True)
    result, _ = merged(encoder, tmp_path, lambda: found(0.1), found(0.7), found(0.8), keep_start=False)
    assert (result.share, result.beside_start["kept"]) == (1.0, "trained")
    assert "ranks no better than the base model and is written all the same" in capsys.readouterr().err


def test_the_difference_from_the_start_is_paired_by_query(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder, _ = trained(tiny_encoder, use_lora=True)
    hard = [0.1, 0.9, 0.3, 1.0, 0.2, 0.8]
    after, before = found(0.5, [value - 0.1 for value in hard]), found(0.55, hard)
    result, _ = merged(encoder, tmp_path, lambda: found(0.1), after, before)
    # Each query loses 0.1: however hard the queries that are drawn, the difference is the same.
    assert result.beside_start["difference"] == pytest.approx({"value": -0.1, "low": -0.1, "high": -0.1})
    assert (result.beside_start["queries"], result.share) == (6, 0.0)


@pytest.mark.parametrize(("before", "expected"), [(float("nan"), True), (0.0, False), (-1.0, True)])
def test_what_cannot_be_measured_of_the_start_is_no_reason_to_keep_it(before: float, expected: bool) -> None:
    assert merging.better({"ndcg_at_10": 0.0}, {"ndcg_at_10": before}) is expected
    assert not merging.better({"ndcg_at_10": float("nan")}, {"ndcg_at_10": 0.0})


@pytest.mark.slow
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
    assert record["validation"] == {name: value for name, value in events[0]["measured"][-2].items() if name != "share"}
    assert record["beside_start"] == events[0]["beside_start"] and record["best_step"] > 0


@pytest.mark.parametrize("shares", [(), SHARES])
def test_a_student_that_learns_backwards_is_its_start_in_the_folder(
    data_root: Path,
    tiny_encoder: Path,
    tiny_teacher: Path,
    shares: tuple[float, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    values = iter([0.9, 0.5, 0.4, 0.3])
    monkeypatch.setattr(validation, "measure_student", lambda *_, **__: found(next(values)))
    made = options(data_root, tiny_teacher, tiny_encoder, merge_with_start=shares, weak_student="start", epochs=1)
    record = train(made)
    assert json.loads((Path(made.output_dir) / "bistill.json").read_text()) == record
    assert (record["merged_share"], record["best_step"], record["beside_start"]["kept"]) == (0.0, 0, "start")
    assert record["validation"] == record["validation_untouched"] == {"ndcg_at_10": 0.9, "auc": 0.5}
    start, written = (AutoModel.from_pretrained(folder).state_dict() for folder in (tiny_encoder, made.output_dir))
    assert all(torch.equal(value, start[name]) for name, value in written.items())
    said = capsys.readouterr().err
    assert said.index("the training gained nothing: the student is the base model") < said.index(
        f"student as it started written to {made.output_dir}"
    )


@pytest.mark.parametrize("shares", [(0.0,), (0.5, 1.0), (-0.5,), (2.0,)])
def test_what_is_no_share_is_an_error(shares: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match=r"`Merging.shares`: a share of the training lies between 0 and 1"):
        Merging(shares)


@pytest.mark.parametrize(
    ("shares", "expected", "tried"),
    [((0.8, 0.4, 0.2), 0.2, [1.0, 0.3, 0.2, 0.0]), ((0.8,), 0.3, [1.0, 0.3, 0.0]), ((), 1.0, [1.0, 0.0])],
)
def test_no_more_than_a_limit_is_kept_where_shares_are_tried(
    tiny_encoder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    shares: tuple[float, ...],
    expected: float,
    tried: list[float],
) -> None:
    encoder, _ = trained(tiny_encoder, False)
    measure = [found(0.7), found(0.7)].pop
    result, line = merged(encoder, tmp_path, measure, found(0.9), found(0.5), shares=shares, most=0.3)
    assert result.share == expected and [item["share"] for item in line["measured"]] == tried
    assert ("these are made queries, so that 0.3 is kept at most" in capsys.readouterr().err) is bool(shares)
