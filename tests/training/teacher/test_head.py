"""A new head is fitted before the first update of a run, and once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression

from bistill import artifacts
from bistill.app.commands.teacher import train
from bistill.data.store.opening import load_split
from bistill.journal import Journal, read
from bistill.models import lora, new_head
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.settings import Lora
from bistill.training.loop.hook import Progress
from bistill.training.teacher.head import FitHead
from bistill.training.teacher.pairs import PairTask
from tests.training.teacher.test_train import options


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    return [item for item in read(folder / artifacts.JOURNAL) if item["event"] == name]


def task_of(encoder: CrossEncoder, data_root: Path) -> PairTask:
    dataset = load_split(data_root / "tiny" / "train.csv")
    return PairTask(encoder, dataset, np.arange(12), negatives_per_positive=3, seed=42)


def test_pairs_are_drawn_with_their_labels_from_an_epoch_that_is_never_trained(
    data_root: Path, tiny_encoder: Path
) -> None:
    task = task_of(CrossEncoder.start(str(tiny_encoder), max_len=32, precision="fp32", seed=0), data_root)
    pairs, labels = task.drawn(10**6)
    assert len(pairs) == len(set(pairs)) == task.samples == 48
    positive = [document == query.replace("how to", "returns the") for query, document in pairs]
    assert labels.tolist() == [float(found) for found in positive]
    few, own = task.drawn(10)
    assert (few, own.tolist()) == (pairs[:10], labels[:10].tolist())
    assert all(set(pairs) != {task.pair(sample, epoch)[0] for sample in range(48)} for epoch in range(3))


@pytest.mark.parametrize("use_lora", [False, True])
def test_before_the_first_update_the_head_is_the_fit(data_root: Path, tiny_encoder: Path, use_lora: bool) -> None:
    made = options(data_root, tiny_encoder, epochs=1, lr=0.0, use_lora=use_lora, lora_r=4, head_pairs=40)
    record = train(made)
    untouched = CrossEncoder.start(str(tiny_encoder), max_len=32, precision="fp32", seed=42)
    pairs, labels = task_of(untouched, data_root).drawn(40)
    if use_lora:  # its dropout counts
        untouched.model = lora.apply(untouched.model, Lora(rank=4), new_keys=untouched.new_keys, seed=42)
    layer = new_head.last_layer(untouched)
    new_head.settle(untouched, layer, pairs, seed=42)
    inputs = new_head.inputs_of(untouched, layer, pairs, seed=42).astype(np.float64)
    mean, scale = inputs.mean(axis=0), inputs.std(axis=0)
    reference = LogisticRegression(C=1 / (40 * new_head.PENALTY), tol=1e-10, max_iter=10_000)
    reference.fit((inputs - mean) / scale, labels)
    found = load_file(Path(made.output_dir) / artifacts.WEIGHTS_FILE)
    np.testing.assert_allclose(found["classifier.weight"], reference.coef_ / scale, atol=1e-3)
    np.testing.assert_allclose(
        found["classifier.bias"], reference.intercept_ - (reference.coef_ / scale) @ mean, atol=1e-3
    )
    settled: Any = lora.merged(untouched.model)
    assert torch.equal(found["bert.pooler.dense.weight"], settled.bert.pooler.dense.weight)
    head = record["new_head"]
    assert (head["pairs"], head["inputs"], head["share"]) == (40, 32, labels.mean())
    (event,) = events(Path(made.output_dir), "head")
    assert {name: event[name] for name in head} == head
    # Nothing was learned: the validations before and after are of this head.
    assert record["validation_untouched"] == record["validation"]
    assert [item["step"] for item in events(Path(made.output_dir), "evaluation")] == [0, 6]


def test_no_pairs_leave_the_head_at_random(data_root: Path, tiny_encoder: Path) -> None:
    made = options(data_root, tiny_encoder, epochs=1, lr=0.0, head_pairs=0)
    record = train(made)
    start = CrossEncoder.start(str(tiny_encoder), max_len=32, precision="fp32", seed=42)
    saved = load_file(Path(made.output_dir) / artifacts.WEIGHTS_FILE)
    for name, value in start.model.state_dict().items():
        assert torch.equal(saved[name], value), name
    assert "new_head" not in record and record["validation_untouched"] is None
    assert events(Path(made.output_dir), "head") == []


def test_a_head_that_is_there_stays(data_root: Path, tiny_teacher: Path) -> None:
    made = options(data_root, tiny_teacher, epochs=1, lr=0.0)
    record = train(made)
    saved = load_file(Path(made.output_dir) / artifacts.WEIGHTS_FILE)
    before = load_file(tiny_teacher / artifacts.WEIGHTS_FILE)
    assert all(torch.equal(saved[name], value) for name, value in before.items())
    assert "new_head" not in record


def fit_head(encoder: CrossEncoder, data_root: Path, tmp_path: Path) -> FitHead:
    return FitHead(encoder, task_of(encoder, data_root), pairs=40, seed=42, journal=Journal(tmp_path / "journal.jsonl"))


def test_a_run_that_goes_on_does_not_fit_again(data_root: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = CrossEncoder.start(str(tiny_encoder), max_len=32, precision="fp32", seed=0)
    first = fit_head(encoder, data_root, tmp_path)
    first.at_start(Progress(total_steps=6))
    with torch.no_grad():
        encoder.model.classifier.weight.fill_(3.0)
    second = fit_head(encoder, data_root, tmp_path)
    second.restore(first.state(), {})
    second.at_start(Progress(total_steps=6))
    assert (encoder.model.classifier.weight == 3).all()
    assert second.record() == first.record()
    without = fit_head(encoder, data_root, tmp_path)  # of a checkpoint that an unfitted run wrote
    without.at_start(Progress(total_steps=6, step=2))
    assert (encoder.model.classifier.weight == 3).all() and without.record() == {}


def test_numbers_that_are_none_are_left_to_the_first_update(
    data_root: Path, tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = CrossEncoder.start(str(tiny_encoder), max_len=32, precision="fp32", seed=0)
    before = encoder.model.classifier.weight.detach().clone()
    with torch.no_grad():
        encoder.model.bert.encoder.layer[1].output.dense.bias[0] = float("nan")
    hook = fit_head(encoder, data_root, tmp_path)
    hook.at_start(Progress(total_steps=6))
    assert torch.equal(encoder.model.classifier.weight, before) and hook.record() == {}
    assert "the new head is not fitted: what it reads is NaN or infinite" in capsys.readouterr().err
