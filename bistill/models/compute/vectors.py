"""Unit vectors of texts: written window by window into one file, and kept in the cache by model and texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, overload

import numpy as np

from bistill import artifacts, cache_folder, console, distributed
from bistill.arrays import Floats
from bistill.data.settings import TextKind
from bistill.data.store.texts import fingerprint_of_texts
from bistill.errors import ArtifactError
from bistill.models.compute import crewed
from bistill.models.compute.unfinished import UnfinishedVectors, alone
from bistill.models.files import loading
from bistill.models.unloaded import AnyEncoder

FORMAT: Final = "bistill.index/1"
NAMES: Final[dict[TextKind, str]] = {"document": "documents", "query": "queries"}


def cached_vectors(
    encoder: AnyEncoder,
    texts: Sequence[str],
    *,
    kind: TextKind = "document",
    batch_size: int = 64,
    description: str = "documents",
) -> Floats:
    """The unit vectors of texts by a model: from the cache, or encoded straight into it.

    A cache entry that is torn or was changed does not match its own checksum and is made again, which is said. Encoding
    that was broken off goes on. Of several processes that ask at once one encodes, the others wait and use the result.

    Args:
        encoder: the model; one that is not loaded is loaded where the cache lacks the vectors.
        texts: by id, read once or twice from the first to the last.
        kind: whose prompt goes in front of them.
        batch_size: texts encoded at once.
        description: shown with the progress of encoding.

    Returns:
        float32 of shape (texts, dim), memory-mapped.

    Raises:
        ArtifactError: the cache cannot be written, or what was written cannot be read back.
        ProcessError: as ``write_vectors``.
    """
    key = vectors_key(encoder, texts, kind)
    folder = cache_folder.cache_dir() / "index" / key
    shape = (len(texts), encoder.dim)

    def conclude(checksum: str) -> None:
        manifest = {"format": FORMAT, "shape": list(shape), "sha256": checksum}
        artifacts.write_json(folder / artifacts.MANIFEST, manifest)

    try:
        cache_folder.check_cache(folder)
    except ArtifactError:  # nobody writes there: what a read-only cache holds whole can be used without a lock
        if (vectors := _read(folder, shape)) is not None:
            return vectors
        raise
    with alone(folder, description):
        vectors = _read(folder, shape)
        if vectors is None:
            write_vectors(
                folder / artifacts.VECTORS_FILE,
                encoder,
                texts,
                inputs={"key": key},
                conclude=conclude,
                kind=kind,
                batch_size=batch_size,
                description=description,
            )
            vectors = _read(folder, shape)
    if vectors is None:
        raise ArtifactError("the index cannot be read back after writing", where=str(folder), todo="check the disk")
    return vectors


def write_vectors(
    path: Path,
    encoder: AnyEncoder,
    texts: Sequence[str],
    *,
    inputs: dict[str, Any],
    conclude: Callable[[str], None],
    kind: TextKind = "document",
    batch_size: int = 64,
    description: str = "",
) -> None:
    """Encode texts into a .npy file, going on where an earlier process with the same inputs was broken off.

    No more than one window is in memory, and with the same ``batch_size`` the windows are the same ones: the file has
    the very bytes of one that was made without interruption. Going on with another one is allowed; sums then differ in
    their last bits, as they do between any two batch sizes. The caller holds the folder ``alone``.

    Args:
        path: the file, float32 of shape (texts, dim).
        encoder: the model.
        texts: texts by id.
        inputs: JSON-able values that decide the vectors.
        conclude: called with the SHA-256 of the whole file before it takes its place; writes what stands beside it.
        kind: whose prompt goes in front of the texts.
        batch_size: texts encoded at once.
        description: shown with the progress of encoding.

    Raises:
        ArtifactError: the folder cannot be written.
        ProcessError: of a crew that encodes: no worker can, or a window failed on several. What came before it stays.
    """
    with UnfinishedVectors(path, (len(texts), encoder.dim), inputs) as unfinished:
        if unfinished.rows:
            console.say(f"{description}: going on from text {unfinished.rows} of {len(texts)}")
        try:
            for window in _windows(encoder, texts, unfinished.rows, kind, batch_size, description):
                unfinished.append(window)
        except KeyboardInterrupt:
            console.say(f"{description}: broken off after {unfinished.rows} of {len(texts)}; the same command goes on")
            raise
        conclude(unfinished.finish())
        unfinished.publish()


def vectors_key(encoder: AnyEncoder, texts: Sequence[str], kind: TextKind = "document") -> str:
    """Key of everything that decides the vectors: model, its layers, length, prompt, arithmetic and texts."""
    layers = encoder.start_layers
    return artifacts.fingerprint(
        {
            "format": FORMAT,
            "model": loading.model_fingerprint(encoder.source),
            **({} if layers is None else {"layers": layers}),
            "pooling": encoder.mode,
            "max_len": encoder.max_len,
            f"{kind}_prompt": encoder.prompts.query if kind == "query" else encoder.prompts.document,
            "precision": encoder.precision,
            NAMES[kind]: fingerprint_of_texts(texts),
        }
    )


def _windows(
    encoder: AnyEncoder, texts: Sequence[str], first: int, kind: TextKind, batch_size: int, description: str
) -> Iterator[Floats]:
    """The vectors of the texts from one of them on: of the crew, where one is at work and can make the encoder."""
    if (crew := distributed.crew()) is not None and encoder.made is not None:
        return crewed.windows_of_crew(crew, encoder, texts, first, kind, batch_size, description)
    windows = {"document": encoder.document_windows, "query": encoder.query_windows}[kind]
    return windows(_From(texts, first) if first else texts, batch_size=batch_size, description=description)


class _From(Sequence[str]):
    """Texts from one of them on, without a copy."""

    def __init__(self, texts: Sequence[str], start: int) -> None:
        self.texts, self.places = texts, range(start, len(texts))

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self.texts[place] for place in self.places[index]]
        return self.texts[self.places[index]]

    def __iter__(self) -> Iterator[str]:
        return (self.texts[place] for place in self.places)


def _read(folder: Path, shape: tuple[int, int]) -> Floats | None:
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
        vectors: Floats = np.load(
            folder / artifacts.VECTORS_FILE, mmap_mode="r" if shape[0] else None, allow_pickle=False
        )
    except ValueError as error:
        console.say(f"{folder}: the cached index is no array of numbers ({error}) and is made again")
        return None
    return vectors
