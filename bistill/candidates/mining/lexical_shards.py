"""BM25 by several processes, in two passes over blocks of documents.

First a helper cuts the texts of a block into tokens and counts them. It gives the sums that the statistics of the whole
are made of, and keeps the counts: cutting, above all into Korean morphemes, is what takes the time (``Helpers.parts``
says where they lie). Then a helper makes them scores and searches the block. Of tokens
only those of the queries have numbers, so that nobody holds the words of the pool; all others count as one
more, which gives a document its length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from bistill.arrays import Floats, Ints, Keys, Tokens
from bistill.candidates.mining import bm25, shards
from bistill.candidates.mining import tokens as tokenization
from bistill.candidates.mining.shards import Best, keyed
from bistill.data.store.texts import windows
from bistill.distributed import Block, Helpers, Work
from bistill.distributed.blocks import rows
from bistill.distributed.helpers import Kept
from bistill.progress import progress


class Asked(NamedTuple):
    """Tokens of queries.

    Attributes:
        numbers: of each different token, from 0.
        tokens: those of all queries behind each other, int32.
        ends: of the tokens of each query, int64 of shape (queries,).
    """

    numbers: dict[str, int]
    tokens: Tokens
    ends: Ints


def asked(texts: Iterable[list[str]], tokenizer: tokenization.Tokenizer) -> Asked:
    """The tokens of queries, of which some come at once."""
    numbers = bm25.numbering()
    queries = [bm25.numbered(tokens, numbers.__getitem__) for window in texts for tokens in tokenizer(window)]
    ends = np.cumsum([len(tokens) for tokens in queries], dtype=np.int64)
    return Asked(dict(numbers), np.concatenate([np.empty(0, dtype=np.int32), *queries]), ends)


def search(
    helpers: Helpers, queries: Asked, pool: Sequence[str], depth: int, kind: tokenization.Kind
) -> tuple[Ints, Floats]:
    """What ``LexicalMiner.search`` gives, to the bit.

    Args:
        helpers: who search.
        queries: their tokens.
        pool: documents by id, read once.
        depth: documents of each query.
        kind: of tokens.

    Raises:
        ProcessError: helpers failed at some documents, or do not have what cuts texts into such tokens.
    """
    cut = shards.shards(len(pool), helpers.size, most=bm25.BLOCK)

    def blocks(places: Sequence[int]) -> Iterator[Block]:
        for block in (cut[place] for place in places):
            texts = [pool[row] for row in block]
            yield Block(rows(block.start, len(block)), len(block), (block.start, texts))

    counting = Work(counted_shard, partial(Counter, kind), "documents", (queries.numbers,))
    found = np.full((len(queries.ends), depth), -1, dtype=np.int64)
    scores = np.zeros(found.shape, dtype=np.float32)
    with helpers.parts(counting, blocks, len(cut)) as parts:
        statistics = _statistics(parts, len(pool), len(queries.numbers) + 1)
        with progress("lexical search", len(found), "queries") as advance:
            for group in shards.groups(len(found), depth):
                best = Best(group.stop - group.start, depth)
                content = (*_of_group(queries, group), statistics, depth)
                parts.each(Work(best_of_shard, Searched, "documents", content), best.take)
                found[group], scores[group] = best.rows(), best.scores()
                advance(group.stop - group.start)
    return found, scores


def _statistics(parts: Kept, documents: int, tokens: int) -> bm25.Statistics:
    """Those of the whole pool; the parts are made."""
    totals = bm25.Totals(tokens)

    def take(block: Block, summary: bm25.Summary) -> None:
        totals.add(summary)
        advance(block.size)

    with progress("lexical index", documents, "documents") as advance:
        parts.make(take)
    return totals.statistics()


def _of_group(queries: Asked, group: slice) -> tuple[Tokens, Ints]:
    """Tokens of some queries behind each other, and the ends of each."""
    begin = int(queries.ends[group.start - 1]) if group.start else 0
    ends = queries.ends[group] - begin
    return queries.tokens[begin : begin + int(ends[-1])], ends


class Counter:
    """What a worker counts with.

    Args:
        kind: of tokens.
        numbers: of those that are asked for.

    Attributes:
        size: different numbers, that of all other tokens among them, which is the last.

    Raises:
        ImportError: the package that cuts texts into such tokens is not there.
    """

    def __init__(self, kind: tokenization.Kind, numbers: dict[str, int]) -> None:
        self._tokenizer, self._numbers, self.size = tokenization.tokenizer(kind), numbers, len(numbers) + 1

    def counts(self, texts: Sequence[str]) -> bm25.Counts:
        """Of the texts of a block."""
        return bm25.counted(
            [
                bm25.numbered(tokens, lambda token: self._numbers.get(token, self.size - 1))
                for window in windows(texts, tokenization.WINDOW)
                for tokens in self._tokenizer(window)
            ]
        )


def counted_shard(counter: Counter, first: int, texts: Sequence[str]) -> tuple[bm25.Summary, tuple[int, bm25.Counts]]:
    """In a worker: a block's summary; and the part that is kept, its first document and its counts."""
    counts = counter.counts(texts)
    return counts.summary(counter.size), (first, counts)


class Searched(NamedTuple):
    """What a worker searches a block for: queries as in ``Asked``, statistics of the whole, documents of each query."""

    tokens: Tokens
    ends: Ints
    statistics: bm25.Statistics
    depth: int


def best_of_shard(searched: Searched, part: tuple[int, Any]) -> Keys:
    """In a worker: the documents of a block that are best for each query, ``keyed``, of shape (queries, some)."""
    first, counts = part
    # What lies in the object store is read-only, and the counts become the scores. The view gives them numpy's own
    # float32: with the equal one that was unpickled, adding up scores (``np.add.at``) takes 20 times as long.
    index = bm25.scored(counts._replace(counts=counts.counts.copy().view(np.float32)), searched.statistics)
    keys = np.full((len(searched.ends), min(searched.depth, len(counts.lengths))), shards.NONE, dtype=np.uint64)
    for row, tokens in enumerate(np.split(searched.tokens, searched.ends[:-1])):
        if len(tokens):
            places, scores = bm25.best(index, tokens, searched.depth)
            keys[row, : len(places)] = keyed(first + places, scores)
    return keys
