"""Teacher scores of the pairs that a run needs: each pair scored once, before training, whatever the epochs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np

from bistill import metrics
from bistill.candidates.lists import CandidateList
from bistill.data.dataset import Dataset
from bistill.encoders.cross_encoder import CrossEncoder, Pair
from bistill.errors import ModelError


class TeacherScores:
    """Lookup of relevance in 0..1 by (query id, document id).

    Attributes:
        requested: pairs asked for, repetitions counted.
        scored: different pairs, hence teacher forwards.
    """

    def __init__(self, keys: np.ndarray, scores: np.ndarray, documents: int, requested: int) -> None:
        assert keys.shape == scores.shape
        self._keys, self._scores, self._documents = keys, scores, documents
        self.requested, self.scored = requested, len(keys)

    @classmethod
    def compute(
        cls, teacher: CrossEncoder, dataset: Dataset, lists: Iterable[CandidateList], *, batch_size: int = 64
    ) -> TeacherScores:
        """Score every different pair of the lists.

        Args:
            teacher: a trained Cross-Encoder.
            dataset: texts of the ids.
            lists: candidate lists of all epochs.
            batch_size: pairs of one forward at most.

        Raises:
            ModelError: the teacher gives a score that is no number.
        """
        size = len(dataset.documents)
        keys = np.fromiter(
            (item.query_id * size + document for item in lists for document in item.documents), dtype=np.int64
        )
        unique = np.unique(keys)
        pairs = _Pairs(dataset, unique)
        logits = teacher.score(pairs, batch_size=batch_size, description="teacher scores")
        if not np.isfinite(logits).all():
            row = int(np.flatnonzero(~np.isfinite(logits))[0])
            raise ModelError(
                "the teacher gives a score that is no number",
                where=teacher.source,
                found=pairs[row],
                todo="train the teacher again, or with --precision fp32",
            )
        return cls(unique, metrics.sigmoid(logits).astype(np.float32), size, len(keys))

    def of(self, item: CandidateList) -> np.ndarray:
        """Relevance of a list's documents: float32 of shape (documents,).

        Raises:
            KeyError: a pair was not among those computed.
        """
        wanted = item.query_id * self._documents + np.asarray(item.documents, dtype=np.int64)
        places = np.searchsorted(self._keys, wanted)
        known = (places < len(self._keys)) & (self._keys[np.minimum(places, len(self._keys) - 1)] == wanted)
        if not known.all():
            raise KeyError(f"no teacher score for query {item.query_id}, documents {item.documents}")
        return self._scores[places]


class _Pairs(Sequence[Pair]):
    """Texts of pairs by key, read when asked for, so that memory does not grow with the number of pairs."""

    def __init__(self, dataset: Dataset, keys: np.ndarray) -> None:
        self._dataset, self._keys = dataset, keys

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, place: int) -> Pair: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Pair]: ...
    def __getitem__(self, place: int | slice) -> Pair | Sequence[Pair]:
        if isinstance(place, slice):
            return _Pairs(self._dataset, self._keys[place])
        query, document = divmod(int(self._keys[place]), len(self._dataset.documents))
        return self._dataset.queries[query], self._dataset.documents[document]
