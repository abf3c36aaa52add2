"""Documents that share rare words with a query: BM25 over the pool, by bm25s (https://arxiv.org/abs/2407.03618)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import islice
from typing import Any, Final

import numpy as np

from bistill import artifacts, metrics
from bistill.candidates import tokens as tokenization
from bistill.config import LexicalTokens
from bistill.console import progress

# The formula of Lucene with the two constants that bm25s takes unless told otherwise (Lucene's own k1 is 1.2).
METHOD: Final = "lucene"
K1: Final = 1.5
B: Final = 0.75
# Texts whose tokens are in memory as text at once.
WINDOW: Final = 4_096
THREADS: Final = 2


class LexicalMiner:
    """The documents of highest BM25 for each query; a document without a token of the query is never found.

    The pool is read once, and from then on is one token id (int32) a token, which goes when the index is built.

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
        self.tokens = tokenization.choose(tokens, pool)

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

    def mine(self, query_ids: np.ndarray, depth: int) -> np.ndarray:
        """As ``Miner.mine``: the highest scores first. The first call builds the index."""
        found = np.full((len(query_ids), depth), -1, dtype=np.int64)
        index, done = self._index, 0
        with ThreadPoolExecutor(THREADS) as threads, progress("lexical search", len(found), "queries") as advance:
            for window in _windows(self._queries[int(query)] for query in query_ids):
                best = threads.map(partial(index.best, depth=depth), self._tokenizer(window))
                for row, documents in enumerate(best, start=done):
                    found[row, : len(documents)] = documents
                done += len(window)
                advance(len(window))
        return found

    @cached_property
    def _tokenizer(self) -> tokenization.Tokenizer:
        return tokenization.tokenizer(self.tokens)

    @cached_property
    def _index(self) -> Bm25:
        with progress("lexical index", len(self._pool), "documents") as advance:
            return Bm25(self._token_lists(advance))

    def _token_lists(self, advance: Callable[[int], None]) -> Iterator[list[str]]:
        for window in _windows(self._pool):
            yield from self._tokenizer(window)
            advance(len(window))


class Bm25:
    """Scores of a pool's documents, computed when it is indexed.

    Args:
        token_lists: the tokens of each document, in order.
    """

    def __init__(self, token_lists: Iterable[list[str]]) -> None:
        # A token that is looked up for the first time takes the next number.
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__
        documents = [np.fromiter(map(numbers.__getitem__, tokens), np.int32, len(tokens)) for tokens in token_lists]
        self.vocabulary = dict(numbers)
        self._scores = _scores(documents, self.vocabulary) if self.vocabulary else None

    def best(self, tokens: Iterable[str], depth: int) -> np.ndarray:
        """Up to ``depth`` documents that share a token with a query, int64: falling score, equal ones by lower id."""
        known = [self.vocabulary[token] for token in tokens if token in self.vocabulary]
        if self._scores is None or not known:
            return np.empty(0, dtype=np.int64)
        scores = self._scores.get_scores_from_ids(known)
        matching = np.flatnonzero(scores)
        return matching[metrics.top_columns(scores[matching], depth)]


def _scores(documents: list[np.ndarray], vocabulary: dict[str, int]) -> Any:
    """bm25s' index of token ids; it takes arrays as well as lists, in a tenth of their memory."""
    import bm25s

    index = bm25s.BM25(k1=K1, b=B, method=METHOD)
    index.index((documents, vocabulary), create_empty_token=False, show_progress=False)
    return index


def _windows(texts: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(texts)
    while window := list(islice(remaining, WINDOW)):
        yield window
