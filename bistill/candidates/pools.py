"""Scored candidates of all queries: mined, freed of labelled and equal texts, scored by the teacher, filtered.

A query's pool is the list of all its candidates; the lists of every epoch are parts of it, and nothing is scored again
for them. A pool is a function of data, miners, teacher and seed; making it a second time reads the caches and calls no
model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bistill.arrays import Ints, Number
from bistill.candidates.choice import choose_negatives
from bistill.candidates.lists import CandidateList
from bistill.candidates.mining.registry import NAMES
from bistill.candidates.settings import Lists
from bistill.data.sampling import generator
from bistill.data.store.spilled import Spilled
from bistill.data.store.texts import windows

# Queries read between two releases of the pages that reading brought in, up to 64 KiB around each of nine arrays.
READS_BETWEEN_RELEASES: Final = 64
# Queries whose pools are Python objects at once.
POOLS_OF_A_BLOCK: Final = 8_192


@dataclass
class Counts:
    """What happened to candidates and queries on the way.

    Attributes:
        queries: with scored candidates.
        pairs: (query, document) pairs scored, positives among them.
        scored: pairs that a teacher had to read.
        candidates: by miner; a document of two miners counts for both.
        labelled_positive: candidates that are positives of their query.
        equal_text: candidates that are the text of a positive in another spelling.
        own_text: queries whose own text is a document, which is no candidate of theirs.
        copies: documents of the corpus that are the same text as an earlier one.
        ratio: candidates above the relative limit.
        absolute: candidates above the absolute limit.
        unscored: pairs without an imported score.
        topped_up: queries with too few candidates that got random documents.
        lowest_kept: queries whose every candidate was above a limit, and that keep the lowest one.
        short: queries with fewer negatives than a list takes of them.
        left_out: queries without any negative or without a scored positive.
        unlabelled: queries without labels, among ``queries``.
        taken_out: of these queries those whose lists hold the document that they were made from without them.
        promoted: documents that the teacher made positives of these.
        promoted_beside: documents that the teacher made positives beside those of labels.
        suspect: labelled positives that the teacher calls irrelevant.
        tied: of these queries those whose first documents have the same score.
        source_missed: queries left out since the teacher ranks what they were made from too low.
        nothing_relevant: queries left out since the teacher finds no document relevant.
        found_positives: positives among the answers of each retrieval miner, as a share of all positives.
    """

    queries: int = 0
    pairs: int = 0
    scored: int = 0
    candidates: dict[str, int] = field(default_factory=dict)
    labelled_positive: int = 0
    equal_text: int = 0
    own_text: int = 0
    copies: int = 0
    ratio: int = 0
    absolute: int = 0
    unscored: int = 0
    topped_up: int = 0
    lowest_kept: int = 0
    short: int = 0
    left_out: int = 0
    unlabelled: int = 0
    taken_out: int = 0
    promoted: int = 0
    promoted_beside: int = 0
    suspect: int = 0
    tied: int = 0
    source_missed: int = 0
    nothing_relevant: int = 0
    found_positives: dict[str, float] = field(default_factory=dict)


class ScoredPools:
    """Scored candidates of all queries of a run; a row, or a step of an iteration, is one query's pool.

    They lie in arrays on disk, so that memory does not grow with the number of queries.

    Args:
        pools: one a query, in the order of training samples; taken block by block.
        counts: what happened on the way.
        miners: their names by bit.

    Attributes:
        query_ids: of the rows, int64.
        logits: of all queries' candidates one after the other, float32; likewise ``sources`` and ``verdicts``, uint8.
        positive_logits: of all queries' positives, float32.
    """

    def __init__(self, pools: Iterable[CandidateList], counts: Counts, miners: Sequence[str] = NAMES) -> None:
        self.counts, self.miners = counts, tuple(miners)
        self._reads = 0
        blocks = [_arrays(block) for block in windows(pools, POOLS_OF_A_BLOCK)] or [_arrays([])]
        query_ids, sizes, *candidates, positive_sizes, documents, logits = (
            np.concatenate(parts) for parts in zip(*blocks, strict=True)
        )
        self._spilled = Spilled((query_ids, _ends(sizes), *candidates, _ends(positive_sizes), documents, logits))
        self.query_ids, self._ends, self._documents, self.logits, self.sources, self.verdicts, *positives = (
            self._spilled.arrays
        )
        self._positive_ends, self._positives, self.positive_logits = positives

    def __len__(self) -> int:
        return len(self.query_ids)

    def __iter__(self) -> Iterator[CandidateList]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, row: int) -> CandidateList:
        if not 0 <= row < len(self):
            raise IndexError(f"query {row} of {len(self)}")
        self._reads += 1
        if self._reads % READS_BETWEEN_RELEASES == 0:
            self._spilled.release()
        own, positive = slice(*self._ends[row : row + 2]), slice(*self._positive_ends[row : row + 2])
        return CandidateList.scored(
            int(self.query_ids[row]),
            self._positives[positive],
            self.positive_logits[positive],
            self._documents[own],
            self.logits[own],
            self.sources[own],
            self.verdicts[own],
        )

    def document_ids(self) -> Ints:
        """Rising ids of all documents that a list may hold, positives included and none twice: int64 of shape (m,)."""
        found = np.unique(np.concatenate([self._documents, self._positives]))
        self._spilled.release()
        return found

    def fingerprint(self) -> str:
        """SHA-256 of queries, candidates, scores and verdicts."""
        digest = hashlib.sha256()
        for values in self._spilled.arrays:
            digest.update(np.ascontiguousarray(values).data)
        self._spilled.release()
        return digest.hexdigest()

    def training_list(self, row: int, lists: Lists, *, seed: int, epoch: int) -> CandidateList:
        """One positive and up to ``own_negatives`` candidates of a query in an epoch, by (seed, epoch, query id)."""
        pool = self[row]
        epoch = epoch if lists.redraw == "each_epoch" else 0
        kept = pool.kept
        chosen = choose_negatives(
            pool.logits[kept],
            pool.labelled[kept],
            lists.own_negatives,
            how=lists.choice,
            seed=seed,
            epoch=epoch,
            query_id=pool.query_id,
        )
        return pool.part(np.concatenate([[_positive(pool, seed, epoch)], kept[chosen]]))


def _positive(pool: CandidateList, seed: int, epoch: int) -> int:
    """Place of the epoch's positive."""
    return int(generator(seed, "positive", epoch, pool.query_id).integers(pool.positives))


