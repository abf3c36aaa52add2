"""What an embedding teacher says of any query and any document that the lists of a run hold."""

from __future__ import annotations

import hashlib

import numpy as np

from bistill.arrays import Floats, Ints
from bistill.candidates.mining.dense import TEXTS_AT_ONCE, release_memory
from bistill.candidates.pools import ScoredPools
from bistill.candidates.scores.embedding import document_rows, query_rows
from bistill.data.queries.copies import Selection
from bistill.data.store.collection import Collection
from bistill.models.settings import EncoderStart
from bistill.models.unloaded import UnloadedEncoder


class TeacherVectors:
    """A Bi-Encoder's unit vectors of the queries and documents of the lists, in files of the cache.

    The model is in memory only while it encodes what the cache lacks; where it lacks nothing, its weights stay on disk.

    Args:
        model: the Bi-Encoder, and how it reads texts.
        collection: queries and documents.
        pools: candidates of the queries.

    Raises:
        ModelError: the model cannot be loaded, or gives NaN or infinite values.
        ArtifactError: the cache cannot be written.
    """

    def __init__(self, model: EncoderStart, collection: Collection, pools: ScoredPools) -> None:
        dataset, corpus = collection
        texts = collection.documents
        self._ids, self._first, self._changed = pools.document_ids(), texts.first, texts.changed(pools.query_ids)
        encoder = UnloadedEncoder(model)
        how = (TEXTS_AT_ONCE, "embedding teacher")
        self._queries = query_rows(encoder, dataset.queries, pools.query_ids, *how)
        self._documents = document_rows(encoder, texts, self._ids, *how)
        self._own_texts = corpus.copies.find(Selection(dataset.queries, pools.query_ids))
        del encoder
        release_memory()

    def cosines(self, rows: Ints, documents: Ints) -> Floats:
        """Cosine of every query with every document.

        Args:
            rows: of the queries in the pools, integers of shape (queries,).
            documents: ids of documents of the pools, integers of shape (documents,).

        Returns:
            float32 of shape (queries, documents); nan where a document is the query's own text, which no search gives,
            and where it is another form of the one that the query was taken out of.
        """
        queries, vectors = self._sides(rows, documents)
        cosines: Floats = queries @ vectors.T
        first, changed = self._first[documents], self._changed[rows]
        cosines[self._own_texts[rows][:, None] == first[None, :]] = np.nan
        whole = np.where(changed >= 0, self._first[changed], -1)
        cosines[(whole[:, None] == first[None, :]) & (changed[:, None] != documents[None, :])] = np.nan
        return cosines

    def of(self, rows: Ints, documents: Ints) -> Floats:
        """The vectors themselves.

        Args:
            rows: of the queries in the pools, integers of shape (queries,).
            documents: ids of documents of the pools, integers of shape (documents,).

        Returns:
            float32 of shape (queries + documents, dim), queries first.
        """
        return np.concatenate(self._sides(rows, documents))

    def fingerprint(self) -> str:
        """SHA-256 of the vectors of the queries and documents, in the order of the pools."""
        digest = hashlib.sha256()
        for side in (self._queries, self._documents):
            for start in range(0, len(side.rows), 65_536):
                digest.update(np.ascontiguousarray(side.take(slice(start, start + 65_536))).data)
        return digest.hexdigest()

    def _sides(self, rows: Ints, documents: Ints) -> tuple[Floats, Floats]:
        places = np.searchsorted(self._ids, documents)
        assert np.array_equal(self._ids[places], documents), "a document that no list holds"
        return self._queries.take(rows), self._documents.take(places)
