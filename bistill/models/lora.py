"""Low-rank adapters through peft: which modules they reach, and saving that loses nothing.

What peers get wrong (sentence-transformers #3980): the head of a Cross-Encoder that LoRA leaves frozen, random or
unsaved. Here every module that was new at loading, and every known head, trains whole and is saved with the adapter.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from bistill import artifacts
from bistill.errors import ModelError
from bistill.models import reading
from bistill.models.files import folder as model_folder
from bistill.models.settings import Lora

HEAD_NAMES: Final = ("classifier", "score", "head", "out_proj", "classification_head", "pre_classifier")


def apply(model: nn.Module, lora: Lora, *, new_keys: list[str], seed: int) -> Any:
    """Wrap a transformers model so that adapters on all its linear layers, and its whole head, train.

    Args:
        model: a sequence-classification model or a bare encoder.
        lora: rank, scale and dropout.
        new_keys: parameters that the loading report calls missing, hence random.
        seed: of the adapters' initial weights.

    Returns:
        The ``PeftModel``; only adapters and head require gradients.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    whole = whole_modules(model, new_keys)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=_linear_layers(model, whole),
        modules_to_save=whole or None,
        task_type=TaskType.SEQ_CLS if whole else TaskType.FEATURE_EXTRACTION,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def heads(model: nn.Module) -> list[str]:
    """Names of a classification model's head modules; none for a bare encoder."""
    return [name for name, _ in model.named_children() if name in HEAD_NAMES]


def whole_modules(model: nn.Module, new_keys: list[str]) -> list[str]:
    """Names of the modules that must train whole: known heads, the owners of random parameters, and under a random
    head the pooler that feeds it (a Bi-Encoder's start has one that was never used).

    A bare encoder has none: no token vector passes through its pooler.
    """
    base = getattr(model, "base_model_prefix", "")
    known = heads(model)
    if not known and not new_keys:
        return []
    owners = {_owner(key, base) for key in new_keys}
    pooler = {"pooler"} if new_keys and getattr(getattr(model, base, None), "pooler", None) is not None else set()
    return sorted({*known, *owners, *pooler})


def save(folder: Path, model: Any, plain: Any, lora: Lora | None, base_model: str, *, adapter: bool = True) -> None:
    """Write the weights of a model: whole in the folder, with LoRA the adapter beside, and ``lora_config.json``.

    Args:
        folder: of the model.
        model: the model in training.
        plain: ``merged(model)``.
        lora: settings of the adapters; None: all weights were trained.
        base_model: folder of the model that the adapters belong to.
        adapter: whether the adapter is written beside.
    """
    plain.save_pretrained(str(folder))
    published = reading.hub_name(base_model)
    if adapter and is_lora(model):
        _save_adapter(folder / artifacts.ADAPTER_DIR, model, base_model, published)
    write_config(folder, lora, published or base_model)
    model_folder.share_weights(folder)


def _save_adapter(folder: Path, model: Any, base_model: str, published: str) -> None:
    """Write the adapter of a model. Its configuration names what it belongs to, its card only what the hub knows: a
    path of this machine in a card is refused there.

    Args:
        folder: of the adapter.
        model: the ``PeftModel``.
        base_model: folder of the model that it belongs to.
        published: its hub name, or "".
    """
    from huggingface_hub import ModelCard

    for config in model.peft_config.values():
        config.base_model_name_or_path = published or base_model
    # The word table never changes, and peft would ask the hub for the base model to find that out.
    model.save_pretrained(str(folder), save_embedding_layers=False)
    card = ModelCard.load(folder / reading.CARD)
    card.data.base_model = published or None
    tags = [tag for tag in card.data.tags or [] if not tag.startswith("base_model:")]
    card.data.tags = [*tags, *([f"base_model:adapter:{published}"] if published else [])]
    card.save(folder / reading.CARD)


def merged(model: nn.Module) -> nn.Module:
    """A plain transformers model with the adapters added into a copy of the weights; the original stays as it is."""
    from peft import PeftModel

    return copy.deepcopy(model).merge_and_unload() if isinstance(model, PeftModel) else model


def is_lora(model: Any) -> bool:
    """Whether the model is a ``PeftModel``."""
    from peft import PeftModel

    return isinstance(model, PeftModel)


def write_config(folder: Path, lora: Lora | None, base_model: str) -> None:
    """Write ``lora_config.json``, so that the settings are never given again; without adapters it says so beside the
    default settings, which later stages expect to find."""
    settings = lora or Lora()
    artifacts.write_json(
        folder / artifacts.LORA_CONFIG,
        {
            "use_lora": lora is not None,
            "lora_r": settings.rank,
            "lora_alpha": settings.alpha,
            "lora_dropout": settings.dropout,
            "base_model": base_model,
        },
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Read ``lora_config.json``; an empty dictionary where a model trained elsewhere has none.

    Raises:
        ModelError: the file lacks a setting.
    """
    path = folder / artifacts.LORA_CONFIG
    if not path.exists():
        return {}
    config = artifacts.read_json(path)
    if missing := {"lora_r", "lora_alpha", "lora_dropout"} - config.keys():
        raise ModelError(
            "the file lacks settings", where=str(path), found=sorted(missing), todo="train the model again"
        )
    return config


def _linear_layers(model: nn.Module, whole: list[str]) -> list[str]:
    """Full names of the linear layers that carry adapters: all but whole modules and a bare encoder's unused pooler."""
    skipped = set(whole or ["pooler"])
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and not skipped & set(name.split("."))
    ]


def _owner(key: str, base_prefix: str) -> str:
    """Module name that owns a parameter, below the encoder's prefix: ``bert.pooler.dense.weight`` -> ``pooler``."""
    parts = key.split(".")
    return parts[1] if parts[0] == base_prefix and len(parts) > 2 else parts[0]
