"""Pairs of a file scored by a teacher without any training: into the cache of its scores, and into a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from bistill import console
from bistill.candidates.scores import scoring
from bistill.candidates.scores.exchange import Scale, read_pairs, write_pairs
from bistill.candidates.scores.teachers import CachedTeacher
from bistill.data.store.texts import windows
from bistill.distributed.blocks import rows
from bistill.errors import OptionError, SetAsideError

# Pairs whose texts are in memory at once. Batches are planned among them, so that they do not depend on who reads them.
PAIRS_AT_ONCE: Final = 262_144


class Filled(NamedTuple):
    """What became of the pairs of a file.

    Attributes:
        pairs: in the file.
        scored: those that the teacher had to read.
        failed: why some have no score; None: all have one.
    """

    pairs: int
    scored: int
    failed: SetAsideError | None


def fill(
    teacher: CachedTeacher,
    path: Path,
    output: Path | None,
    *,
    scale: Scale = "probability",
    at_once: int = PAIRS_AT_ONCE,
) -> Filled:
    """Score all pairs of a file; what the cache knows is not read again, and what was scored is kept at once.

    Args:
        teacher: a re-ranker behind its cache.
        path: pairs, as ``exchange.read_pairs`` reads them.
        output: where pairs and scores are written, in the order of the file; None: nowhere but in the cache.
        scale: of the scores in ``output``.
        at_once: pairs whose texts are in memory at once.

    Raises:
        OptionError: the teacher is none that reads pairs, or ``output`` has an ending that is not known.
        DataError: the file cannot be read.
        ModelError: the teacher cannot be loaded, or gives NaN.
        ProcessError: no worker of the crew is left.
    """
    if teacher.imported or teacher.encoder is not None:
        raise OptionError(
            "only a re-ranker scores pairs: imported scores are there already, and a Bi-Encoder reads texts apart",
            where="`teacher_path`",
            found=teacher.name,
            todo="name a re-ranker",
        )
    job = _Job(teacher, path, at_once)
    if output is None:
        for _ in job.scored_pairs():
            pass
    else:
        write_pairs(output, job.scored_pairs(), scale=scale)
    return Filled(job.pairs, job.scored, job.failed)


class _Job:
    """See ``Filled``; ``scored_pairs`` counts."""

    def __init__(self, teacher: CachedTeacher, path: Path, at_once: int) -> None:
        self._teacher, self._path, self._at_once = teacher, path, at_once
        self.pairs = self.scored = 0
        self.failed: SetAsideError | None = None

    def scored_pairs(self) -> Iterator[tuple[str, str, float]]:
        """Query, document, logit (nan where there is none) of each pair of the file."""
        for texts in windows(read_pairs(self._path), self._at_once):
            queries, documents = (list(side) for side in zip(*texts, strict=True))
            places = np.arange(len(texts))
            pairs, name = np.stack([places, places], axis=1), f"pairs {rows(self.pairs, len(texts))}"
            try:
                found = self._teacher.logits(queries, documents, pairs, name)
            except SetAsideError as error:
                console.say(str(error))
                self.failed = error
                found = scoring.score(
                    self._teacher.cache, None, queries, documents, pairs, batch_size=1, description=""
                )
            self.pairs, self.scored = self.pairs + len(texts), self.scored + found.scored
            yield from zip(queries, documents, found.logits.tolist(), strict=True)
