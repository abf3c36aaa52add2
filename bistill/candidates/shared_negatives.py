"""Lists that are filled to K with documents that other queries of the batch brought (``Lists.own_documents``).

Which ones is drawn by chance among those that are negatives of the query as far as labels and texts tell. The teacher
scores them, and its limits remove some. The pairs of all batches are planned before the first update, so that it reads
each once: ``K - own_documents`` of each query and epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np

from bistill import artifacts, console
from bistill.arrays import Floats, Ints
from bistill.candidates.filtering import TOO_RELEVANT, Verdict, judge
from bistill.candidates.in_batch import DocumentsBeside
from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import ScoredPools
from bistill.candidates.promotion import best_labelled
from bistill.candidates.scores.teachers import Teachers, relevance
from bistill.candidates.settings import Limits, Lists
from bistill.data.sampling import generator
from bistill.data.store.collection import Collection
from bistill.data.store.spilled import Spilled

# Pairs that wait in memory before repeated ones are dropped.
MERGED_AT_ONCE: Final = 10_000_000


class SharedNegatives:
    """Which documents of other queries fill the lists of a batch, with the teacher's logits.

    Args:
        collection: queries, labels and documents.
        pools: scored candidates of the queries.
        lists: size of the lists, and ``own_documents``, which is set.
        limits: above which relevance a document is no negative.
        batches: epoch and own lists of each batch of the run.
        teachers: who score the pairs.
        seed: of the choice.
        kept: file in which the scores of a run lie, so that a run that goes on finds those it began with, whatever has
            been scored since; written where it is not there, or holds those of other pairs or other pools.

    Attributes:
        counts: different ``pairs`` planned; those that a teacher had to read (``scored``), that have no score
            (``unscored``) and that are above a limit (``removed``); lists for which a batch holds too few documents
            (``short``).
    """

    def __init__(
        self,
        collection: Collection,
        pools: ScoredPools,
        lists: Lists,
        limits: Limits,
        batches: Iterable[tuple[int, Sequence[CandidateList]]],
        teachers: Teachers,
        *,
        seed: int,
        kept: Path | None = None,
    ) -> None:
        assert lists.own_documents is not None
        self._collection, self._seed, self._size = collection, seed, lists.size
        self._texts = collection.documents
        self._wanted = lists.size - lists.own_documents
        self._beside = DocumentsBeside(collection, pools)
        self.counts = {"pairs": 0, "scored": 0, "unscored": 0, "removed": 0, "short": 0}
        self._pairs = _union(self._keys(own, epoch) for epoch, own in batches)
        asked = hashlib.sha256(self._pairs.tobytes() + pools.fingerprint().encode("ascii")).hexdigest()
        logits = None if kept is None else _read(kept, asked)
        if logits is None:
            logits = self._scored(teachers)
            if kept is not None:
                with artifacts.atomic_path(kept) as temporary, temporary.open("wb") as file:
                    np.savez(file, asked=np.array(asked), logits=logits)
        self._spilled = Spilled((self._pairs, self._judged(logits, pools, limits)))
        self._pairs, self._logits = self._spilled.arrays
        self._say()

    def extended(self, lists: Sequence[CandidateList], epoch: int) -> list[CandidateList]:
        """The lists of a batch with what each learns of the documents of the others behind its own.

        Args:
            lists: the own lists of one of the batches planned.
            epoch: 0-based.
        """
        filled = []
        for item, documents in zip(lists, self._others(lists, epoch), strict=True):
            wanted = item.query_id * self._documents + documents
            places = np.searchsorted(self._pairs, wanted)
            assert np.array_equal(self._pairs[places], wanted), "a batch other than those planned"
            values = self._logits[places]
            there = ~np.isnan(values)
            filled.append(item.longer(documents[there], values[there]))
        self._spilled.release()
        return filled

    def fingerprint(self) -> str:
        """SHA-256 of the pairs and of what is learned of them."""
        digest = hashlib.sha256(self._pairs.data)
        digest.update(self._logits.data)
        self._spilled.release()
        return digest.hexdigest()

    def _others(self, lists: Sequence[CandidateList], epoch: int) -> Iterator[Ints]:
        """For each list of a batch ids, int64, of the first documents beside it in an order by (seed, epoch, query
        id): as many as it lacks, or all there are."""
        for item, others in zip(lists, self._beside.of(lists), strict=True):
            yield generator(self._seed, "shared", epoch, item.query_id).permutation(others)[: self._wanted]

    @property
    def _documents(self) -> int:
        return len(self._texts)

    def _keys(self, lists: Sequence[CandidateList], epoch: int) -> Ints:
        """Query id * corpus size + document id of every pair of a batch outside its own lists."""
        others = list(self._others(lists, epoch))
        self.counts["short"] += sum(len(documents) < self._wanted for documents in others)
        keys = [item.query_id * self._documents + found for item, found in zip(lists, others, strict=True)]
        return np.concatenate(keys)

    def _scored(self, teachers: Teachers) -> Floats:
        """Logits of all pairs, nan where there is none."""
        pairs = np.stack(np.divmod(self._pairs, self._documents), axis=1)
        scored = teachers.logits(self._collection.dataset.queries, self._texts, pairs, "shared pairs")
        self.counts["scored"] = scored.scored
        return scored.logits

    def _judged(self, logits: Floats, pools: ScoredPools, limits: Limits) -> Floats:
        """Logits of all pairs, float32; nan for those without a score to learn, or above a limit."""
        values = logits.copy()
        first = pools.query_ids * self._documents
        starts, ends = np.searchsorted(self._pairs, first), np.searchsorted(self._pairs, first + self._documents)
        for pool, start, end in zip(pools, starts, ends, strict=True):
            own = values[start:end]
            documents = self._pairs[start:end] % self._documents
            record = self._collection.dataset[pool.query_id]
            best = best_labelled(pool, record.positives)
            assert best is not None, "a pool without a scored positive"
            verdicts = judge(relevance(own), np.isin(documents, record.negatives), float(pool.relevance[best]), limits)
            own[verdicts != Verdict.KEPT] = np.nan
            self.counts["removed"] += int((verdicts != Verdict.KEPT).sum())
        self.counts |= {"pairs": len(values), "unscored": int(np.isnan(logits).sum())}
        return values

    def _say(self) -> None:
        counts = self.counts
        console.say(
            f"shared pairs: {counts['pairs']} beside the own lists, {counts['unscored']} of them without a score, "
            f"{counts['removed']} removed: {TOO_RELEVANT}"
        )
        if counts["short"]:
            console.say(
                f"{console.counted(counts['short'], 'list of all epochs is', 'lists of all epochs are')} shorter than "
                f"`Lists.size` {self._size}: their batches hold too few documents"
            )


def _read(path: Path, asked: str) -> Floats | None:
    """Scores that an interrupted run left, None where there are none of just these pairs and pools."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            return found["logits"] if found["asked"].item() == asked else None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _union(parts: Iterable[Ints]) -> Ints:
    """Different numbers of all parts, rising; many epochs repeat them, so they are put together now and then."""
    union, waiting, size = np.empty(0, dtype=np.int64), list[Ints](), 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size > MERGED_AT_ONCE:
            union, waiting, size = np.unique(np.concatenate([union, *waiting])), [], 0
    return np.unique(np.concatenate([union, *waiting]))
