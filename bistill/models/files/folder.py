"""A model's folder: moved into its place whole, which files make it up, and the fingerprint of its weights.

Nothing of torch is loaded: the monitor asks here, too.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bistill.artifacts import (
    ADAPTER_CONFIG,
    ADAPTER_DIR,
    BESIDE_MODEL,
    BEST_MODEL,
    CALIBRATION_FILE,
    LORA_CONFIG,
    MODEL_RECORD,
    MODULES_FILE,
    SENTENCE_CONFIG,
    SENTENCE_TRANSFORMERS_CONFIG,
    STAGE_RECORD,
    fingerprint,
    flush,
    sha256_of_file,
    umask,
)


def move_model(unfinished: Path, folder: Path) -> None:
    """Move the files of a model that is written whole into its folder, in place of those of an earlier one.

    The record of the earlier model goes first: a folder without it holds a model whose move was broken off. What an
    earlier model left that this one would be read together with, such as weights of another form, goes too; what is
    not a model's stays.
    """
    for name in (MODEL_RECORD, STAGE_RECORD):
        (folder / name).unlink(missing_ok=True)
    earlier = _decisive(folder)
    for path in sorted(unfinished.rglob("*")):
        place = folder / path.relative_to(unfinished)
        earlier.discard(place)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            flush(path)
            path.replace(place)
    for path in earlier:
        path.unlink(missing_ok=True)
    for path in (folder, *(place for place in folder.iterdir() if place.is_dir())):
        flush(path)
    shutil.rmtree(unfinished)


def _decisive(folder: Path) -> set[Path]:
    """Files of an earlier model that decide how a folder is read, and what is read from it."""
    patterns = (
        *(MODULES_FILE, SENTENCE_CONFIG, SENTENCE_TRANSFORMERS_CONFIG, CALIBRATION_FILE, LORA_CONFIG, BEST_MODEL),
        *("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model*.bin.index.json"),
        *("tokenizer*", "vocab.*", "merges.txt", "special_tokens_map.json"),
        *(ADAPTER_CONFIG, f"{ADAPTER_DIR}/*", "[0-9]_*/*"),
    )
    return {path for pattern in patterns for path in folder.glob(pattern) if not path.is_dir()}


def weights(folder: Path) -> list[Path]:
    """Files of weights that a model's folder holds, in any of the usual forms; those of adapters lie deeper."""
    patterns = ("*.safetensors", "pytorch_model*.bin", BEST_MODEL)
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def weights_fingerprint(folder: Path) -> str:
    """SHA-256 over the weight files of a model folder."""
    files = sorted({*folder.glob("*.safetensors"), *folder.glob("*.bin")})
    return fingerprint({file.name: sha256_of_file(file) for file in files})


def model_files(folder: Path) -> list[str]:
    """Paths, below a model's folder, of the files that make it up: weights, configuration, tokenizer, records, adapter;
    not what the run, a monitor or a pipeline keeps beside them."""
    patterns = (
        "*.safetensors",
        "*.bin",
        "*.pt",
        "*.json",
        "*.txt",
        "*.model",
        "*.py",
        "*_*/*.json",
        f"{ADAPTER_DIR}/*",
    )
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(str(path.relative_to(folder)) for path in found if path.name not in BESIDE_MODEL)


def share_weights(folder: Path) -> None:
    """Give a model's weights the permissions of an ordinary new file; safetensors writes 0600."""
    for path in (*folder.glob("*.safetensors"), *folder.glob(f"{ADAPTER_DIR}/*.safetensors")):
        if not path.is_symlink():
            path.chmod(0o666 & ~umask())
