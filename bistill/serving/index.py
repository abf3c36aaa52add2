"""An exact cosine index over the cached unit vectors of documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bistill import metrics
from bistill.encoders import calibration_file
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.vectors import cached_vectors


class Hit(NamedTuple):
    """One document found.

    Attributes:
        document_id: its place in the documents.
        score: its cosine with the query, in -1..1.
        text: of the document.
        probability: calibrated relevance in 0..1; None where the model has no calibration.
    """

    document_id: int
    score: float
    text: str
    probability: float | None = None


class Index:
    """Documents, their vectors and the model that made them.

    Attributes:
        encoder: the model.
        documents: texts by id.
        vectors: unit vectors, float32 of shape (documents, dim), memory-mapped.
        calibration: of the model, None where it has none.
    """

    def __init__(self, encoder: BiEncoder, documents: Sequence[str], vectors: np.ndarray) -> None:
        assert vectors.shape == (len(documents), encoder.dim)
        self.encoder, self.documents, self.vectors = encoder, documents, vectors
        self.calibration = calibration_file.read(encoder.source)

    def search(self, queries: Sequence[str], top_k: int, *, batch_size: int = 64) -> list[list[Hit]]:
        """The ``top_k`` documents of highest cosine for each query, the best first; fewer where there are fewer."""
        vectors = self.encoder.encode_queries(queries, batch_size=batch_size)
        ids, scores = metrics.top_documents(vectors, self.vectors, top_k)
        chances = [[None] * len(row) for row in ids] if self.calibration is None else self.calibration.apply(scores)
        return [
            [
                Hit(document, score, self.documents[document], chance)
                for document, score, chance in zip(*found, strict=True)
            ]
            for found in zip(ids.tolist(), scores.tolist(), np.asarray(chances).tolist(), strict=True)
        ]


def open_index(
    encoder: BiEncoder, documents: Sequence[str], *, batch_size: int = 64, description: str = "documents"
) -> Index:
    """The index of a model over documents: its vectors from the cache, or encoded and put there.

    Args:
        encoder: the model.
        documents: texts by id.
        batch_size: texts encoded at once.
        description: shown with the progress of encoding.
    """
    vectors = cached_vectors(encoder, documents, batch_size=batch_size, description=description)
    return Index(encoder, documents, vectors)
