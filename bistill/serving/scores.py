"""What is scored with what: a query and documents, or every query with every document; and the scales of a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy.typing as npt

from bistill.arrays import Doubles, Floats, Number
from bistill.data.read.texts_in_memory import text_list


@dataclass(frozen=True)
class Scores:
    """Relevance of documents to queries on three scales, all of one shape; all three rank alike.

    Attributes:
        cosine: of the vectors, float32 in -1..1.
        linear: ``(cosine + 1) / 2``, float64 in 0..1.
        calibrated: probability of relevance, float64 in 0..1; None where the model has no calibration.
    """

    cosine: Floats
    linear: Doubles
    calibrated: Doubles | None

    def __getattr__(self, name: str) -> Any:
        if name == "normalized":
            raise AttributeError("Scores.normalized is called Scores.linear since 0.2.0")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class Asked(NamedTuple):
    """Texts to score.

    Attributes:
        queries: one or more.
        documents: of them all.
        single: whether one query was given by itself: then a row, not a matrix, is the answer.
    """

    queries: list[str]
    documents: list[str]
    single: bool

    def shaped(self, values: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """Values of shape (queries, documents) in the shape of the answer: (documents,) for a single query."""
        return values[0] if self.single else values


def asked(queries: Any, documents: Any) -> Asked:
    """What a caller wants scored.

    Args:
        queries: a text, or texts in any form that ``text_list`` reads.
        documents: texts likewise, never a single one.

    Raises:
        OptionError: a dict, a table or, as documents, a single text is given, or an item is no text.
    """
    single = isinstance(queries, str)
    return Asked([queries] if single else text_list(queries, "queries"), text_list(documents, "documents"), single)
