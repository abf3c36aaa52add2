"""Teacher scores of pairs: each pair scored once, ever; what is in the cache is never scored again.

Pairs are read in batches of falling length, so that one forward holds texts of like length and what cannot fit fails
at once. A batch is what a teacher sorts and reads together, and what a killed process loses at most. It is planned from
all pairs asked for, known or not: a run that was killed and starts again forms the same batches and therefore ends with
the same scores, bit for bit, as a run that was not.

Where a crew of Ray workers is hired (``distributed.crew``) they read the batches, with the same scores; this process
alone writes the cache. What a worker or this process was reading when it was killed is read again, nothing else is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

import numpy as np

from bistill import console, distributed
from bistill.arrays import Floats, Ints
from bistill.candidates.scores.cache import ScoreCache, digest
from bistill.data.store.texts import windows
from bistill.distributed import Block, Crew, Work
from bistill.errors import ModelError, SetAsideError, Told
from bistill.models.compute import products
from bistill.models.compute.scoring import FORWARDS_OF_A_CHUNK, Pair
from bistill.progress import progress

# Pairs looked up at once: a key and what the cache says of it take about 300 bytes of Python objects.
PAIRS_OF_A_LOOKUP: Final = 65_536
# Batches that a worker of a crew reads before it answers, where there are many: fewer would keep the cache busy with
# small transactions. And blocks of each worker, where there are few: so that none waits long for the others at the end.
BATCHES_OF_A_BLOCK: Final = 4
BLOCKS_OF_A_WORKER: Final = 4


class Scorer(Protocol):
    """What can read a pair.

    Attributes:
        source: where it comes from, for messages.
    """

    source: str

    def score(self, pairs: Sequence[Pair], *, batch_size: int) -> Floats:
        """Relevance logits of (query, document) pairs, float32 of shape (n,), in the order given."""


class Scored(NamedTuple):
    """Scores of pairs.

    Attributes:
        logits: float32 of shape (pairs,); nan where an imported score is missing.
        requested: pairs asked for.
        scored: pairs that a teacher had to read.
    """

    logits: Floats
    requested: int
    scored: int


def score(
    cache: ScoreCache,
    load: Callable[[], Scorer] | None,
    queries: Sequence[str],
    documents: Sequence[str],
    pairs: Ints,
    *,
    batch_size: int,
    description: str,
) -> Scored:
    """Logits of pairs, out of the cache where they are there, else read by the teacher and put there.

    Args:
        cache: of this teacher.
        load: gives the teacher, called at most when a pair is missing; None: missing pairs stay nan. Workers of a crew
            call it, too, each for itself.
        queries: texts by id.
        documents: texts by id.
        pairs: (query id, document id), integers of shape (n, 2).
        batch_size: pairs of one forward at most.
        description: shown with the progress and what the cache knew; "" shows nothing.

    Raises:
        ModelError: the teacher gives a score that is NaN or infinite; what was scored before is kept.
        ArtifactError: the cache is damaged or the disk is full.
        SetAsideError: workers of a crew failed at some pairs; all others are scored and kept.
        ProcessError: the crew has no workers left; what they scored is kept.
    """
    job = _Job(cache, queries, documents, pairs)
    if description and len(pairs):
        console.say(
            f"{description}: {console.counted(len(pairs), 'pair')}, {1 - job.missing.mean():.1%} of them known; "
            f"{cache.folder} holds {console.counted(len(cache), 'pair')} in {cache.size() / 2**20:.1f} MiB"
        )
    scored = job.run(load, batch_size, description) if load is not None and job.missing.any() else 0
    return Scored(job.logits, len(pairs), scored)


def keep(cache: ScoreCache, queries: Sequence[str], documents: Sequence[str], pairs: Ints, logits: Floats) -> None:
    """Put logits there that the teacher gave elsewhere, so that nobody has it read these pairs again.

    Args:
        cache: of this teacher.
        queries: texts by id.
        documents: texts by id.
        pairs: (query id, document id), integers of shape (n, 2).
        logits: of the pairs, shape (n,), finite.

    Raises:
        ArtifactError: the cache is damaged or the disk is full.
    """
    rows = np.arange(len(pairs))
    digests = (_Asked(texts, pairs[:, side]).digests(rows) for side, texts in enumerate((queries, documents)))
    cache.put(cache.keys(*digests), logits)


def checked_scores(scorer: Scorer, texts: Sequence[Pair], batch_size: int) -> Floats:
    """Relevance logits of a batch: float32 of shape (n,).

    Raises:
        ModelError: one is NaN or infinite.
    """
    found = scorer.score(texts, batch_size=batch_size)
    if not np.isfinite(found).all():
        raise ModelError(
            "the teacher gives a score that is NaN or infinite",
            where=scorer.source,
            found=texts[int(np.flatnonzero(~np.isfinite(found))[0])],
            todo="train the teacher again, or give `precision` fp32",
        )
    return found


def _of_batches(scorer: Scorer, batches: Sequence[Sequence[Pair]], batch_size: int) -> Floats:
    """Scores of some batches behind each other, as a worker reads them."""
    return np.concatenate([checked_scores(scorer, texts, batch_size) for texts in batches])


class _Job:
    """Pairs of one call, with what the cache knew of them at its start.

    Attributes:
        logits: float32 of shape (pairs,), nan where still unknown.
        missing: True where the cache had no score at the start.
    """

    def __init__(self, cache: ScoreCache, queries: Sequence[str], documents: Sequence[str], pairs: Ints) -> None:
        self._cache = cache
        self._queries, self._documents = _Asked(queries, pairs[:, 0]), _Asked(documents, pairs[:, 1])
        self.logits = np.full(len(pairs), np.nan, dtype=np.float32)
        for start in range(0, len(pairs), PAIRS_OF_A_LOOKUP):
            rows = np.arange(start, min(start + PAIRS_OF_A_LOOKUP, len(pairs)))
            self.logits[rows] = cache.get(self._keys(rows))
        self.missing = np.isnan(self.logits)

    def run(self, load: Callable[[], Scorer], batch_size: int, description: str) -> int:
        """Score what is missing, batch by batch; the number of pairs read."""
        crew, scored = distributed.crew(), 0
        with progress(description, int(self.missing.sum()), "pairs") as advance:
            batches = self._unread(FORWARDS_OF_A_CHUNK * batch_size, advance)
            read = partial(self._read, load()) if crew is None else partial(self._read_by, crew, load)
            for rows, logits in read(batches, batch_size):
                self._cache.put(self._keys(rows), logits)
                self.logits[rows] = logits
                scored += len(rows)
                advance(len(rows))
        return scored

    def _unread(self, size: int, advance: Callable[[int], None]) -> Iterator[Ints]:
        """Missing rows of each batch, but for those that another process has scored by now."""
        for rows in self._batches(size):
            self.logits[rows] = self._cache.get(self._keys(rows))
            unread = rows[np.isnan(self.logits[rows])]
            advance(len(rows) - len(unread))
            if len(unread):
                yield unread

    def _read(self, scorer: Scorer, batches: Iterator[Ints], batch_size: int) -> Iterator[tuple[Ints, Floats]]:
        """Rows and their scores, read here."""
        for rows in batches:
            yield rows, checked_scores(scorer, self._texts(rows), batch_size)

    def _read_by(
        self, crew: Crew, load: Callable[[], Scorer], batches: Iterator[Ints], batch_size: int
    ) -> Iterator[tuple[Ints, Floats]]:
        """Rows and their scores, read by a crew, some batches at once.

        Raises:
            SetAsideError: workers failed at some; after all the others.
        """
        asked: dict[int, Ints] = {}
        failed = []
        even = int(self.missing.sum()) // (FORWARDS_OF_A_CHUNK * batch_size * BLOCKS_OF_A_WORKER * crew.size)
        size = min(max(even, 1), BATCHES_OF_A_BLOCK)

        def blocks() -> Iterator[Block]:
            for place, some in enumerate(windows(batches, size)):
                asked[place] = np.concatenate(some)
                texts = [self._texts(rows) for rows in some]
                shown = f"such as {texts[0][0]!r:.200}"
                yield Block(shown, len(asked[place]), (texts, batch_size))

        for done in crew.each(Work(_of_batches, products.as_here(load), "pairs"), blocks()):
            rows = asked.pop(done.place)
            if done.why:
                failed.append(done)
            else:
                yield rows, done.result
        if failed:
            raise SetAsideError(
                f"{sum(done.block.size for done in failed)} pairs could not be scored; all others were",
                where=f"pairs {failed[0].block.name}",
                found=Told(failed[0].why),
                todo="the same command tries these alone again",
            )

    def _batches(self, size: int) -> Iterator[Ints]:
        """Missing rows of each batch; several processes read one batch each at once, where all of these are missing, so
        that the teacher divides them as it divides each alone."""
        order = np.argsort(-(self._queries.lengths() + self._documents.lengths()), kind="stable")
        several = size * distributed.processes()
        for start in range(0, len(order), several):
            block = order[start : start + several]
            whole = self.missing[block].all()
            for batch in [block] if whole else (block[at : at + size] for at in range(0, len(block), size)):
                if len(rows := batch[self.missing[batch]]):
                    yield rows

    def _texts(self, rows: Ints) -> list[Pair]:
        """The texts of rows."""
        return list(zip(self._queries.texts(rows), self._documents.texts(rows), strict=True))

    def _keys(self, rows: Ints) -> list[bytes]:
        """Cache keys of rows."""
        return self._cache.keys(self._queries.digests(rows), self._documents.digests(rows))


class _Asked:
    """The texts of one side of all pairs; each different one is read once.

    Args:
        texts: by id.
        ids: of each pair, shape (pairs,).
    """

    def __init__(self, texts: Sequence[str], ids: Ints) -> None:
        self._texts = texts
        self._unique, self._places = np.unique(ids, return_inverse=True)
        self._digests: list[bytes] = []
        self._lengths = np.empty(len(self._unique), dtype=np.int64)
        for row, item in enumerate(self._unique):
            text = texts[int(item)]
            self._digests.append(digest(text))
            self._lengths[row] = len(text)

    def lengths(self) -> Ints:
        """Characters of the text of each pair."""
        return self._lengths[self._places]

    def digests(self, rows: Ints) -> list[bytes]:
        """Digests of the texts of some pairs."""
        return [self._digests[place] for place in self._places[rows]]

    def texts(self, rows: Ints) -> list[str]:
        """Texts of some pairs."""
        return [self._texts[int(self._unique[place])] for place in self._places[rows]]
