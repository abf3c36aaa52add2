"""BM25 over blocks of documents by bm25s (https://arxiv.org/abs/2407.03618): counts, statistics, scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bistill.arrays import Floats, Ints, Tokens
from bistill.data.store.texts import windows
from bistill.evaluation.measures import exact

# The formula of Lucene with the two constants that bm25s takes unless told otherwise (Lucene's own k1 is 1.2).
METHOD: Final = "lucene"
K1: Final = 1.5
B: Final = 0.75
# Documents of one index: its scores of a query fit the processor's cache, and what sorting it takes is small.
BLOCK: Final = 32_768


class Bm25:
    """Scores of a pool's documents, computed when it is indexed.

    bm25s indexes a pool at once and sorts all of it on the way, which takes some 7 GB for a million Korean documents.
    So each block of documents is an index of its own, with the statistics of the whole pool.

    Args:
        token_lists: the tokens of each document, in order.
    """

    def __init__(self, token_lists: Iterable[list[str]]) -> None:
        numbers = numbering()
        ids = (numbered(tokens, numbers.__getitem__) for tokens in token_lists)
        blocks = [counted(block) for block in windows(ids, BLOCK)]
        self.vocabulary = dict(numbers)
        totals = Totals(len(self.vocabulary))
        for block in blocks:
            totals.add(block.summary(len(self.vocabulary)))
        statistics = totals.statistics()
        self._starts = np.cumsum([0, *(len(block.lengths) for block in blocks)]).tolist()
        self.blocks = [scored(block, statistics) for block in blocks]

    def best(self, tokens: Iterable[str], depth: int) -> tuple[Ints, Floats]:
        """Up to ``depth`` documents that share a token with a query, int64, and their scores, float32.

        The scores fall, equal ones are ordered by lower id.
        """
        known = [self.vocabulary[token] for token in tokens if token in self.vocabulary]
        documents, scores = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        for start, block in zip(self._starts, self.blocks if known else (), strict=False):
            matching, of_block = best(block, known, depth)
            documents = np.concatenate([documents, start + matching])
            scores = np.concatenate([scores, of_block])
        columns = exact.top_columns(scores, depth)  # blocks follow each other, so ids rise
        return documents[columns], scores[columns]


class Summary(NamedTuple):
    """What the statistics of the whole need of a block: documents, their tokens, and the documents that hold each
    token, int64 of shape (tokens,)."""

    documents: int
    length: int
    holding: Ints


class Counts(NamedTuple):
    """How often each token is in each document of a block, ordered by token, then document.

    Attributes:
        lengths: tokens of each document, int64 of shape (documents,).
        ends: of the entries of each token known so far, int64 of shape (tokens,).
        documents: place in the block, int32 of shape (entries,).
        counts: float32 of shape (entries,).
    """

    lengths: Ints
    ends: Ints
    documents: npt.NDArray[np.int32]
    counts: Floats

    def summary(self, tokens: int) -> Summary:
        """Of the block, with so many tokens in the whole."""
        holding = np.zeros(tokens, dtype=np.int64)
        holding[: len(self.ends)] = np.diff(self.ends, prepend=0)
        return Summary(len(self.lengths), int(self.lengths.sum()), holding)


class Statistics(NamedTuple):
    """Of the whole pool: the mean length of its documents, at least 1e-9, and the idf of each token, float32 of shape
    (tokens,): ``log(1 + (n - h + 0.5) / (h + 0.5))`` of n documents of which h hold the token."""

    mean_length: float
    idf: Floats


class Totals:
    """Summaries of blocks, added up.

    Args:
        tokens: different ones of the whole pool.
    """

    def __init__(self, tokens: int) -> None:
        self._documents = self._length = 0
        self._holding = np.zeros(tokens, dtype=np.int64)

    def add(self, block: Summary) -> None:
        """Take in a block."""
        self._documents += block.documents
        self._length += block.length
        self._holding += block.holding

    def statistics(self) -> Statistics:
        """Of all blocks."""
        idf = np.log1p((self._documents - self._holding + 0.5) / (self._holding + 0.5)).astype(np.float32)
        return Statistics(max(self._length / max(self._documents, 1), 1e-9), idf)


def numbering() -> defaultdict[str, int]:
    """Numbers of tokens, from 0: one that is looked up for the first time takes the next."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers


def numbered(tokens: list[str], number: Callable[[str], int]) -> Tokens:
    """The number of each token, int32 of shape (tokens,)."""
    return np.fromiter(map(number, tokens), np.int32, len(tokens))


def counted(block: list[Tokens]) -> Counts:
    """Counts of a block of documents, given the numbers of their tokens."""
    lengths = np.array([len(tokens) for tokens in block], dtype=np.int64)
    # One number for each pair of token and document: 32 bits each.
    pairs = np.concatenate(block).astype(np.int64) << 32 | np.repeat(np.arange(len(block)), lengths)
    pairs, counts = np.unique(pairs, return_counts=True)
    ends = np.cumsum(np.bincount(pairs >> 32)) if len(pairs) else np.empty(0, dtype=np.int64)
    return Counts(lengths, ends, (pairs & 0xFFFFFFFF).astype(np.int32), counts.astype(np.float32))


def scored(block: Counts, statistics: Statistics) -> Any:
    """A bm25s index whose scores are those of the block's entries: ``idf * count / (count + k1 * (1 - b + b * l))``.

    l is the length of the document over the mean length. The counts become the scores in place.
    """
    import bm25s

    tokens = len(statistics.idf)
    starts = np.zeros(tokens + 1, dtype=np.int32)  # there is one for each token and block
    starts[1 : len(block.ends) + 1] = block.ends
    starts[len(block.ends) + 1 :] = len(block.counts)
    norms = (K1 * (1 - B + B * block.lengths / statistics.mean_length)).astype(np.float32)
    scores = block.counts
    scores /= scores + norms[block.documents]
    scores *= np.repeat(statistics.idf, np.diff(starts))
    index = bm25s.BM25(k1=K1, b=B, method=METHOD)
    index.nonoccurrence_array = None
    index.scores = {"data": scores, "indices": block.documents, "indptr": starts, "num_docs": len(block.lengths)}
    return index


def best(index: Any, tokens: Sequence[int] | Tokens, depth: int) -> tuple[Ints, Floats]:
    """Up to ``depth`` documents of an index of ``scored`` that share a token with a query, and their scores, float32.

    Equal scores at the cut are decided by lower place.

    Args:
        index: of a block.
        tokens: their numbers, in the order in which their scores are added up.
        depth: documents wanted.

    Returns:
        Rising places in the block, int64, and the score of each.
    """
    scores: Floats = index.get_scores_from_ids(tokens)
    matching = np.flatnonzero(scores)
    matching = matching[np.sort(exact.top_columns(scores[matching], depth))]
    return matching, scores[matching]
