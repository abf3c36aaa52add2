"""What a model folder can bring along to run code on the machine that loads it: all of it is refused by name.

Weights are read as tensors only (safetensors, or ``torch.load`` with ``weights_only=True``), so that a pickle cannot
run anything. Python code of a model, and kernels that its configuration names, run only where the user says so.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch

from bistill import artifacts
from bistill.errors import ModelError
from bistill.models.files import directories

# An attention implementation with a slash is a kernel on the hub: compiled and Python code that transformers fetches.
ATTENTION_KEYS: Final = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")
# What transformers reads where a folder has no safetensors; other .bin files (training_args.bin) are never opened.
PICKLED_WEIGHTS: Final = "pytorch_model*.bin"


def check_model(path: str, *, trust_remote_code: bool) -> None:
    """Refuse a model folder that would run code, or load another model than itself.

    A model with ``auto_map`` is refused also where transformers has a class of its own for the model's type: that
    class may compute something else than the model's own one.

    Args:
        path: the folder.
        trust_remote_code: whether code that the model brings along may run.

    Raises:
        ModelError: it brings code and must not, or it is an adapter.
    """
    if directories.json_of(path, artifacts.ADAPTER_CONFIG) is not None:
        raise ModelError(
            "adapters of another model are not loaded, only whole models are",
            where=f"{path}/{artifacts.ADAPTER_CONFIG}",
            todo=f"merge them into their model and give its folder; {artifacts.ADAPTER_DIR}/ of a model of bistill is "
            "already merged into the folder above it",
        )
    if trust_remote_code:
        return
    for file in (artifacts.CONFIG_FILE, artifacts.TOKENIZER_CONFIG):
        for key, value in _entries(directories.json_of(path, file)):
            if (key == "auto_map" and value) or (key in ATTENTION_KEYS and "/" in str(value)):
                raise ModelError(
                    "the model brings code along, which is never run unless `trust_remote_code` is given",
                    where=f"{path}/{file}",
                    found={key: value},
                    todo="read the code, and give `trust_remote_code` if you trust it; or give a model without code",
                )


def check_weights(file: Path) -> None:
    """Refuse a file of PyTorch weights that holds anything but tensors; nothing in it is run to find out.

    Tensors are mapped, not read, where the file's form allows it (as everything that PyTorch writes since 1.6).

    Raises:
        ModelError: it does not exist, is damaged, or holds pickled code.
    """
    if not file.is_file():
        raise ModelError("no such file", where=str(file), todo="give the model's folder")
    try:
        torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except Exception as error:  # damaged bytes make an unpickler raise anything
        code = re.search(r"\bGLOBAL (\S+)", str(error))
        raise ModelError(
            "the file is damaged or holds pickled code, which is never run",
            where=str(file),
            found=code[1] if code else None,
            todo="fetch the model again from a source that you trust, as safetensors",
        ) from None


def check_folder(folder: Path) -> None:
    """``check_weights`` of the files that transformers reads as pickled weights.

    Raises:
        ModelError: one is refused.
    """
    for file in sorted(folder.glob(PICKLED_WEIGHTS)):
        check_weights(file)


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Keys and values of a JSON value at any depth: a configuration may hold those of other models."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)
