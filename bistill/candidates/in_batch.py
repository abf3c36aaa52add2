"""Documents that a batch encodes anyway, as further negatives of all its queries.

Labelled and equal texts, and what the teacher's limits removed, are masked. The teacher's scores come from the pools
where a document is among the query's candidates, else from the cache; what is not there is scored, ignored or taken
as low as the lowest candidate of the query (``--in_batch_unscored``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from bistill import artifacts, console
from bistill.candidates.filtering import Verdict, equal_texts, judge, normal_form
from bistill.candidates.pools import ScoredPools, TrainingList
from bistill.candidates.teacher_scores.teachers import Teachers, relevance
from bistill.config import DistillationOptions
from bistill.data.corpus import Corpus
from bistill.data.dataset import Dataset

# Pairs that wait in memory before repeated ones are dropped.
MERGED_AT_ONCE: Final = 10_000_000


class InBatchNegatives:
    """Teacher relevance of (query, other query's document) pairs of all batches of a run.

    Args:
        dataset: queries and labels.
        corpus: documents.
        pools: scored candidates of the queries.
        options: limits, and what becomes of unscored pairs.
        batches: the lists of each batch of each epoch.
        teachers: who score, or look up, what the pools lack.
        kept: file in which the scores of a run lie, so that a run that goes on finds those it began with, whatever has
            been scored since; written where it is not there.
    """

    def __init__(
        self,
        dataset: Dataset,
        corpus: Corpus,
        pools: ScoredPools,
        options: DistillationOptions,
        batches: Iterable[Sequence[TrainingList]],
        teachers: Teachers,
        kept: Path | None = None,
    ) -> None:
        self._dataset, self._corpus, self._pools, self._options = dataset, corpus, pools, options
        self._row_of = {int(query): row for row, query in enumerate(pools.query_ids)}
        self._pairs = _union(self._keys(lists) for lists in batches)
        pairs = np.stack(np.divmod(self._pairs, len(corpus)), axis=1)
        self.scored = 0
        if kept is not None and (logits := _read(kept, len(self._pairs))) is not None:
            self._logits = logits
        else:
            self._logits = self._found(pairs, teachers)
            if kept is not None:
                with artifacts.atomic_path(kept) as temporary, temporary.open("wb") as file:
                    np.save(file, self._logits, allow_pickle=False)
        self.unscored = int(np.isnan(self._logits).sum())
        console.say(f"in-batch pairs: {len(self._pairs)} beside the lists, {self.unscored} of them without a score")

    def relevance(self, item: TrainingList, documents: np.ndarray) -> np.ndarray:
        """Teacher's relevance of documents as negatives of a list's query.

        Args:
            item: a list of the batch.
            documents: ids of documents outside the list, int64 of shape (n,).

        Returns:
            float32 of shape (n,); nan where a document is no negative of the query or has no score to learn.
        """
        pool = self._pools[self._row_of[item.query_id]]
        logits = self._looked_up(item.query_id, documents)
        order = np.argsort(pool.documents, kind="stable")
        places = np.searchsorted(pool.documents, documents, sorter=order)
        found = order[np.minimum(places, len(order) - 1)]
        own = pool.documents[found] == documents
        logits[own] = pool.logits[found[own]]
        values = relevance(logits)
        labelled = np.isin(documents, self._dataset[item.query_id].negatives)
        best = float(relevance(pool.positive_logits).max())
        options = self._options
        verdicts = judge(
            values,
            labelled,
            best,
            max_ratio=options.max_negative_ratio,
            max_score=options.max_negative_score,
            irrelevant_below=options.irrelevant_below,
        )
        if options.in_batch_unscored == "floor":
            values[np.isnan(values)] = relevance(pool.logits).min()
        values[(verdicts != Verdict.KEPT) | self._relevant(item.query_id, documents, labelled)] = np.nan
        return values

    def _found(self, pairs: np.ndarray, teachers: Teachers) -> np.ndarray:
        """Logits of pairs, nan where there is none."""
        if self._options.in_batch_unscored == "score":
            scored = teachers.logits(self._dataset.queries, self._corpus, pairs, "in-batch pairs")
            self.scored = scored.scored
            return scored.logits
        return teachers.known(self._dataset.queries, self._corpus, pairs)

    def fingerprint(self) -> str:
        """SHA-256 of the pairs and of their scores."""
        return hashlib.sha256(self._pairs.tobytes() + self._logits.tobytes()).hexdigest()

    def _keys(self, lists: Sequence[TrainingList]) -> np.ndarray:
        """Query id * corpus size + document id of every pair of a batch outside its lists."""
        documents = np.unique(np.concatenate([item.documents for item in lists])).astype(np.int64)
        keys = [item.query_id * len(self._corpus) + np.setdiff1d(documents, item.documents) for item in lists]
        return np.concatenate(keys)

    def _looked_up(self, query_id: int, documents: np.ndarray) -> np.ndarray:
        wanted = query_id * len(self._corpus) + documents
        places = np.searchsorted(self._pairs, wanted)
        assert (self._pairs[places] == wanted).all(), "a batch other than those planned"
        return self._logits[places].copy()

    def _relevant(self, query_id: int, documents: np.ndarray, labelled: np.ndarray) -> np.ndarray:
        """True for the query's labelled positives, and for texts equal to one that nobody called irrelevant."""
        positives = self._dataset[query_id].positives
        forms = (normal_form(text) for text in self._corpus.take(documents))
        equal = equal_texts(forms, (normal_form(text) for text in self._corpus.take(positives)))
        return (equal & ~labelled) | np.isin(documents, positives)


def _read(path: Path, count: int) -> np.ndarray | None:
    """Scores that an interrupted run left, None where there are none that can be used."""
    try:
        logits = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        return None
    return logits if logits.shape == (count,) and logits.dtype == np.float32 else None


def _union(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Different numbers of all parts, rising; many epochs repeat them, so they are put together now and then."""
    union, waiting, size = np.empty(0, dtype=np.int64), list[np.ndarray](), 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size > MERGED_AT_ONCE:
            union, waiting, size = np.unique(np.concatenate([union, *waiting])), [], 0
    return np.unique(np.concatenate([union, *waiting]))
