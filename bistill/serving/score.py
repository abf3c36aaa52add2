"""The Python API of a student: texts in, unit vectors or scores of relevance out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bistill.errors import DataError
from bistill.evaluation.measures import margins
from bistill.models.bi_encoder import BiEncoder
from bistill.models.calibration import Calibration
from bistill.models.files import calibration_file
from bistill.models.settings import Precision


@dataclass(frozen=True)
class Scores:
    """Relevance of documents to a query on three scales, each of shape (documents,); all three rank alike.

    Attributes:
        cosine: of the vectors, float32 in -1..1.
        normalized: ``(cosine + 1) / 2``, float64 in 0..1.
        calibrated: probability of relevance, float64 in 0..1; None where the model has no calibration.
    """

    cosine: np.ndarray
    normalized: np.ndarray
    calibrated: np.ndarray | None


class Student:
    """A Bi-Encoder with the calibration beside it.

    Args:
        encoder: the model.
        calibration: from its cosines to probabilities; None: it has none.
    """

    def __init__(self, encoder: BiEncoder, calibration: Calibration | None) -> None:
        self.encoder, self.calibration = encoder, calibration

    def encode_queries(self, texts: Sequence[str], *, batch_size: int = 64) -> np.ndarray:
        """Unit vectors of queries, prompt included: float32 of shape (queries, dim).

        Raises:
            DataError: one text was given where several are expected.
            ModelError: a vector holds values that are no numbers.
        """
        return self.encoder.encode_queries(texts, batch_size=batch_size)

    def encode_documents(self, texts: Sequence[str], *, batch_size: int = 64) -> np.ndarray:
        """Unit vectors of documents, prompt included: float32 of shape (documents, dim); raises as above."""
        return self.encoder.encode_documents(texts, batch_size=batch_size)

    def score(self, query: str, documents: Sequence[str], *, batch_size: int = 64) -> Scores:
        """How relevant each document is to a query.

        Args:
            query: its text.
            documents: texts.
            batch_size: documents encoded at once.

        Raises:
            DataError: one text was given where several documents are expected, or several where one query is.
        """
        if not isinstance(query, str):
            raise DataError("one query is expected", where="query", found=query, todo="ask for each by itself")
        if isinstance(documents, str):
            raise DataError(
                "several documents are expected", where="documents", found=documents, todo="give a list: [document]"
            )
        vectors = self.encode_documents(documents, batch_size=batch_size)
        cosine: np.ndarray = vectors @ self.encode_queries([query])[0]
        calibrated = None if self.calibration is None else self.calibration.apply(cosine)
        return Scores(cosine, margins.linear_score(cosine), calibrated)


def load(
    name: str, *, max_len: int | None = None, precision: Precision = "auto", trust_remote_code: bool = False
) -> Student:
    """A student, or any other Bi-Encoder, ready to encode and score.

    Args:
        name: folder or hub name.
        max_len: tokens of a text; unset: the model's own limit.
        precision: arithmetic of the model.
        trust_remote_code: whether code that the model brings along may run.

    Raises:
        ModelError: the model cannot be loaded.
        ArtifactError: its calibration is damaged.
    """
    encoder = BiEncoder.load(name, max_len=max_len, precision=precision, trust_remote_code=trust_remote_code)
    return Student(encoder, calibration_file.read(name))
