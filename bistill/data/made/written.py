"""Queries that a language model behind an endpoint writes for documents: cached, limited in rate, and counted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bistill import artifacts
from bistill.data.made.answers import Answers, key_of
from bistill.data.made.endpoint import ask, question
from bistill.data.made.found import Source
from bistill.data.made.making import Made, written_for
from bistill.data.made.prompt import Example, messages, queries_in
from bistill.data.queries.choice import with_positive
from bistill.data.settings import Endpoint, Making
from bistill.data.store.opening import load_split
from bistill.data.store.texts import windows

EXAMPLES: Final = 4
FAILED: Final = "answers that failed"
ROUNDS_AT_ONCE: Final = 8


class Writer:
    """Asks an endpoint for the queries of documents.

    A document that is asked for and gives no usable answer has no query; the failure is counted and never kept.

    Args:
        endpoint: the server, and how it is asked.
        making: how many queries of a document, how many are changed as people type, and the seed.
        examples: file of labelled rows, a few of whose queries are shown; None: none.

    Attributes:
        counts: questions, answers from the cache, failures and tokens, by what the report calls them.
    """

    def __init__(self, endpoint: Endpoint, making: Making, examples: str | Path | None = None) -> None:
        self.endpoint, self.making, self._file = endpoint, making, examples
        self._examples = [] if examples is None else _examples(Path(examples), making.seed)
        self._answers = Answers()
        self._rate = _Rate(endpoint.per_minute)
        self.counts: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    @property
    def inputs(self) -> dict[str, Any]:
        """What decides the queries beside the documents: not how fast and how often is asked."""
        asked = {name: asdict(self.endpoint)[name] for name in ("url", "model")}
        examples = None if self._file is None else artifacts.sha256_of_file(Path(self._file))
        return {**asked, "examples": examples}

    def made(self, sources: Iterator[Source]) -> Iterator[list[Made]]:
        """The queries of each document, in order, several being asked for at once.

        Raises:
            OptionError: the server refuses the requests.
        """
        with ThreadPoolExecutor(self.endpoint.at_once) as pool:
            for window in windows(sources, self.endpoint.at_once * ROUNDS_AT_ONCE):
                try:
                    for source, text in zip(window, pool.map(self._text, window), strict=True):
                        yield written_for(source, queries_in(text), self.making)
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise

    def _text(self, source: Source) -> str:
        """The answer for a document, from the cache or from the server; "" where all attempts failed."""
        said = messages(source, self.making.each, self._examples)
        key = key_of(self.endpoint, question(self.endpoint, said))
        if (known := self._answers.get(key)) is not None:
            self._count({"answers from the cache": 1})
            return known
        answer = ask(self.endpoint, said, self._rate.wait)
        asked = {"requests": answer.attempts, "tokens read": answer.read, "tokens written": answer.written}
        self._count({**asked, FAILED: bool(answer.failure)}, answer.failure)
        if not answer.failure:
            self._answers.put(key, answer.text)
        return answer.text

    def _count(self, counts: dict[str, int], failure: str = "") -> None:
        with self._rate.lock:
            self.counts.update(counts)
            self.failures.update([failure] if failure else [])


class _Rate:
    """Lets requests start at most so often."""

    def __init__(self, per_minute: float | None) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self.lock = threading.Lock()

    def wait(self) -> None:
        """Come back when the next request may start."""
        with self.lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._gap
        time.sleep(start - now)


def _examples(file: Path, seed: int) -> Sequence[Example]:
    """Some labelled queries of a file, each with its most relevant document.

    Raises:
        DataError: the file cannot be read, or no query has a positive.
    """
    dataset = load_split(file)
    chosen = [dataset[int(query)] for query in with_positive(dataset, seed, "examples of made queries", EXAMPLES)]
    return [Example(record.query, dataset.documents[record.positives[0]]) for record in chosen]
