"""Documents that a batch encodes anyway, as further negatives of its other queries.

Labelled positives and texts equal to one are left out, and so is a candidate of the query itself that the teacher's
limits removed. What is no candidate of the query was not read for it: it is taken as low as the query's lowest
candidate, so that neither the teacher nor anything planned beforehand is needed. A batch is a function of the pools and
of its own lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bistill.candidates.filtering import Verdict
from bistill.candidates.pools import QueryPool, ScoredPools, TrainingList
from bistill.data.corpus import Corpus
from bistill.data.dataset import Dataset
from bistill.data.same_text import text_key


class InBatchNegatives:
    """The lists of a batch with the documents of the others behind their own.

    Args:
        dataset: queries and labels.
        corpus: documents.
        pools: scored candidates of the queries, at least one each.
    """

    def __init__(self, dataset: Dataset, corpus: Corpus, pools: ScoredPools) -> None:
        self._dataset, self._corpus, self._pools = dataset, corpus, pools

    def extended(self, lists: Sequence[TrainingList], rows: np.ndarray) -> list[TrainingList]:
        """What each list of a batch becomes.

        Args:
            lists: the own lists of a batch.
            rows: of their queries in the pools, integers of shape (lists,).
        """
        beside = documents_beside(lists, self._dataset, self._corpus)
        return [
            self._list(item, self._pools[int(row)], documents)
            for item, row, documents in zip(lists, rows, beside, strict=True)
        ]

    def _list(self, item: TrainingList, pool: QueryPool, documents: np.ndarray) -> TrainingList:
        assert pool.query_id == item.query_id
        logits = np.full(len(documents), pool.logits.min(), dtype=np.float32)
        there, candidates, places = np.intersect1d(documents, pool.documents, return_indices=True)[:3]
        logits[candidates] = pool.logits[places]
        removed = there[pool.verdicts[places] != Verdict.KEPT]
        return longer(item, documents, logits, ~np.isin(documents, removed))


def documents_beside(lists: Sequence[TrainingList], dataset: Dataset, corpus: Corpus) -> Iterator[np.ndarray]:
    """For each list of a batch the rising ids, int64, of the documents that the others brought and that are negatives
    of its query as far as labels and texts tell.

    Args:
        lists: the own lists of a batch.
        dataset: labels of their queries.
        corpus: documents.
    """
    documents = np.unique(np.concatenate([item.documents for item in lists]))
    records = [dataset[item.query_id] for item in lists]
    read = np.union1d(documents, [number for record in records for number in record.positives])
    forms = np.frombuffer(b"".join(map(text_key, corpus.take(read))), dtype=np.uint64)
    form = forms[np.searchsorted(read, documents)]
    for item, record in zip(lists, records, strict=True):
        # A positive equals itself; a negative label stands above likeness, as in the pools.
        equal = np.isin(form, forms[np.searchsorted(read, record.positives)])
        left_out = np.isin(documents, item.documents) | (equal & ~np.isin(documents, record.negatives))
        yield documents[~left_out]


def longer(item: TrainingList, documents: np.ndarray, logits: np.ndarray, there: np.ndarray) -> TrainingList:
    """A list with further documents behind its own, those where ``there`` is true."""
    return TrainingList(
        item.query_id, (*item.documents, *documents[there].tolist()), np.concatenate([item.logits, logits[there]])
    )
