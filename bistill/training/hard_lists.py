"""Lists of what BM25 ranks highest for a query, over which a teacher and a student's start are measured, and how many
of them are read."""

from __future__ import annotations

from typing import Final

import numpy as np

from bistill.candidates.filtering import refusal
from bistill.candidates.lists import CandidateList, random_documents
from bistill.candidates.mining.kept import kept
from bistill.candidates.mining.lexical import LexicalMiner
from bistill.candidates.mining.miners import in_corpus
from bistill.candidates.mining.registry import LABELLED_BIT, LEXICAL_BIT, RANDOM_BIT
from bistill.candidates.settings import Lexical
from bistill.data.queries import choice
from bistill.data.sampling import generator, in_turn
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.training.validation import LIST_SIZE

# Share of the pairs of a training that measuring may read beside it.
PRICE: Final = 0.1
# Lists that are read in any case: fewer would show nothing, not even a teacher that knows nothing.
LEAST_LISTS: Final = 10


def hard_lists(collection: Collection, *, count: int, seed: int, lexical: Lexical) -> list[CandidateList]:
    """Lists of validation queries: positives (at most half of a list), labelled negatives, then BM25's first documents,
    random ones where it finds too few; ``LIST_SIZE`` documents where there are as many.

    They stand in the order in which they are read, by seed and query id: who reads the first ones alone reads a choice
    by chance, and the teacher's validation and the gate read the same.

    Args:
        collection: validation queries, and documents to find candidates in.
        count: queries at most.
        seed: of the choice of queries and of what is drawn.
        lexical: what a word is.

    Raises:
        DataError: no validation query has a positive.
    """
    valid, corpus = collection
    query_ids = choice.with_positive(valid, seed, "valid", count)
    pool = corpus.different()
    miner = LexicalMiner(valid.queries, pool, tokens=lexical.tokens)
    found = in_corpus(kept(miner, valid, pool, query_ids, 2 * LIST_SIZE), pool)
    turn = valid.with_positive[in_turn(seed, "valid", len(valid.with_positive), count)]
    return [
        _list(int(query), row[row >= 0].tolist(), valid, corpus, seed)
        for query, row in zip(turn, found[np.searchsorted(query_ids, turn)], strict=True)
    ]


def affordable(lists: list[CandidateList], pairs: int) -> int:
    """How many of the first lists are read where a training reads so many pairs: ``PRICE`` of them together at most,
    but ``LEAST_LISTS`` in any case, and all there are where that is less."""
    ends = np.cumsum([len(item.documents) for item in lists])
    return min(max(int(np.searchsorted(ends, PRICE * pairs, side="right")), LEAST_LISTS), len(lists))


def _list(query_id: int, ranked: list[int], valid: Dataset, corpus: Corpus, seed: int) -> CandidateList:
    record = valid[query_id]
    positives = record.positives[: LIST_SIZE // 2]
    labelled = record.negatives[: LIST_SIZE - len(positives)]
    room = LIST_SIZE - len(positives) - len(labelled)
    refused = refusal(record, corpus, record.negatives)
    mined = [document for document in ranked if not refused(document)][:room]
    stream = generator(seed, "gate", query_id)
    others = random_documents(len(corpus), {*record.negatives, *mined}, room - len(mined), stream, refused)
    sources = {
        **dict.fromkeys(labelled, LABELLED_BIT),
        **dict.fromkeys(mined, LEXICAL_BIT),
        **dict.fromkeys(others, RANDOM_BIT),
    }
    labels = (*record.positive_labels[: len(positives)], *[0.0] * len(sources))
    return CandidateList.unscored(query_id, positives, sources, labels)
