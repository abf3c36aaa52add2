"""Documents that a batch encodes anyway, as further negatives of its other queries.

The query's positives, its own text and the same texts in other spellings are left out, and so is a candidate of the
query that the teacher's limits removed; of documents that are the same text one is taken. What is no candidate of the
query was not read for it: it is taken as low as the query's lowest candidate, so that neither the teacher nor anything
planned beforehand is needed. A batch is a function of the pools and of its own lists.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

import numpy as np

from bistill.arrays import Ints
from bistill.candidates.filtering import Verdict
from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import ScoredPools
from bistill.data.queries.copies import Selection
from bistill.data.store.collection import Collection
from bistill.data.store.spilled import Spilled


class InBatchNegatives:
    """The lists of a batch with the documents of the others behind their own.

    Args:
        collection: queries, labels and documents.
        pools: scored candidates of the queries, at least one each.
    """

    def __init__(self, collection: Collection, pools: ScoredPools) -> None:
        self._pools, self._first = pools, collection.documents.first
        self._beside = DocumentsBeside(collection, pools)

    def extended(self, lists: Sequence[CandidateList], rows: Ints) -> list[CandidateList]:
        """What each list of a batch becomes.

        Args:
            lists: the own lists of a batch.
            rows: of their queries in the pools, integers of shape (lists,).
        """
        return [
            self._list(item, self._pools[int(row)], documents)
            for item, row, documents in zip(lists, rows, self._beside.of(lists), strict=True)
        ]

    def _list(self, item: CandidateList, pool: CandidateList, documents: Ints) -> CandidateList:
        assert pool.query_id == item.query_id
        candidates, first = pool.candidates, self._first
        logits = np.full(len(documents), candidates.logits.min(), dtype=np.float32)
        there = np.ones(len(documents), dtype=bool)
        _, known, places = np.intersect1d(first[documents], first[candidates.documents], return_indices=True)
        logits[known] = candidates.logits[places]
        there[known] = candidates.verdicts[places] == Verdict.KEPT
        return item.longer(documents[there], logits[there])


class DocumentsBeside:
    """Of the documents that a batch brings those that are negatives of each of its queries, as far as labels and texts
    tell. Labels and texts are looked up here, once: 8 bytes on disk for each positive and each query. The positives of
    a query without labels are those of its pool, and so are those that a teacher made beside labelled ones.

    Args:
        collection: queries, labels and documents.
        pools: of all queries whose lists will be asked about.
    """

    def __init__(self, collection: Collection, pools: ScoredPools) -> None:
        dataset, corpus = collection
        self._first = collection.documents.first
        query_ids, rows = np.unique(pools.query_ids, return_index=True)
        refused, ends = array("q"), array("q", [0])  # 8 bytes a number
        own_texts = corpus.copies.find(Selection(dataset.queries, query_ids))
        for query, row, own_text in zip(query_ids, rows, own_texts, strict=True):
            labelled = dataset[int(query)].positives  # () without labels
            promoted = query >= dataset.labelled or pools.counts.promoted_beside
            known = (*labelled, *pools[int(row)].relevant.documents) if promoted else labelled
            positives = np.asarray(known, dtype=np.int64)
            refused.extend(self._first[positives].tolist())
            refused.append(int(own_text))  # -1 where there is none: the text of no document
            ends.append(len(refused))
        self._spilled = Spilled((query_ids, np.array(ends), np.array(refused)))
        self._query_ids, self._ends, self._refused = self._spilled.arrays

    def of(self, lists: Sequence[CandidateList]) -> Iterator[Ints]:
        """For each list of a batch the rising ids, int64, of what the others brought.

        Args:
            lists: the own lists of a batch.
        """
        first = self._first
        documents = np.unique(np.concatenate([item.documents for item in lists]))
        texts, places = np.unique(first[documents], return_index=True)
        documents = documents[places]  # of each text the lowest id in the batch
        rising = np.argsort(documents)
        texts, documents = texts[rising], documents[rising]
        rows = np.searchsorted(self._query_ids, [item.query_id for item in lists])
        for item, row in zip(lists, rows, strict=True):
            held = np.concatenate([first[item.documents], self._refused[slice(*self._ends[row : row + 2])]])
            yield documents[~np.isin(texts, held)]
        self._spilled.release()
