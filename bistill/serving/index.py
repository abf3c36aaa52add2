"""An exact cosine index over the cached unit vectors of documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from bistill.arrays import Floats
from bistill.data.queries.copies import Copies, Selection
from bistill.data.read.texts_in_memory import text_list
from bistill.data.store.texts import Texts
from bistill.evaluation.measures import exact
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute.vectors import cached_vectors
from bistill.models.files import calibration_file


class Hit(NamedTuple):
    """One document found.

    Attributes:
        document_id: its place in the documents.
        score: its cosine with the query, in -1..1.
        text: of the document.
        probability: calibrated relevance in 0..1; None where the model has no calibration.
        copies: documents that are this text, this one included.
    """

    document_id: int
    score: float
    text: str
    probability: float | None = None
    copies: int = 1


class Index:
    """Documents, the vectors of their different texts and the model that made them.

    Attributes:
        encoder: the model.
        documents: texts by id, copies among them.
        vectors: unit vectors of the different texts, float32 of shape (texts, dim), memory-mapped.
        calibration: of the model, None where it has none.
    """

    def __init__(self, encoder: BiEncoder, documents: Sequence[str], vectors: Floats) -> None:
        self.encoder, self.documents, self.vectors = encoder, documents, vectors
        copies = Copies(documents)
        assert vectors.shape == (len(copies.different), encoder.dim)
        rows = documents.rows if isinstance(documents, Texts) else np.ones(len(documents), dtype=np.int64)
        self._different = copies.different
        self._counts = np.zeros(len(copies.different), dtype=np.int64)
        np.add.at(self._counts, copies.numbers(np.arange(len(documents))), rows)
        self.calibration = calibration_file.read(encoder.source)

    def search(self, queries: Iterable[str], top_k: int = 10, *, batch_size: int = 64) -> list[list[Hit]]:
        """The ``top_k`` texts of highest cosine for each query, the best first; fewer where there are fewer.

        Nothing is left out, not even the query's own text. Documents that are the same text are one hit, with their
        number and the first one's id.

        Raises:
            OptionError: a single text, a dict or a table is given, or an item is no text.
        """
        vectors = self.encoder.encode_queries(text_list(queries, "queries"), batch_size=batch_size)
        places, scores = exact.top_documents(vectors, self.vectors, top_k)
        ids, copies = self._different[places], self._counts[places]
        chances = [[None] * len(row) for row in places] if self.calibration is None else self.calibration.apply(scores)
        return [
            [
                Hit(document, score, self.documents[document], chance, number)
                for document, score, chance, number in zip(*found, strict=True)
            ]
            for found in zip(ids.tolist(), scores.tolist(), np.asarray(chances).tolist(), copies.tolist(), strict=True)
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
    copies = Copies(documents)
    texts = Selection(documents, copies.different) if copies.count else documents
    vectors = cached_vectors(encoder, texts, batch_size=batch_size, description=description)
    return Index(encoder, documents, vectors)