def _arrays(pools: Sequence[CandidateList]) -> list[npt.NDArray[Any]]:  # kinds differ
    """The arrays of ``ScoredPools`` for some queries; in place of ends the number of candidates and of positives of
    each."""
    splits = [pool.positives for pool in pools]
    pairs = list(zip(pools, splits, strict=True))
    return [
        np.array([pool.query_id for pool in pools], dtype=np.int64),
        np.array([len(pool.documents) - split for pool, split in pairs], dtype=np.int64),
        _joined([pool.documents[split:] for pool, split in pairs], np.int64),
        _joined([pool.logits[split:] for pool, split in pairs], np.float32),
        _joined([pool.sources[split:] for pool, split in pairs], np.uint8),
        _joined([pool.verdicts[split:] for pool, split in pairs], np.uint8),
        np.array(splits, dtype=np.int64),
        _joined([pool.documents[:split] for pool, split in pairs], np.int64),
        _joined([pool.logits[:split] for pool, split in pairs], np.float32),
    ]


def _ends(sizes: Ints) -> Ints:
    """0 and where each query's part of an array ends."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])


def _joined(arrays: list[npt.NDArray[Number]], kind: type[Number]) -> npt.NDArray[Number]:
    return np.concatenate(arrays).astype(kind) if arrays else np.empty(0, dtype=kind)
