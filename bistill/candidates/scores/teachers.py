"""Whose scores are learned: one teacher or several, each behind its own cache, weights loaded only when needed.

Scores of several teachers are averaged after each was calibrated on labelled validation pairs (``calibration.fit``):
logits of different models are on different scales, relevance probabilities are not.
"""

from __future__ import annotations

import dataclasses
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

import numpy as np

from bistill import console, distributed
from bistill.arrays import Flags, Floats, Ints
from bistill.candidates.lists import for_validation
from bistill.candidates.scores import scoring
from bistill.candidates.scores.cache import ScoreCache
from bistill.candidates.scores.scoring import Scored, Scorer
from bistill.candidates.settings import TeacherReading
from bistill.data.queries import choice
from bistill.data.store.dataset import Dataset
from bistill.errors import DataError, OptionError, Told
from bistill.evaluation.measures import margins
from bistill.models import calibration
from bistill.models.calibration import Calibration
from bistill.models.settings import EncoderStart

IMPORTED: Final = "scores:"
CALIBRATION_QUERIES: Final = 500
CALIBRATION_LIST_SIZE: Final = 20
# A mean of probabilities is kept this far from 0 and 1, so that it has a logit.
SMALLEST: Final = 1e-12


# A kind of teacher by how its names begin; ``module:function`` opens one: (name, TeacherReading) ->
# CachedTeacher. The first that fits is taken. A new kind is a file and a line here.
KINDS: Final = {
    IMPORTED: "bistill.candidates.scores.imported:open_teacher",
    "": "bistill.candidates.scores.model:open_teacher",
}


def is_model(name: str) -> bool:
    """Whether the name of a teacher is that of a model, in a folder or on the hub, and of no other kind."""
    return not any(name.startswith(kind) for kind in KINDS if kind)


def imported_identity(name: str) -> dict[str, Any]:
    """Identity of scores that were made elsewhere, by the name they were imported under."""
    return {"imported": name}


class CachedTeacher:
    """Who scores pairs, behind its cache of scores.

    Args:
        name: as the user gave it.
        identity: what decides its scores.
        reading: how it reads.
        load: gives what scores the pairs that the cache lacks; None: nobody can, their scores are unknown.
        travelling: ``load`` as workers of a crew call it, on other machines and in other folders; None: likewise.

    Attributes:
        name: as above.
        identity: as above.
        cache: its scores so far.
        encoder: the Bi-Encoder that it is, and how it reads texts; None: it reads pairs.
    """

    encoder: EncoderStart | None = None

    def __init__(
        self,
        name: str,
        identity: dict[str, Any],
        reading: TeacherReading,
        load: Callable[[], Scorer] | None,
        *,
        travelling: Callable[[], Scorer] | None = None,
    ) -> None:
        self.name, self.identity, self._reading, self._load = name, identity, reading, load
        self._travelling = travelling or load
        self.cache = ScoreCache.open(identity)
        self._scorer: Scorer | None = None

    @classmethod
    def open(cls, name: str, reading: TeacherReading) -> CachedTeacher:
        """Find a teacher; its weights stay on disk until a pair must be scored.

        Raises:
            ModelError: it is neither a re-ranker nor a Bi-Encoder, or is not there.
            ArtifactError: no scores were imported under the name, or their cache is damaged.
        """
        kind = next(kind for kind in KINDS if name.startswith(kind))
        opened: CachedTeacher = pkgutil.resolve_name(KINDS[kind])(name, reading)
        return opened

    @property
    def imported(self) -> bool:
        """Whether its scores were made elsewhere: it cannot score a pair that is not there."""
        return self._load is None

    def logits(self, queries: Sequence[str], documents: Sequence[str], pairs: Ints, description: str) -> Scored:
        """Relevance logits of (query id, document id) pairs; see ``scoring.score``."""
        return scoring.score(
            self.cache,
            None if self.imported else self._loaded if distributed.crew() is None else self._travelling,
            queries,
            documents,
            pairs,
            batch_size=self._reading.batch_size,
            description=description,
        )

    def close(self) -> None:
        """Free the weights and let go of the cache."""
        self._scorer = None
        self.cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _loaded(self) -> Scorer:
        if self._scorer is None:
            assert self._load is not None
            self._scorer = self._load()
        return self._scorer


