"""Recipes: what a distillation learns where no flag says otherwise.

``best`` is what the options have by default. ``contract`` is the loss of stage 2 as it was first asked for, with what
its first users ran it with (``docs/decisions/0003``, ``0024``). A flag that is given wins over both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any, Final

from bistill.app.config import DistillationOptions, PipelineOptions, Recipe

# Whether `contract` keeps what `best` adds to the loss of the contract: the labels' cross-entropy, the documents of the
# batch as negatives, and merging with the start. Not: docs/decisions/0024 says why, and which figures decide it anew.
CONTRACT_KEEPS_ADDITIONS: Final = False

_TERMS: Final[dict[str, Any]] = {"tau": 0.2, "contrastive_weight": 0.3, "negative_penalty_weight": 0.4}
_SIZES: Final[dict[str, Any]] = {"K": 16, "batch_size": 16, "max_len": 256}
_NEGATIVES: Final[dict[str, Any]] = {"miners": ("labelled", "random"), "choice": "random"}
_WITHOUT_ADDITIONS: Final[dict[str, Any]] = {"info_nce_weight": 0.0, "in_batch": "never", "merge_with_start": ()}

# A command that gives one of these and no recipe means the contract's loss.
LOSS_FLAGS: Final = tuple(_TERMS)


def values(recipe: Recipe) -> dict[str, Any]:
    """Values by name of option in which a recipe differs from, or repeats, the defaults of the options."""
    if recipe == "best":
        return {}
    return _TERMS | _SIZES | _NEGATIVES | ({} if CONTRACT_KEEPS_ADDITIONS else _WITHOUT_ADDITIONS)


def in_force(asked: Recipe | None, given: Collection[str]) -> Recipe:
    """The recipe that was asked for; without one ``contract`` where one of ``LOSS_FLAGS`` is given, else ``best``."""
    return asked or ("contract" if any(name in given for name in LOSS_FLAGS) else "best")


def applied(options: DistillationOptions, given: Collection[str]) -> DistillationOptions:
    """The options with the values of the recipe in force wherever none was given.

    Args:
        options: as parsed, with the defaults of ``best``.
        given: names of the options that a command line or a YAML file gave.
    """
    recipe = in_force(options.recipe, given)
    others = {name: value for name, value in values(recipe).items() if name not in given}
    return dataclasses.replace(options, **others, recipe=recipe)


def of_pipeline(options: PipelineOptions, given: Collection[str]) -> PipelineOptions:
    """The same for the pipeline, whose ``given`` names have their section in front: ``distillation.tau``."""
    distillation = options.distillation
    own = {name.removeprefix("distillation.") for name in given if name.startswith("distillation.")}
    recipe = in_force(options.recipe, own)
    if distillation.recipe is not None:  # the pipeline refuses it as it does every option that it decides itself
        return options
    distillation = applied(dataclasses.replace(distillation, recipe=recipe), own)
    return dataclasses.replace(options, recipe=recipe, distillation=distillation)


def said(options: DistillationOptions) -> str:
    """One line about the recipe in force: its name, and in what the options differ from it."""
    assert options.recipe is not None
    defaults = {field.name: field.default for field in dataclasses.fields(options)} | values(options.recipe)
    own = [name for name in (*_TERMS, *_NEGATIVES, *_WITHOUT_ADDITIONS) if getattr(options, name) != defaults[name]]
    other = "best" if options.recipe == "contract" else "contract"
    changed = f", but for {', '.join(f'--{name} {_shown(getattr(options, name))}' for name in own)}" if own else ""
    return f"recipe: {options.recipe}{changed} (--recipe {other} is the other one)"


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
