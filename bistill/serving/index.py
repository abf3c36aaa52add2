"""An exact cosine index: the unit vectors of all documents in one memory-mapped file, made once a model and text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from bistill import artifacts, console, metrics
from bistill.data.texts import fingerprint_of_texts
from bistill.encoders import loading
from bistill.encoders.bi_encoder import BiEncoder
from bistill.errors import ArtifactError

FORMAT: Final = "bistill.index/1"


class Hit(NamedTuple):
    """One document found: its place in the documents, its cosine with the query in -1..1, its text."""

    document_id: int
    score: float
    text: str


class Index:
    """Documents, their vectors and the model that made them.

    Attributes:
        encoder: the model.
        documents: texts by id.
        vectors: unit vectors, float32 of shape (documents, dim), memory-mapped.
    """

    def __init__(self, encoder: BiEncoder, documents: Sequence[str], vectors: np.ndarray) -> None:
        assert vectors.shape == (len(documents), encoder.dim)
        self.encoder, self.documents, self.vectors = encoder, documents, vectors

    def search(self, queries: Sequence[str], top_k: int, *, batch_size: int = 64) -> list[list[Hit]]:
        """The ``top_k`` documents of highest cosine for each query, the best first; fewer where there are fewer."""
        vectors = self.encoder.encode_queries(queries, batch_size=batch_size)
        ids, scores = metrics.top_documents(vectors, self.vectors, top_k)
        return [
            [Hit(document, score, self.documents[document]) for document, score in zip(*found, strict=True)]
            for found in zip(ids.tolist(), scores.tolist(), strict=True)
        ]


def open_index(
    encoder: BiEncoder, documents: Sequence[str], *, batch_size: int = 64, description: str = "documents"
) -> Index:
    """The index of a model over documents: from the cache, or encoded and put there.

    A cache entry that is torn or was changed does not match its own checksum and is made again, which is said.

    Args:
        encoder: the model.
        documents: texts by id.
        batch_size: texts encoded at once.
        description: shown with the progress of encoding.
    """
    folder = artifacts.cache_dir() / "index" / index_key(encoder, documents)
    shape = (len(documents), encoder.dim)
    vectors = _read(folder, shape)
    if vectors is None:
        encoded = encoder.encode_documents(documents, batch_size=batch_size, description=description)
        _write(folder, encoded)
        vectors = _read(folder, shape)
    if vectors is None:
        raise ArtifactError("the index cannot be read back after writing", where=str(folder), todo="check the disk")
    return Index(encoder, documents, vectors)


def index_key(encoder: BiEncoder, documents: Sequence[str]) -> str:
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


def _write(folder: Path, vectors: np.ndarray) -> None:
    """Vectors first, then the manifest with their checksum: without a manifest there is no index."""
    with artifacts.atomic_path(folder / artifacts.VECTORS_FILE) as temporary:
        with temporary.open("wb") as file:
            np.save(file, np.ascontiguousarray(vectors, dtype=np.float32), allow_pickle=False)
        checksum = artifacts.sha256_of_file(temporary)
    artifacts.write_json(
        folder / artifacts.MANIFEST, {"format": FORMAT, "shape": list(vectors.shape), "sha256": checksum}
    )


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
    vectors: np.ndarray = np.load(
        folder / artifacts.VECTORS_FILE, mmap_mode="r" if shape[0] else None, allow_pickle=False
    )
    return vectors
