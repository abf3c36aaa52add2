"""Documents whose vectors are nearest to a query's, by any Bi-Encoder."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Sequence
from typing import Any, Final

import torch

from bistill import artifacts
from bistill.arrays import Floats, Ints
from bistill.candidates.mining import nearest
from bistill.candidates.mining.miner import Search
from bistill.candidates.settings import Dense
from bistill.data.queries.copies import Selection
from bistill.models import reading
from bistill.models.compute.precision import default_device, resolve_precision
from bistill.models.compute.vectors import cached_vectors
from bistill.models.files import loading
from bistill.models.settings import EncoderStart
from bistill.models.unloaded import UnloadedEncoder

TEXTS_AT_ONCE: Final = 64


class DenseMiner:
    """The documents of highest cosine for each query.

    The model is in memory only while it encodes what the cache lacks; the vectors of the pool and the queries stay in
    memory-mapped files of the cache, where search, evaluation and an embedding teacher find those of the same model and
    texts, too.

    Args:
        queries: texts by id.
        pool: documents by id.
        model: the Bi-Encoder, and how it reads texts.
        batch_size: texts encoded at once.

    Attributes:
        model: as above.
    """

    name = Dense.name

    def __init__(self, queries: Sequence[str], pool: Sequence[str], model: EncoderStart, *, batch_size: int) -> None:
        self._queries, self._pool, self.model, self._batch_size = queries, pool, model, batch_size

    def fingerprint(self) -> str:
        """SHA-256 of model, settings and the way of searching; the model is not loaded for it.

        Raises:
            ModelError: there is no such model folder.
        """
        model = self.model
        path = loading.local_folder(model.name, "bi-encoder")
        texts: dict[str, Any] = {
            "query_prompt": model.query_prompt,
            "document_prompt": model.document_prompt,
            "pooling_name": model.pooling,
        }
        reads = reading.decide(model.name, path, **texts)
        return artifacts.fingerprint(
            {
                **texts,
                "max_len": model.max_len,
                **({} if model.layers is None else {"layers": model.layers}),
                "model": loading.model_fingerprint(path),
                "reads": [*reads.prompts, reads.mode],
                "precision": resolve_precision(model.precision, default_device()),
                "search": nearest.way(len(self._pool)),
            }
        )

    def mine(self, query_ids: Ints, depth: int) -> Ints:
        """As ``Miner.mine``: the highest cosines first.

        Raises:
            ModelError: the model cannot be loaded.
        """
        queries, documents = self._encoded(query_ids)
        return nearest.nearest(queries, documents, depth)

    def _encoded(self, query_ids: Ints) -> tuple[Floats, Floats]:
        encoder, size = UnloadedEncoder(self.model), self._batch_size
        documents = cached_vectors(encoder, self._pool, batch_size=size, description="dense index")
        asked = Selection(self._queries, query_ids)  # where an embedding teacher finds them, too
        queries = cached_vectors(encoder, asked, kind="query", batch_size=size, description="dense queries")
        del encoder
        release_memory()
        return queries, documents


def made(settings: Dense, search: Search) -> DenseMiner:
    """The miner of the settings; where they name no model that of the Bi-Encoder that teaches alone, else the student's
    start with all its layers."""
    teacher = search.teachers.encoders[0] if search.teachers.all_encoders else None
    model = settings.model or teacher or dataclasses.replace(search.start, layers=None)
    return DenseMiner(search.collection.dataset.queries, search.pool, model, batch_size=TEXTS_AT_ONCE)


def release_memory() -> None:
    """Give back what a model that nothing refers to any more has held."""
    gc.collect()  # a model's modules refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
