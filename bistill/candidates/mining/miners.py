"""The answers of all miners of a run, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bistill.arrays import Ints
from bistill.candidates.depths import Depths
from bistill.candidates.mining import registry
from bistill.candidates.mining.kept import kept
from bistill.candidates.mining.miner import Miner, Search
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import MinerSettings
from bistill.data.queries.copies import Selection, without_own
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.errors import OptionError
from bistill.models.settings import EncoderStart


@dataclass(frozen=True)
class Mined:
    """The answer of one miner. Of miners that need no search it is made when it is asked for: some query may have
    thousands of labelled negatives.

    Attributes:
        name: of the miner.
        bit: which miners gave a document is a sum of these.
        depth: candidates of each query; None where what the lists take decides (``Depths``).
        retrieval: whether the miner searched for what is near the query.
        answer: of a slice of the queries, document ids of the corpus: rows of integers, best first, -1 at the end of a
            shorter row of an array.
    """

    name: str
    bit: int
    depth: int | None
    retrieval: bool
    answer: Callable[[slice], Ints | list[list[int]]]

    def rows(self, queries: slice) -> Iterator[list[int]]:
        """Document ids of each query of a slice, best first."""
        for row in self.answer(queries):
            yield [document for document in (row if isinstance(row, list) else row.tolist()) if document >= 0]


def mine(
    collection: Collection,
    query_ids: Ints,
    miners: Sequence[MinerSettings | Miner],
    *,
    depths: Depths,
    start: EncoderStart,
    seed: int,
    teachers: Teachers,
) -> list[Mined]:
    """The answers of all miners of a run; those of retrieval come from the cache where they were given before.

    Retrieval searches each text once, among documents that are the same the first, and leaves a query's own text out;
    both are found elsewhere and taken out before the depth is cut, so that every place holds another candidate.

    Args:
        collection: queries, labels and documents.
        query_ids: queries mined for, integers of shape (queries,).
        miners: settings of miners; or a user's own miners, whose documents are those of ``collection.corpus``.
        depths: of the miners where none is given.
        start: the student's start, which the dense miner searches with unless it names a model.
        seed: of what is drawn.
        teachers: whom the cross_encoder miner asks.

    Raises:
        OptionError: no miner, two of one name, or too many of a user's own.
        ModelError: a model cannot be loaded.
    """
    names = registry.names_of(miners)
    search = Search(collection, collection.corpus.different(), start, seed, teachers)
    own = own_texts(collection, query_ids)
    found = []
    for given in miners:
        pool: Corpus | Selection = search.pool
        if isinstance(given, MinerSettings):
            named, retrieval, miner = given.depth, given.retrieval, given.make(search)
        else:
            named, retrieval, miner, pool = None, True, given, collection.corpus
        depth = named or depths.of_miner(miner.name)
        answer: Callable[[slice], Any] = partial(_asked, miner, query_ids, depth)
        if retrieval:
            depth = max(depth, 1) + bool((own >= 0).any())
            facts = miner.fingerprint() if type(given) in registry.MINERS else registry.fingerprint(miner)
            documents = kept(miner, collection.dataset, pool, query_ids, depth, facts=facts)
            if pool is collection.corpus:
                documents = _each_text_once(documents, collection.corpus, miner.name)
            answer = partial(_without_own, documents, pool, own)
        found.append(Mined(miner.name, 1 << names.index(miner.name), named, retrieval, answer))
    return found


def own_texts(collection: Collection, query_ids: Ints) -> Ints:
    """The first document of the corpus that is the text of each query, int64 of shape (queries,); -1 where none
    is, and where it is labelled positive for the query."""
    dataset, corpus = collection
    own = corpus.copies.find(Selection(dataset.queries, query_ids))
    for row in np.flatnonzero(own >= 0):
        positives = np.asarray(dataset[int(query_ids[row])].positives, dtype=np.int64)
        if own[row] in corpus.copies.first[positives]:
            own[row] = -1
    return own


def in_corpus(documents: Ints, pool: Corpus | Selection) -> Ints:
    """Documents of the pool of different texts by their ids in the corpus; -1 stays."""
    return np.where(documents >= 0, pool.ids[documents], -1) if isinstance(pool, Selection) else documents


def _asked(miner: Any, query_ids: Ints, depth: int, queries: slice) -> Any:
    return miner.mine(query_ids[queries], depth)


def _without_own(documents: Ints, pool: Corpus | Selection, own: Ints, queries: slice) -> Ints:
    """A slice of a miner's answer by the ids of the corpus, without the queries' own texts."""
    found = in_corpus(documents[queries], pool)
    return without_own(found, own[queries], found.shape[1] - 1)[0] if (own >= 0).any() else found


def _each_text_once(documents: Ints, corpus: Corpus, name: str) -> Ints:
    """An answer of a user's own miner with the first document of each text, the best place kept and -1 in the others.

    Raises:
        OptionError: it holds what is no id of a document.
    """
    if (
        documents.ndim != 2
        or documents.dtype.kind != "i"
        or not (documents >= -1).all()
        or (documents >= len(corpus)).any()
    ):
        raise OptionError(
            "a miner gives an array of ids of the corpus, int64 of shape (queries, depth)",
            where=name,
            found=documents[:2],
            todo="let its `mine` return ids, and -1 where a row has fewer",
        )
    texts = np.where(documents >= 0, corpus.copies.first[documents], -1)
    for row in texts:
        _, places = np.unique(row, return_index=True)
        row[np.setdiff1d(np.arange(len(row)), places)] = -1
    return texts
