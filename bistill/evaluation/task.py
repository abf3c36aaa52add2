"""What is asked of every model: the queries, the documents to rank, and the pairs to score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bistill import metrics
from bistill.candidates.lists import random_negatives
from bistill.config import EvaluationOptions
from bistill.data.corpus import Corpus
from bistill.data.dataset import Dataset
from bistill.data.records import Record
from bistill.data.sampling import subset
from bistill.data.store import load_documents, load_split


@dataclass(frozen=True)
class Pairs:
    """(query, document) pairs, ordered by query.

    Attributes:
        queries: row of the query in the task, int64 of shape (pairs,).
        documents: id of the document in the corpus, int64 of shape (pairs,).
        labels: relevance in 0..1, float64 of shape (pairs,); nan where nobody labelled the pair.
    """

    queries: np.ndarray
    documents: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.queries)

    def of_queries(self, values: np.ndarray, count: int) -> list[np.ndarray]:
        """Values of pairs, shape (pairs,), cut into those of each of ``count`` queries."""
        ends = np.searchsorted(self.queries, np.arange(1, count), side="left")
        return np.split(values, ends) if count else []


@dataclass(frozen=True)
class Task:
    """One evaluation's questions.

    Attributes:
        dataset: the test file.
        records: its queries used here, with their judgements.
        corpus: documents to rank; the first ones have the ids of the test file.
        positives: labelled relevant pairs.
        negatives: labelled irrelevant pairs, maybe none.
        random: pairs of queries and documents chosen by the seed.
    """

    dataset: Dataset
    records: list[Record]
    corpus: Corpus
    positives: Pairs
    negatives: Pairs
    random: Pairs

    @property
    def queries(self) -> list[str]:
        """Texts of the queries."""
        return [record.query for record in self.records]

    def qrels(self) -> dict[str, dict[str, int]]:
        """Gains of the relevant documents, as ``metrics.ranking_metrics`` takes them; ids as text."""
        return {
            str(record.query_id): dict(
                zip(map(str, record.positives), metrics.gains(record.positive_labels), strict=True)
            )
            for record in self.records
        }


def build(options: EvaluationOptions, rejected_to: Path) -> Task:
    """Read the data of an evaluation and choose its queries and random pairs by the seed.

    Args:
        options: of the command.
        rejected_to: file of the rows set aside where bad rows are skipped.

    Raises:
        DataError: a file cannot be used; RowError names the row.
    """
    dataset = load_split(options.test_data, on_bad_rows=options.on_bad_rows, rejected_to=rejected_to)
    rows = subset(options.seed, "evaluation", len(dataset), options.max_samples)
    records = [dataset[int(row)] for row in rows]
    corpus = Corpus(dataset.documents, load_documents(options.corpus_data) if options.corpus_data else ())
    chosen = (random_negatives(record, len(corpus), options.seed) for record in records)
    return Task(
        dataset=dataset,
        records=records,
        corpus=corpus,
        positives=_pairs((record.positives, record.positive_labels) for record in records),
        negatives=_pairs((record.negatives, record.negative_labels) for record in records),
        random=_pairs((documents, [np.nan] * len(documents)) for documents in chosen),
    )


def _pairs(judged: Iterable[tuple[Sequence[int], Sequence[float]]]) -> Pairs:
    rows = [
        (query, document, label)
        for query, (documents, labels) in enumerate(judged)
        for document, label in zip(documents, labels, strict=True)
    ]
    queries, documents, labels = zip(*rows, strict=True) if rows else ((), (), ())
    return Pairs(
        np.array(queries, dtype=np.int64), np.array(documents, dtype=np.int64), np.array(labels, dtype=np.float64)
    )
