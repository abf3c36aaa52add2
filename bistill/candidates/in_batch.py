"""Documents that a batch encodes anyway, as further negatives of its other queries.

The query's positives, its own text and the same texts in other spellings are left out, and so is a candidate of the
query that the teacher's limits removed; of documents that are the same text one is taken. What is no candidate of the
query was not read for it: it is taken as low as the query's lowest candidate, so that neither the teacher nor anything
planned beforehand is needed. A batch is a function of the pools and of its own lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bistill.candidates.filtering import Verdict
from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import QueryPool, ScoredPools
from bistill.data.queries.copies import Selection
from bistill.data.store.collection import Collection


class InBatchNegatives:
    """The lists of a batch with the documents of the others behind their own.

    Args:
        collection: queries, labels and documents.
        pools: scored candidates of the queries, at least one each.
    """

    def __init__(self, collection: Collection, pools: ScoredPools) -> None:
        self._collection, self._pools = collection, pools

    def extended(self, lists: Sequence[CandidateList], rows: np.ndarray) -> list[CandidateList]:
        """What each list of a batch becomes.

        Args:
            lists: the own lists of a batch.
            rows: of their queries in the pools, integers of shape (lists,).
        """
        beside = documents_beside(lists, self._collection)
        return [
            self._list(item, self._pools[int(row)], documents)
            for item, row, documents in zip(lists, rows, beside, strict=True)
        ]

    def _list(self, item: CandidateList, pool: QueryPool, documents: np.ndarray) -> CandidateList:
        assert pool.query_id == item.query_id
        logits, there = (
            np.full(len(documents), pool.logits.min(), dtype=np.float32),
            np.ones(len(documents), dtype=bool),
        )
        first = self._collection.corpus.copies.first
        _, candidates, places = np.intersect1d(first[documents], first[pool.documents], return_indices=True)
        logits[candidates] = pool.logits[places]
        there[candidates] = pool.verdicts[places] == Verdict.KEPT
        return longer(item, documents, logits, there)


def documents_beside(lists: Sequence[CandidateList], collection: Collection) -> Iterator[np.ndarray]:
    """For each list of a batch the rising ids, int64, of the documents that the others brought and that are negatives
    of its query as far as labels and texts tell.

    Args:
        lists: the own lists of a batch.
        collection: their queries, labels and documents.
    """
    dataset, corpus = collection
    first = corpus.copies.first
    documents = np.unique(np.concatenate([item.documents for item in lists]))
    texts, places = np.unique(first[documents], return_index=True)
    documents = documents[places]  # of each text the lowest id in the batch
    rising = np.argsort(documents)
    texts, documents = texts[rising], documents[rising]
    own = corpus.copies.find(Selection(dataset.queries, np.array([item.query_id for item in lists])))
    for item, own_text in zip(lists, own, strict=True):
        held = first[np.asarray([*item.documents, *dataset[item.query_id].positives], dtype=np.int64)]
        yield documents[~np.isin(texts, held) & (texts != own_text)]


def longer(item: CandidateList, documents: np.ndarray, logits: np.ndarray, there: np.ndarray) -> CandidateList:
    """A list with further documents behind its own, those where ``there`` is true."""
    documents, logits = documents[there], logits[there]
    return item._replace(documents=(*item.documents, *documents.tolist()), logits=np.concatenate([item.logits, logits]))
