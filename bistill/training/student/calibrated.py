"""The line from cosines to probabilities of relevance: learned beside the student, and fitted at the end.

p = sigmoid(a * cosine + b) with a > 0 ranks as the cosine does, but its values are free to lie anywhere in 0..1. Where
the losses act on it (``Objective.score``), their targets can be reached, which on (cosine + 1) / 2 they cannot
(``docs/decisions/0015-calibrated-score.md``). A sigmoid with learned slope and intercept over cosines: Zhai et al.
2023, "Sigmoid Loss for Language Image Pre-Training".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from bistill import console
from bistill.arrays import Flags, Floats, Ints
from bistill.candidates.lists import random_negatives
from bistill.data.queries import choice
from bistill.data.store.collection import Collection
from bistill.errors import DataError, ModelError
from bistill.evaluation.measures import exact
from bistill.models import calibration
from bistill.models.bi_encoder import BiEncoder
from bistill.models.calibration import Calibration

# Peak learning rate of the line in units of standardised cosines: a hundred updates may change its slope by a factor e.
LINE_LR: Final = 1e-2


class ScoreLine(nn.Module):
    """Logits of relevance from cosines, ``exp(log_slope) * (cosine - mean) / deviation + intercept``.

    In standard units the two parameters hardly disturb each other, whatever range a model's cosines have.

    Args:
        start: line to begin with.
        mean: of the cosines of labelled pairs.
        deviation: their standard deviation, above 0.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, start: Calibration, mean: float, deviation: float) -> None:
        super().__init__()
        self.log_slope = nn.Parameter(torch.tensor(math.log(start.a * deviation)))
        self.intercept = nn.Parameter(torch.tensor(start.b + start.a * mean))
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("deviation", torch.tensor(deviation))

    def forward(self, cosine: Tensor) -> Tensor:
        """Logits of the cosines' shape."""
        return self.log_slope.exp() * (cosine - self.mean) / self.deviation + self.intercept


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs of validation queries: positives, labelled negatives, and some random documents of each query with a
    positive.

    Attributes:
        queries: texts.
        documents: texts.
        pairs: rows of queries and documents, int64 of shape (n, 2).
        relevant: true for positives, shape (n,).
    """

    queries: list[str]
    documents: list[str]
    pairs: Ints
    relevant: Flags

    @classmethod
    def of(cls, collection: Collection, *, count: int, seed: int) -> LabelledPairs:
        """Pairs of ``count`` queries with a positive chosen by ``seed``, and of the same share of those without: the
        very kinds by which an evaluation measures separation.

        Args:
            collection: validation queries and documents.
            count: queries at most.
            seed: of the choice of queries and random documents.

        Raises:
            DataError: no query has a positive.
        """
        valid, corpus = collection
        rows: list[tuple[int, int, bool]] = []
        relevant = choice.with_positive(valid, seed, "valid", count)
        chosen = [*relevant, *choice.without_positive(valid, seed, "valid", count)]
        for place, query in enumerate(chosen):
            record = valid[int(query)]
            rows += [(place, document, True) for document in record.positives]
            random = random_negatives(record, corpus, seed) if record.positives else []
            irrelevant = (*record.negatives, *random)
            rows += [(place, document, False) for document in dict.fromkeys(irrelevant)]
        used = sorted({document for _, document, _ in rows})
        place_of = {document: place for place, document in enumerate(used)}
        pairs = np.array([(query, place_of[document]) for query, document, _ in rows], dtype=np.int64).reshape(-1, 2)
        queries = [valid[int(query)].query for query in chosen]
        return cls(queries, list(corpus.take(used)), pairs, np.array([relevant for *_, relevant in rows], dtype=bool))

    def cosines(self, encoder: BiEncoder) -> Floats:
        """Cosine of each pair, float32 of shape (n,)."""
        queries = encoder.encode_queries(self.queries)
        documents = encoder.encode_documents(self.documents, description="calibration")
        return exact.pair_cosines(queries, documents, *self.pairs.T)


def fitted(cosines: Floats, relevant: Flags) -> Calibration | None:
    """The likeliest line through labelled cosines; None, with a word, where there is none that rises."""
    try:
        return calibration.fit(cosines, relevant)
    except (DataError, ModelError) as error:
        console.say(f"no calibrated score: {error.what}")
        return None


def first_line(cosines: Floats, relevant: Flags) -> ScoreLine:
    """The line that training begins with: the likeliest one, or where none rises one of slope 1 in standard units."""
    mean, deviation = float(cosines.mean()), float(cosines.std()) or 1.0
    found = fitted(cosines, relevant) or Calibration(a=1 / deviation, b=-mean / deviation)
    return ScoreLine(found, mean, deviation)
