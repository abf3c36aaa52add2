"""Unit vectors of documents in the cache: encoded once a model and text, then one memory-mapped file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from bistill import artifacts, console
from bistill.data.texts import fingerprint_of_texts
from bistill.encoders import loading
from bistill.encoders.bi_encoder import BiEncoder
from bistill.errors import ArtifactError

FORMAT: Final = "bistill.index/1"


def cached_vectors(
    encoder: BiEncoder, documents: Sequence[str], *, batch_size: int = 64, description: str = "documents"
) -> np.ndarray:
    """The unit vectors of documents by a model: from the cache, or encoded straight into it.

    A cache entry that is torn or was changed does not match its own checksum and is made again, which is said.

    Args:
        encoder: the model.
        documents: texts by id, read once or twice from the first to the last.
        batch_size: texts encoded at once.
        description: shown with the progress of encoding.

    Returns:
        float32 of shape (documents, dim), memory-mapped.

    Raises:
        ArtifactError: what was written cannot be read back.
    """
    folder = artifacts.cache_dir() / "index" / vectors_key(encoder, documents)
    shape = (len(documents), encoder.dim)
    vectors = _read(folder, shape)
    if vectors is None:
        _encode(folder, shape, encoder, documents, batch_size, description)
        vectors = _read(folder, shape)
    if vectors is None:
        raise ArtifactError("the index cannot be read back after writing", where=str(folder), todo="check the disk")
    return vectors


def vectors_key(encoder: BiEncoder, documents: Sequence[str]) -> str:
    """Key of everything that decides the vectors: model, length, prompt, arithmetic and texts."""
    return artifacts.fingerprint(
        {
            "format": FORMAT,
            "model": loading.model_fingerprint(encoder.source),
            "pooling": encoder.mode,
            "max_len": encoder.max_len,
            "document_prompt": encoder.prompts.document,
            "precision": encoder.precision,
            "documents": fingerprint_of_texts(documents),
        }
    )


def _encode(
    folder: Path,
    shape: tuple[int, int],
    encoder: BiEncoder,
    documents: Sequence[str],
    batch_size: int,
    description: str,
) -> None:
    """Vectors first, then the manifest with their checksum: without a manifest there is nothing.

    Windows are appended as they come, so that no more than one of them is in memory.
    """
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False, "shape": shape}
    with artifacts.atomic_path(folder / artifacts.VECTORS_FILE) as temporary:
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for window in encoder.document_windows(documents, batch_size=batch_size, description=description):
                file.write(np.ascontiguousarray(window, dtype=np.float32).data)
        checksum = artifacts.sha256_of_file(temporary)
    artifacts.write_json(folder / artifacts.MANIFEST, {"format": FORMAT, "shape": list(shape), "sha256": checksum})


def _read(folder: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """The memory-mapped vectors, or None where there are none that can be trusted."""
    if not (folder / artifacts.MANIFEST).exists():
        return None
    try:
        manifest = artifacts.read_json(folder / artifacts.MANIFEST)
        checksum = artifacts.sha256_of_file(folder / artifacts.VECTORS_FILE)
    except (ArtifactError, OSError) as error:
        console.say(f"{folder}: the cached index is damaged ({error}) and is made again")
        return None
    if manifest.get("sha256") != checksum or manifest.get("shape") != list(shape):
        console.say(f"{folder}: the cached index is damaged (checksum) and is made again")
        return None
    try:
        vectors: np.ndarray = np.load(
            folder / artifacts.VECTORS_FILE, mmap_mode="r" if shape[0] else None, allow_pickle=False
        )
    except ValueError as error:
        console.say(f"{folder}: the cached index is no array of numbers ({error}) and is made again")
        return None
    return vectors
