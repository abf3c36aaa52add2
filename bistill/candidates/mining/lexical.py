"""Documents that share rare words with a query: BM25 over the pool, by bm25s (https://arxiv.org/abs/2407.03618)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bistill import artifacts
from bistill.arrays import Floats, Ints, Tokens
from bistill.candidates.mining import tokens as tokenization
from bistill.candidates.mining.miner import Search
from bistill.candidates.settings import Lexical, LexicalTokens
from bistill.data.store.texts import windows
from bistill.evaluation.measures import exact
from bistill.progress import progress

# The formula of Lucene with the two constants that bm25s takes unless told otherwise (Lucene's own k1 is 1.2).
METHOD: Final = "lucene"
K1: Final = 1.5
B: Final = 0.75
# Texts whose tokens are in memory as text at once.
WINDOW: Final = 4_096
# Documents of one index: its scores of a query fit the processor's cache, and what sorting it takes is small.
BLOCK: Final = 32_768
THREADS: Final = 2


class LexicalMiner:
    """The documents of highest BM25 for each query; a document without a token of the query is never found.

    The pool is read once; of it, 8 bytes remain for every different token of every document.

    Args:
        queries: texts by id.
        pool: documents by id.
        tokens: what texts are cut into; auto decides by the pool.

    Raises:
        OptionError: tokens are asked for whose package is not installed.
    """

    name = "lexical"

    def __init__(self, queries: Sequence[str], pool: Sequence[str], *, tokens: LexicalTokens = "auto") -> None:
        self._queries, self._pool = queries, pool
        self.tokens = tokenization.kind_for(tokens, pool)

    def fingerprint(self) -> str:
        """SHA-256 of tokens, their versions, formula and constants, and the version of bm25s."""
        import bm25s

        return artifacts.fingerprint(
            {
                "tokens": self.tokens,
                "versions": {**tokenization.version(self.tokens), "bm25s": bm25s.__version__},
                "bm25": [METHOD, K1, B],
            }
        )

    def mine(self, query_ids: Ints, depth: int) -> Ints:
        """As ``Miner.mine``: the highest scores first. The first call builds the index."""
        return self.search(query_ids, depth)[0]

    def search(self, query_ids: Ints, depth: int) -> tuple[Ints, Floats]:
        """Documents as ``mine`` gives them, -1 where there are no more, and their scores, float32 of the same shape."""
        found = np.full((len(query_ids), depth), -1, dtype=np.int64)
        scores = np.zeros(found.shape, dtype=np.float32)
        index, done = self._index, 0
        with ThreadPoolExecutor(THREADS) as threads, progress("lexical search", len(found), "queries") as advance:
            for window in windows((self._queries[int(query)] for query in query_ids), WINDOW):
                best = threads.map(partial(index.best, depth=depth), self._tokenizer(window))
                for row, (documents, of_documents) in enumerate(best, start=done):
                    found[row, : len(documents)] = documents
                    scores[row, : len(documents)] = of_documents
                done += len(window)
                advance(len(window))
        return found, scores

    @cached_property
    def _tokenizer(self) -> tokenization.Tokenizer:
        return tokenization.tokenizer(self.tokens)

    @cached_property
    def _index(self) -> Bm25:
        with progress("lexical index", len(self._pool), "documents") as advance:
            return Bm25(self._token_lists(advance))

    def _token_lists(self, advance: Callable[[int], None]) -> Iterator[list[str]]:
        for window in windows(self._pool, WINDOW):
            yield from self._tokenizer(window)
            advance(len(window))


def made(settings: Lexical, search: Search) -> LexicalMiner:
    """The miner of the settings; nothing is indexed before it is asked."""
    return LexicalMiner(search.collection.dataset.queries, search.pool, tokens=settings.tokens)


class Bm25:
    """Scores of a pool's documents, computed when it is indexed.

    bm25s indexes a pool at once and sorts all of it on the way, which takes some 7 GB for a million Korean documents.
    So each block of documents is an index of its own, with the statistics of the whole pool.

    Args:
        token_lists: the tokens of each document, in order.
    """

    def __init__(self, token_lists: Iterable[list[str]]) -> None:
        # A token that is looked up for the first time takes the next number.
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__
        ids = (np.fromiter(map(numbers.__getitem__, tokens), np.int32, len(tokens)) for tokens in token_lists)
        blocks = [_counted(block) for block in windows(ids, BLOCK)]
        self.vocabulary = dict(numbers)
        statistics = _statistics(blocks, len(self.vocabulary))
        self._starts = np.cumsum([0, *(len(block.lengths) for block in blocks)]).tolist()
        self.blocks = [_scored(block, statistics) for block in blocks]

    def best(self, tokens: Iterable[str], depth: int) -> tuple[Ints, Floats]:
        """Up to ``depth`` documents that share a token with a query, int64, and their scores, float32.

        The scores fall, equal ones are ordered by lower id.
        """
        known = [self.vocabulary[token] for token in tokens if token in self.vocabulary]
        documents, scores = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        for start, block in zip(self._starts, self.blocks if known else (), strict=False):
            of_block = block.get_scores_from_ids(known)
            matching = np.flatnonzero(of_block)
            matching = matching[np.sort(exact.top_columns(of_block[matching], depth))]
            documents = np.concatenate([documents, start + matching])
            scores = np.concatenate([scores, of_block[matching]])
        columns = exact.top_columns(scores, depth)  # blocks follow each other, so ids rise
        return documents[columns], scores[columns]


class _Counts(NamedTuple):
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


class _Statistics(NamedTuple):
    """Of the whole pool: documents, their mean length, and the documents that hold each token, shape (tokens,)."""

    documents: int
    mean_length: float
    holding: Ints


def _counted(block: list[Tokens]) -> _Counts:
    lengths = np.array([len(tokens) for tokens in block], dtype=np.int64)
    # One number for each pair of token and document: 32 bits each.
    pairs = np.concatenate(block).astype(np.int64) << 32 | np.repeat(np.arange(len(block)), lengths)
    pairs, counts = np.unique(pairs, return_counts=True)
    ends = np.cumsum(np.bincount(pairs >> 32)) if len(pairs) else np.empty(0, dtype=np.int64)
    return _Counts(lengths, ends, (pairs & 0xFFFFFFFF).astype(np.int32), counts.astype(np.float32))


def _statistics(blocks: list[_Counts], tokens: int) -> _Statistics:
    holding = np.zeros(tokens, dtype=np.int64)
    for block in blocks:
        holding[: len(block.ends)] += np.diff(block.ends, prepend=0)
    documents = sum(len(block.lengths) for block in blocks)
    return _Statistics(documents, sum(int(block.lengths.sum()) for block in blocks) / max(documents, 1), holding)


def _scored(block: _Counts, statistics: _Statistics) -> Any:
    """A bm25s index whose scores are those of the block's entries: ``idf * count / (count + k1 * (1 - b + b * l))``.

    l is the length of the document over the mean length, and idf is ``log(1 + (n - h + 0.5) / (h + 0.5))`` of n
    documents of which h hold the token. The counts become the scores in place.
    """
    import bm25s

    tokens = len(statistics.holding)
    starts = np.zeros(tokens + 1, dtype=np.int32)  # there is one for each token and block
    starts[1 : len(block.ends) + 1] = block.ends
    starts[len(block.ends) + 1 :] = len(block.counts)
    idf = np.log1p((statistics.documents - statistics.holding + 0.5) / (statistics.holding + 0.5)).astype(np.float32)
    norms = (K1 * (1 - B + B * block.lengths / max(statistics.mean_length, 1e-9))).astype(np.float32)
    scores = block.counts
    scores /= scores + norms[block.documents]
    scores *= np.repeat(idf, np.diff(starts))
    index = bm25s.BM25(k1=K1, b=B, method=METHOD)
    index.nonoccurrence_array = None
    index.scores = {"data": scores, "indices": block.documents, "indptr": starts, "num_docs": len(block.lengths)}
    return index
