"""What the library says of its parameters, as a command line says it: `` `Lora.rank` `` is ``--lora_r``."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import cache
from typing import Final

from bistill.app import config
from bistill.app.options import Options, notes

PARAMETER: Final = re.compile(r"`([A-Za-z_]+(?:\.\w+)?)`")
# Parameters that no single option becomes, or one whose note cannot name them: their settings load torch.
SEVERAL: Final = {
    "Version.root": "data_root",
    "Version.name": "data_version",
    "lora": "use_lora",
    "losses": "listwise_weight contrastive_weight negative_penalty_weight info_nce_weight",
    "TaughtBy.embedding": "embedding_teacher",
    "EmbeddingKL.weight": "embedding_weight",
    "VectorDistance.weight": "vector_weight",
}


def spoken(text: str) -> str:
    """The text with every parameter that a flag sets, in backticks, replaced by the flag; others stay."""
    return PARAMETER.sub(lambda found: _flag(found[1]) or found[0], text)


@cache
def renamed() -> dict[str, str]:
    """Names of flags by parameter, where the flag has another name than the parameter."""
    found = {
        f"{note.of[0].__name__}.{note.of[1]}": name
        for kind in _option_classes()
        for name, note in notes(kind).items()
        if note.of is not None and note.of[1] != name
    }
    return found | SEVERAL


def _flag(parameter: str) -> str:
    names = renamed().get(parameter, parameter.rpartition(".")[2]).split()
    return ", ".join(f"--{name}" for name in names) if _names().issuperset(names) else ""


def _option_classes() -> list[type[Options]]:
    kinds = (getattr(config, name) for name in config.__all__)
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Options)]


@cache
def _names() -> frozenset[str]:
    """Names of all options."""
    return frozenset(field.name for kind in _option_classes() for field in fields(kind))
