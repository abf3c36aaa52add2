"""A smaller model out of a larger one: some of its layers, evenly chosen, with all that stands before and behind them.

DistilBERT begins this way, with every second layer of BERT (Sanh et al. 2019, arXiv 1910.01108); LayerDrop cuts every
other layer, too (Fan et al. 2020, arXiv 1909.11556). What is left must be trained: on its own it ranks far worse than
the whole model.

Where a model keeps its layers and what its configuration says of each of them is not read from its name but tried: the
smaller model must give what the whole one gives when the other layers hand on what they were given.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from bistill.errors import ModelError, OptionError, Told
from bistill.models.compute.packable import made_up_texts

# What the token vectors of the two may differ by, as a share of their norm: rounding, and no more.
TOLERANCE: Final = 1e-4


def evenly(layers: int, count: int) -> list[int]:
    """``count`` of ``layers`` numbers from 0 on: the first, the last and evenly between, halves to the even number; of
    one the first."""
    return [int(number) for number in np.linspace(0, layers - 1, count).round()]


def cut(model: Any, count: int) -> tuple[Any, list[int] | None]:
    """A model of ``count`` layers of a larger one, as it would load from its own folder, and which layers these are;
    the model itself and None where these are all.

    The weights are shared with the larger model, which is not altered; the configuration is its own.

    Args:
        model: a transformers model whose layers are one ``nn.ModuleList`` of ``num_hidden_layers`` modules.
        count: layers wanted.

    Raises:
        OptionError: the model has fewer layers.
        ModelError: its layers are kept in another way, or depend on each other in a way that cannot be cut.
    """
    source = str(model.config._name_or_path)
    layers = int(model.config.get_text_config().num_hidden_layers)
    if count > layers:
        raise OptionError(
            "the model has fewer layers",
            where="`EncoderStart.layers`",
            found=Told(f"{count}, {source} has {layers}"),
            todo=f"give at most {layers}, or leave it out: then the student has all of them",
        )
    if count == layers:
        return model, None
    kept = evenly(layers, count)
    stacks = list(_stacks(model, layers))
    if len(stacks) != 1:
        raise _uncuttable(source, f"{len(stacks)} lists of {layers} layers")
    ((name, stack),) = stacks
    try:
        smaller = rebuilt(model, name, kept)
        agrees = _agrees(model, smaller, [layer for number, layer in enumerate(stack) if number not in kept])
    # What a model that cannot do this raises is its own choice.
    except Exception as error:
        raise _uncuttable(source, f"{type(error).__name__}: {error}") from error
    if not agrees:
        raise _uncuttable(source, "other token vectors than those of the whole model without these layers")
    return smaller, kept


def _uncuttable(source: str, found: str) -> ModelError:
    return ModelError(
        "layers of this model cannot be left out", where=source, found=found, todo="leave `EncoderStart.layers` out"
    )


def _stacks(model: nn.Module, layers: int) -> Iterator[tuple[str, nn.ModuleList]]:
    """Lists of so many modules that are in no other one, by name: the experts of a layer may be as many as layers."""
    found: list[str] = []
    for name, module in model.named_modules():
        nested = any(name.startswith(f"{outer}.") for outer in found)
        if isinstance(module, nn.ModuleList) and len(module) == layers and not nested:
            found.append(name)
            yield name, module


def rebuilt(model: Any, stack: str, kept: list[int]) -> Any:
    """The model of some layers: built from a configuration of so many, so that every layer has its new number."""
    config = copy.deepcopy(model.config)
    text = config.get_text_config()
    layers = int(text.num_hidden_layers)
    lists = {name: value for name, value in vars(text).items() if isinstance(value, list | tuple)}
    text.num_hidden_layers = len(kept)
    for name, value in lists.items():
        if len(value) == layers:  # a value for each layer, such as its kind of attention
            setattr(text, name, type(value)(value[number] for number in kept))
    weights = {}
    for name, value in model.state_dict().items():
        if name.startswith(f"{stack}."):
            number, rest = name.removeprefix(f"{stack}.").split(".", 1)
            if int(number) not in kept:
                continue
            name = f"{stack}.{kept.index(int(number))}.{rest}"
        weights[name] = value
    smaller, report = type(model).from_pretrained(
        None, config=config, state_dict=weights, dtype=torch.float32, output_loading_info=True
    )
    wrong = {*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]}
    if wrong:
        raise ValueError(f"weights without a place, or without a value: {sorted(map(str, wrong))}")
    smaller.config._name_or_path = model.config._name_or_path
    return smaller.to(next(model.parameters()).device).eval()


def _agrees(model: Any, smaller: Any, left_out: list[nn.Module]) -> bool:
    """Whether both give the same token vectors of made-up texts, the larger one with some layers passed over."""
    _, batch = made_up_texts(model.config.get_text_config(), next(model.parameters()).device)
    with torch.inference_mode():
        found = smaller(**batch).last_hidden_state
        with _passed_over(left_out):
            expected = model(**batch).last_hidden_state
    real = batch["attention_mask"].bool()
    distance, norm = (value.norm(dim=-1)[real] for value in (expected - found, expected))
    return bool((distance <= TOLERANCE * norm).all())


@contextmanager
def _passed_over(layers: list[nn.Module]) -> Iterator[None]:
    """Context in which some layers give the token vectors that they were given."""

    def hand_on(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
        tokens: Tensor = given[0] if given else named["hidden_states"]
        return (tokens, *output[1:]) if isinstance(output, tuple) else tokens

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.register_forward_hook(hand_on, with_kwargs=True).remove)
        yield
