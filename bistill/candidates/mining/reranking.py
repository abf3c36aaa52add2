"""The ``cross_encoder`` miner: the first documents of the teacher's own ranking."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bistill import artifacts
from bistill.arrays import Ints
from bistill.candidates.mining.kept import Kept
from bistill.candidates.mining.miner import Miner, Search
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import CrossEncoderRanked


def made(settings: CrossEncoderRanked, search: Search) -> CrossEncoderMiner:
    """The miner of the settings; the answers of the first miners are kept, too."""
    dataset, pool = search.collection.dataset, search.pool
    first = [Kept(other.make(search), dataset, pool) for other in (settings.lexical, settings.dense)]
    return CrossEncoderMiner(dataset.queries, pool, search.teachers, first, reads=settings.reads)


class CrossEncoderMiner:
    """Ranks by the teacher what other miners found, or the whole pool.

    The teacher reading every document of a large pool for every query is out of reach, so it reads the documents that
    the first miners rank highest, taken from each in turn, up to ``reads`` of them; a pool no larger than that is read
    whole.

    Args:
        queries: texts by id.
        pool: documents by id.
        teachers: whose ranking it is; their scores go through the cache.
        first: miners whose answers are re-ranked.
        reads: documents of each query that the teacher reads; 0 for the whole pool.
    """

    name = "cross_encoder"

    def __init__(
        self, queries: Sequence[str], pool: Sequence[str], teachers: Teachers, first: Sequence[Miner], *, reads: int
    ) -> None:
        self._queries, self._pool, self._teachers, self._first = queries, pool, teachers, first
        self._reads = min(reads or len(pool), len(pool))

    def fingerprint(self) -> str:
        """Of the teachers, of the number of documents read and of the first miners (none where all is read); "" with
        imported scores, since more scores of the same name give another ranking."""
        if any(member.imported for member in self._teachers.members):
            return ""
        first = [] if self._whole else [miner.fingerprint() for miner in self._first]
        teachers = [{**identity, "path": ""} for identity in self._teachers.identities()]  # wherever they lie
        return artifacts.fingerprint({"teachers": teachers, "reads": self._reads, "first": first})

    def mine(self, query_ids: Ints, depth: int) -> Ints:
        """See ``Miner.mine``; a row holds at most as many documents as the teacher reads."""
        read = self._to_read(query_ids)
        rows, places = np.nonzero(read >= 0)
        pairs = np.stack([query_ids[rows], read[rows, places]], axis=1)
        scored = self._teachers.logits(self._queries, self._pool, pairs, "cross_encoder miner")
        logits = np.full(read.shape, -np.inf, dtype=np.float32)
        # A pair that imported scores lack is not ranked.
        logits[rows, places] = np.nan_to_num(scored.logits, nan=-np.inf)
        ranked = np.full((len(query_ids), depth), -1, dtype=np.int64)
        for row in range(len(query_ids)):
            order = np.lexsort((read[row], -logits[row]))[:depth]
            order = order[np.isfinite(logits[row, order])]
            ranked[row, : len(order)] = read[row, order]
        return ranked

    @property
    def _whole(self) -> bool:
        return self._reads == len(self._pool)

    def _to_read(self, query_ids: Ints) -> Ints:
        """Documents that the teacher reads, int64 of shape (queries, reads), -1 where there are fewer."""
        if self._whole:
            return np.tile(np.arange(len(self._pool), dtype=np.int64), (len(query_ids), 1))
        answers = [miner.mine(query_ids, self._reads) for miner in self._first]
        read = np.full((len(query_ids), self._reads), -1, dtype=np.int64)
        for row in range(len(query_ids)):
            # One of each miner in turn; a dictionary keeps the first place of a document that both found.
            in_turn = np.stack([answer[row] for answer in answers], axis=1).ravel()
            different = list(dict.fromkeys(in_turn[in_turn >= 0].tolist()))[: self._reads]
            read[row, : len(different)] = different
        return read
