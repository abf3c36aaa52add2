"""Where numbers first stopped being numbers: which weight, text, layer, loss term or gradient."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from bistill.errors import TrainingError
from bistill.models.compute.dropout import text_dropout
from bistill.training.loop.gradients import Batch


def error(
    model: nn.Module, batch: Batch, terms: dict[str, float], what: str, *, seed: int, where: str
) -> TrainingError:
    """The error that stops a run, with a diagnosis.

    The texts are run again one by one with the same dropout, first forward, then backward.

    Args:
        model: whose weights are as before the update.
        batch: of the update.
        terms: loss terms found.
        what: the fact in one sentence.
        seed: of the update's dropout.
        where: step and samples.
    """
    model.zero_grad(set_to_none=True)
    found = (
        _in_weights(model) or _in_rows(model, batch, seed) or _in_terms(batch, seed) or _in_gradient(model, batch, seed)
    )
    model.zero_grad(set_to_none=True)
    return TrainingError(
        f"{what} twice at the same place; the weights are those before this update. Diagnosis: "
        f"{found or 'it did not come again when the texts were run one by one'}",
        where=where,
        found=terms,
        todo="look at the text; or begin anew with `restart` and a lower `lr` or `precision` fp32",
    )


def _in_weights(model: nn.Module) -> str:
    named = (name for name, value in model.named_parameters() if not torch.isfinite(value).all())
    name = next(named, "")
    return f"the weight {name} itself holds NaN or infinite values" if name else ""


def _in_rows(model: nn.Module, batch: Batch, seed: int) -> str:
    """First text whose row is NaN or infinite, and the first module that gave such a value for it."""
    for place in batch.places:
        with _first_module(model) as modules, torch.no_grad():
            row = _row(batch, place, seed)
        if not torch.isfinite(row).all():
            layer = f", first in layer {modules[0]}" if modules else ", behind the model's last layer"
            return f"the output for {batch.describe(int(place))}{layer}"
    return ""


def _in_terms(batch: Batch, seed: int) -> str:
    """First loss term that is NaN or infinite though all rows are numbers."""
    with torch.no_grad():
        terms = batch.terms(_rows(batch, seed), batch.places)
    bad = [name for name, value in terms.items() if not torch.isfinite(value)]
    # The sum stands first and is bad with any of its parts: the part is what tells something.
    return f"the loss term {bad[-1] if bad[0] == 'loss' else bad[0]}" if bad else ""


def _in_gradient(model: nn.Module, batch: Batch, seed: int) -> str:
    """First text whose gradient is NaN or infinite, and the first layer on the way back where it is none."""
    with torch.no_grad():
        rows = _rows(batch, seed)
    rows.requires_grad_()
    batch.terms(rows, batch.places)["loss"].backward()
    assert rows.grad is not None
    for place in batch.places:
        text = batch.describe(int(place))
        if not torch.isfinite(rows.grad[place]).all():
            return f"the gradient of the loss by the output for {text}"
        model.zero_grad(set_to_none=True)
        with _first_gradient(model) as names:
            _row(batch, place, seed).backward(rows.grad[place : place + 1])
        if names:
            return f"the gradient of {text}, first in {names[0]}"
    return ""


def _row(batch: Batch, place: int, seed: int) -> Tensor:
    places = np.array([place])
    with text_dropout(seed, places):
        return batch.forward(places)


def _rows(batch: Batch, seed: int) -> Tensor:
    return torch.cat([_row(batch, place, seed) for place in batch.places])


@contextlib.contextmanager
def _first_module(model: nn.Module) -> Iterator[list[str]]:
    """Names of innermost modules with an output that is NaN or infinite, in the order of the forward pass."""
    found: list[str] = []

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and not torch.isfinite(output).all():
                found.append(name)

        return hook

    inner = ((name, module) for name, module in model.named_modules() if not any(module.children()))
    with contextlib.ExitStack() as stack:
        for name, module in inner:
            stack.enter_context(module.register_forward_hook(note(name)))
        yield found


@contextlib.contextmanager
def _first_gradient(model: nn.Module) -> Iterator[list[str]]:
    """Names of parameters whose gradient is NaN or infinite, in the order of the backward pass."""
    found: list[str] = []

    def note(name: str) -> Callable[[Tensor], None]:
        def hook(value: Tensor) -> None:
            if value.grad is not None and not torch.isfinite(value.grad).all():
                found.append(name)

        return hook

    trained = ((name, value) for name, value in model.named_parameters() if value.requires_grad)
    with contextlib.ExitStack() as stack:
        for name, value in trained:
            stack.enter_context(value.register_post_accumulate_grad_hook(note(name)))
        yield found
