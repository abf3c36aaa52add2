"""Documents that share rare words with a query: BM25 over the pool.

Where others work for this process (``distributed.helpers``) they cut the documents into tokens, count and search them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Final

import numpy as np

from bistill import artifacts, distributed
from bistill.arrays import Floats, Ints
from bistill.candidates.mining import bm25, lexical_shards
from bistill.candidates.mining import tokens as tokenization
from bistill.candidates.mining.miner import Search
from bistill.candidates.settings import Lexical, LexicalTokens
from bistill.data.store.texts import windows
from bistill.progress import progress

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
                "bm25": [bm25.METHOD, bm25.K1, bm25.B],
            }
        )

    def mine(self, query_ids: Ints, depth: int) -> Ints:
        """As ``Miner.mine``: the highest scores first. The first call builds the index; others than this process
        build one every time.

        Raises:
            ProcessError: others work for this process, and failed at some documents.
        """
        return self.search(query_ids, depth)[0]

    def search(self, query_ids: Ints, depth: int) -> tuple[Ints, Floats]:
        """Documents as ``mine`` gives them, -1 where there are no more, and their scores, float32 of the same shape.

        Raises:
            ProcessError: as ``mine``.
        """
        if (helpers := distributed.helpers()) is not None:
            asked = lexical_shards.asked(self._windows(query_ids), self._tokenizer)
            return lexical_shards.search(helpers, asked, self._pool, depth, self.tokens)
        found = np.full((len(query_ids), depth), -1, dtype=np.int64)
        scores = np.zeros(found.shape, dtype=np.float32)
        index, done = self._index, 0
        with ThreadPoolExecutor(THREADS) as threads, progress("lexical search", len(found), "queries") as advance:
            for window in self._windows(query_ids):
                best = threads.map(partial(index.best, depth=depth), self._tokenizer(window))
                for row, (documents, of_documents) in enumerate(best, start=done):
                    found[row, : len(documents)] = documents
                    scores[row, : len(documents)] = of_documents
                done += len(window)
                advance(len(window))
        return found, scores

    def _windows(self, query_ids: Ints) -> Iterator[list[str]]:
        return windows((self._queries[int(query)] for query in query_ids), tokenization.WINDOW)

    @cached_property
    def _tokenizer(self) -> tokenization.Tokenizer:
        return tokenization.tokenizer(self.tokens)

    @cached_property
    def _index(self) -> bm25.Bm25:
        with progress("lexical index", len(self._pool), "documents") as advance:
            return bm25.Bm25(self._token_lists(advance))

    def _token_lists(self, advance: Callable[[int], None]) -> Iterator[list[str]]:
        for window in windows(self._pool, tokenization.WINDOW):
            yield from self._tokenizer(window)
            advance(len(window))


def made(settings: Lexical, search: Search) -> LexicalMiner:
    """The miner of the settings; nothing is indexed before it is asked."""
    return LexicalMiner(search.collection.dataset.queries, search.pool, tokens=settings.tokens)