class Teachers:
    """One teacher, or the weighted mean of the calibrated relevance of several.

    Attributes:
        members: the teachers.
        weights: of each, summing to 1.
        calibrations: of each; None for a single teacher, whose logits are taken as they are.
    """

    def __init__(self, members: Sequence[CachedTeacher], weights: Sequence[float]) -> None:
        self.members, self.weights = list(members), np.asarray(weights, dtype=np.float64)
        self.calibrations: list[Calibration] | None = None

    @classmethod
    def open(cls, names: Sequence[str], weights: Sequence[float], reading: TeacherReading) -> Teachers:
        """Find teachers.

        Args:
            names: folders, hub names, or ``scores:NAME`` for imported scores.
            weights: of each; (): equal ones.
            reading: how all of them read.

        Raises:
            OptionError: the weights are not as many as the teachers, or none is above 0.
            ModelError: a teacher cannot be used.
            ArtifactError: no scores were imported under a name, or a cache is damaged.
        """
        shares = np.asarray(weights or [1.0] * len(names), dtype=np.float64)
        if len(shares) != len(names) or (shares < 0).any() or not shares.sum() > 0:
            raise OptionError(
                "one weight for each teacher is expected, none below 0 and one above 0",
                where="`teacher_weights`",
                found=weights,
                todo=f"give {len(names)} numbers",
            )
        return cls([CachedTeacher.open(name, reading) for name in names], shares / shares.sum())

    def calibrate(self, labelled: Dataset, *, seed: int) -> None:
        """Fit each teacher's calibration on labelled validation pairs; a single teacher needs none. Without labels each
        one's relevance is taken as it is, which is said.

        Raises:
            DataError: imported scores lack these pairs, or no query has a positive.
            ModelError: a teacher's scores fall where relevance rises.
        """
        if len(self.members) == 1:
            return
        if not labelled.labelled:
            self.calibrations = [Calibration(1.0, 0.0)] * len(self.members)
            console.say("no labels to calibrate the teachers on: the mean of their own relevance counts")
            return
        chosen = choice.with_positive(labelled, seed, "calibration", CALIBRATION_QUERIES)
        lists = [for_validation(labelled, int(query), size=CALIBRATION_LIST_SIZE, seed=seed) for query in chosen]
        pairs = np.array([(item.query_id, document) for item in lists for document in item.documents], dtype=np.int64)
        relevant = np.array([place < item.positives for item in lists for place in range(len(item.documents))])
        self.calibrations = []
        for member in self.members:
            logits = member.logits(labelled.queries, labelled.documents, pairs, f"calibration of {member.name}").logits
            there: Flags = ~np.isnan(logits)
            if member.imported and not 0 < relevant[there].sum() < there.sum():
                raise DataError(
                    "the imported scores lack the validation pairs that several teachers are calibrated on",
                    where=member.name,
                    found=Told(f"{there.sum()} of {len(pairs)} pairs, {relevant[there].sum()} of them relevant"),
                    todo="import scores of validation pairs, too, or give this teacher alone",
                )
            self.calibrations.append(calibration.fit(logits[there], relevant[there]))
            fitted = self.calibrations[-1]
            console.say(f"teacher {member.name}: relevance = sigmoid({fitted.a:.3f} * logit + {fitted.b:.3f})")

    def logits(
        self, queries: Sequence[str], documents: Sequence[str], pairs: Ints, description: str = "teacher scores"
    ) -> Scored:
        """Logits of the (mean) relevance of (query id, document id) pairs; nan where an imported score is missing."""
        found = [member.logits(queries, documents, pairs, description) for member in self.members]
        logits = self._mean([scored.logits for scored in found])
        return Scored(logits, sum(scored.requested for scored in found), sum(scored.scored for scored in found))

    @property
    def encoders(self) -> list[EncoderStart]:
        """Those members that are Bi-Encoders, which speak of every pair of a batch."""
        return [member.encoder for member in self.members if member.encoder is not None]

    @property
    def all_encoders(self) -> bool:
        """Whether there are members, and no re-ranker or imported scores among them."""
        return 0 < len(self.members) == len(self.encoders)

    def identities(self) -> list[dict[str, Any]]:
        """What decides the scores, of each member with its weight and calibration."""
        fitted: Sequence[Calibration | None] = self.calibrations or [None] * len(self.members)
        return [
            {
                "path": member.name,
                **member.identity,
                "weight": float(weight),
                "calibration": dataclasses.asdict(own) if own else None,
            }
            for member, weight, own in zip(self.members, self.weights, fitted, strict=True)
        ]

    def close(self) -> None:
        """Free the weights and let go of the caches."""
        for member in self.members:
            member.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _mean(self, logits: list[Floats]) -> Floats:
        if len(self.members) == 1:
            return logits[0]
        assert self.calibrations is not None, "several teachers are calibrated before they score"
        there: Flags = ~np.any(np.isnan(np.stack(logits)), axis=0)
        parts = zip(self.weights, self.calibrations, logits, strict=True)
        mean = sum((weight * own.apply(values[there]) for weight, own, values in parts), np.zeros(there.sum()))
        mean = np.clip(mean, SMALLEST, 1 - SMALLEST)
        result = np.full(len(there), np.nan, dtype=np.float32)
        result[there] = np.log(mean) - np.log1p(-mean)
        return result


def relevance(logits: Floats) -> Floats:
    """Relevance in 0..1 of logits: their sigmoid, float32 of the same shape."""
    return margins.sigmoid(logits).astype(np.float32)
