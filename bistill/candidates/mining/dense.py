"""Documents whose vectors are nearest to a query's, by any Bi-Encoder."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from bistill import artifacts
from bistill.candidates.mining import nearest
from bistill.models import reading
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute.precision import default_device, resolve_precision
from bistill.models.compute.vectors import cached_vectors
from bistill.models.files import loading
from bistill.models.settings import Pooling, Precision


class DenseMiner:
    """The documents of highest cosine for each query.

    The model is in memory only while it encodes; the vectors of the pool stay in a memory-mapped file of the cache,
    where search and evaluation of the same model over the same texts find them, too.

    Args:
        queries: texts by id.
        pool: documents by id.
        model_name: folder or hub name of the Bi-Encoder.
        precision: arithmetic of its forward pass.
        batch_size: texts encoded at once.
        max_len: unset: the model's own.
        query_prompt: unset: the model's own.
        document_prompt: likewise.
        pooling_name: likewise.
        trust_remote_code: whether code that the model brings along may run.
    """

    name = "dense"

    def __init__(
        self,
        queries: Sequence[str],
        pool: Sequence[str],
        model_name: str,
        *,
        precision: Precision,
        batch_size: int,
        max_len: int | None = None,
        query_prompt: str | None = None,
        document_prompt: str | None = None,
        pooling_name: Pooling | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self._queries, self._pool, self._model_name, self._batch_size = queries, pool, model_name, batch_size
        self._trust_remote_code = trust_remote_code
        self._settings: dict[str, Any] = {
            "precision": precision,
            "max_len": max_len,
            "query_prompt": query_prompt,
            "document_prompt": document_prompt,
            "pooling_name": pooling_name,
        }

    def fingerprint(self) -> str:
        """SHA-256 of model, settings and the way of searching; the model is not loaded for it.

        Raises:
            ModelError: there is no such model folder.
        """
        path = loading.local_folder(self._model_name, "bi-encoder")
        texts = {name: self._settings[name] for name in ("query_prompt", "document_prompt", "pooling_name")}
        reads = reading.decide(self._model_name, path, **texts)
        precision = resolve_precision(self._settings["precision"], default_device())
        return artifacts.fingerprint(
            {
                **self._settings,
                "model": loading.model_fingerprint(path),
                "reads": [*reads.prompts, reads.mode],
                "precision": precision,
                "search": nearest.way(len(self._pool)),
            }
        )

    def mine(self, query_ids: np.ndarray, depth: int) -> np.ndarray:
        """As ``Miner.mine``: the highest cosines first.

        Raises:
            ModelError: the model cannot be loaded.
        """
        queries, documents = self._encoded(query_ids)
        return nearest.nearest(queries, documents, depth)

    def _encoded(self, query_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        encoder = BiEncoder.load(self._model_name, trust_remote_code=self._trust_remote_code, **self._settings)
        size = self._batch_size
        documents = cached_vectors(encoder, self._pool, batch_size=size, description="dense index")
        asked = [self._queries[int(query)] for query in query_ids]
        queries = encoder.encode_queries(asked, batch_size=size, description="dense queries")
        del encoder
        release_memory()
        return queries, documents


def release_memory() -> None:
    """Give back what a model that nothing refers to any more has held."""
    gc.collect()  # a model's modules refer to each other
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
