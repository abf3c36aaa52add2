"""What is named as the first thing that is NaN or infinite."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bistill.data.store.opening import load_split
from bistill.errors import TrainingError
from bistill.models.cross_encoder import CrossEncoder
from bistill.training.loop import diagnosis
from bistill.training.loop.gradients import Batch
from bistill.training.teacher.pairs import PairTask

NAN = float("nan")
SAMPLES = np.array([3, 17, 30, 8])


@pytest.fixture
def encoder(tiny_teacher: Path) -> CrossEncoder:
    encoder = CrossEncoder.load(str(tiny_teacher), max_len=32, precision="fp32")
    encoder.model.train()
    return encoder


@pytest.fixture
def task(data_root: Path, encoder: CrossEncoder) -> PairTask:
    return PairTask(
        encoder, load_split(data_root / "tiny" / "train.csv"), np.arange(12), negatives_per_positive=4, seed=42
    )


TODO = "\n  do: look at the text; or begin anew with `restart` and a lower `lr` or `precision` fp32"


def diagnosed(model: nn.Module, batch: Batch) -> str:
    """The diagnosis; no gradient stays behind."""
    error = diagnosis.error(model, batch, {"loss": NAN}, "the loss is NaN or infinite", seed=1, where="step 9")
    assert isinstance(error, TrainingError)
    text = str(error)
    assert text.startswith(
        "step 9: the loss is NaN or infinite twice at the same place; "
        "the weights are those before this update. Diagnosis: "
    )
    assert "found: {'loss': nan}" in text and text.endswith(TODO)
    assert all(value.grad is None for value in model.parameters())
    return text.split("Diagnosis: ")[1].split("\n")[0]


class BadGradient(torch.autograd.Function):
    """Passes values on and turns their gradient into NaN."""

    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient * NAN


def changed(batch: Batch, change: Callable[[Tensor, np.ndarray], Tensor]) -> Batch:
    """Rows by ``change(rows, places)``."""
    return dataclasses.replace(batch, forward=lambda places: change(batch.forward(places), places))


def poison_layer(encoder: CrossEncoder, batch: Batch, place: int, layer: str, value: float) -> Batch:
    """One layer gives a bad value while the text at ``place`` is run."""
    at: list[int] = []

    def forward(places: np.ndarray) -> Tensor:
        at[:] = places.tolist()
        return batch.forward(places)

    def spoil(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        if place not in at:
            return output
        output = output.clone()
        output[at.index(place)].view(-1)[3] = value
        return output

    encoder.model.get_submodule(layer).register_forward_hook(spoil)
    return dataclasses.replace(batch, forward=forward)


def test_a_weight_is_named(encoder: CrossEncoder, task: PairTask) -> None:
    name = "bert.encoder.layer.1.output.dense.weight"
    with torch.no_grad():
        encoder.model.get_parameter(name)[3, 5] = NAN
    found = diagnosed(encoder.model, task.batch(SAMPLES, 0))
    assert found == f"the weight {name} itself holds NaN or infinite values"


@pytest.mark.parametrize(
    ("layer", "value"),
    [
        ("bert.encoder.layer.0.attention.self.value", NAN),  # fused attention swallows a query's on some CPUs
        ("bert.encoder.layer.1.intermediate.dense", NAN),
        ("bert.encoder.layer.1.intermediate.dense", float("inf")),
        ("bert.pooler.dense", NAN),
    ],
)
def test_a_text_and_its_first_bad_layer_are_named(
    encoder: CrossEncoder, task: PairTask, layer: str, value: float
) -> None:
    batch = poison_layer(encoder, task.batch(SAMPLES, 0), 2, layer, value)
    (query, document), _ = task.pair(30, 0)
    assert (
        diagnosed(encoder.model, batch) == f"the output for pair 30 ({query!r}, {document!r}), first in layer {layer}"
    )


def test_a_row_that_is_bad_behind_the_last_layer(encoder: CrossEncoder, task: PairTask) -> None:
    batch = changed(task.batch(SAMPLES, 0), lambda rows, places: rows / torch.tensor([float(n != 1) for n in places]))
    found = diagnosed(encoder.model, batch)
    assert found.startswith("the output for pair 17 (") and found.endswith(", behind the model's last layer")


def test_a_loss_term_is_named_rather_than_the_sum(encoder: CrossEncoder, task: PairTask) -> None:
    whole = task.batch(SAMPLES, 0)

    def terms(rows: Tensor, places: np.ndarray) -> dict[str, Tensor]:
        loss = whole.terms(rows, places)["loss"]
        return {"loss": loss + loss * NAN, "first": loss, "second": loss * NAN}

    assert diagnosed(encoder.model, dataclasses.replace(whole, terms=terms)) == "the loss term second"
    assert (
        diagnosed(encoder.model, dataclasses.replace(whole, terms=lambda *_: {"loss": torch.tensor(NAN)}))
        == "the loss term loss"
    )


def test_a_gradient_of_the_loss_by_a_text(encoder: CrossEncoder, task: PairTask) -> None:
    whole = task.batch(SAMPLES, 0)

    def terms(rows: Tensor, places: np.ndarray) -> dict[str, Tensor]:
        loss = whole.terms(rows, places)["loss"]
        return {"loss": loss + BadGradient.apply(rows[1]) * 0}

    found = diagnosed(encoder.model, dataclasses.replace(whole, terms=terms))
    (query, document), _ = task.pair(17, 0)
    assert found == f"the gradient of the loss by the output for pair 17 ({query!r}, {document!r})"


def test_a_gradient_within_the_model_by_text_and_parameter(encoder: CrossEncoder, task: PairTask) -> None:
    whole, at = task.batch(SAMPLES, 0), list[int]()
    encoder.model.get_submodule("bert.encoder.layer.0.output").register_forward_hook(
        lambda _module, _inputs, output: BadGradient.apply(output) if 3 in at else output
    )

    def forward(places: np.ndarray) -> Tensor:
        at[:] = places.tolist()
        return whole.forward(places)

    found = diagnosed(encoder.model, dataclasses.replace(whole, forward=forward))
    (query, document), _ = task.pair(8, 0)
    # The first on the way back below the output of layer 0 is the scale or the shift of its norm.
    prefix = f"the gradient of pair 8 ({query!r}, {document!r}), first in bert.encoder.layer.0.output.LayerNorm."
    assert found in (f"{prefix}weight", f"{prefix}bias")


def test_nothing_is_claimed_where_nothing_is_found(encoder: CrossEncoder, task: PairTask) -> None:
    found = diagnosed(encoder.model, task.batch(SAMPLES, 0))
    assert found == "it did not come again when the texts were run one by one"
