"""What is asked of every model: the queries, the documents to rank, and the pairs to score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bistill.arrays import Doubles, Floats, Ints, Number
from bistill.candidates.lists import random_negatives
from bistill.console import counted
from bistill.data.queries import choice
from bistill.data.queries.copies import Selection, ranked_without_own
from bistill.data.records import Record
from bistill.data.sampling import generator
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import load_split
from bistill.evaluation.judged import Judged
from bistill.evaluation.measures import ranking
from bistill.evaluation.ranked import Further, MoreDocuments, TestData, further
from bistill.evaluation.settings import Asking


@dataclass(frozen=True)
class Pairs:
    """(query, document) pairs, ordered by query.

    Attributes:
        queries: row of the query among the questions, int64 of shape (pairs,).
        documents: id of the document in the corpus, int64 of shape (pairs,).
        labels: relevance in 0..1, float64 of shape (pairs,); nan where nobody labelled the pair.
    """

    queries: Ints
    documents: Ints
    labels: Doubles

    def __len__(self) -> int:
        return len(self.queries)

    def of_queries(self, values: npt.NDArray[Number], count: int) -> list[npt.NDArray[Number]]:
        """Values of pairs, shape (pairs,), cut into those of each of ``count`` queries."""
        ends = np.searchsorted(self.queries, np.arange(1, count), side="left")
        return np.split(values, ends) if count else []


@dataclass(frozen=True)
class Questions:
    """One evaluation's questions.

    Attributes:
        dataset: the test file.
        records: its queries used here, with their judgements: those with a positive, which are ranked, then those
            without, of which only the labelled pairs count. Documents by their numbers in ``corpus``.
        corpus: documents to rank, those of the test file first; no two of them are the same text.
        positives: labelled relevant pairs.
        negatives: labelled irrelevant pairs, maybe none.
        random: pairs of queries and documents chosen by the seed.
        others: for each query the row of another one that stands in for it where queries are shuffled, int64; empty
            where there is only one.
        own: the document that is the text of each query and is left out of its ranking, int64 of shape (queries,), -1
            where there is none or where it is labelled positive; empty where there is none for any query.
        copies: documents that are left out since they are the same text as an earlier one.
        of_test_data: documents of the corpus that are of the test file.
        name: of the test file, as the user gave it.
        more: the further documents.
        partly_judged: whether relevant documents may be among those that nobody judged.
        judge: the teacher whose relevance the labels are, and how it judged, as the report holds it; None: they are the
            file's own.
    """

    dataset: Dataset
    records: list[Record]
    corpus: Corpus | Selection
    positives: Pairs
    negatives: Pairs
    random: Pairs
    others: Ints
    own: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    copies: int = 0
    of_test_data: int = 0
    name: str = ""
    more: Further = Further((), "test")
    partly_judged: bool = False
    judge: dict[str, Any] | None = None

    @cached_property
    def ranked(self) -> int:
        """How many queries have a positive: the first ones."""
        return sum(bool(record.positives) for record in self.records)

    @property
    def queries(self) -> list[str]:
        """Texts of the queries."""
        return [record.query for record in self.records]

    def shuffled(self, pairs: Pairs) -> Pairs:
        """The same documents, each asked by the query that stands in for its own.

        Pairs whose document is a positive of that query, too, or its own text, are left out. Labels are nan: nobody
        judged these pairs.
        """
        if not len(self.others):
            return _pairs([])
        queries = self.others[pairs.queries]
        own = self.own if len(self.own) else [-1] * len(self.records)
        relevant = [{*record.positives, int(text)} for record, text in zip(self.records, own, strict=True)]
        kept = [document not in relevant[query] for query, document in zip(queries, pairs.documents, strict=True)]
        rows = np.flatnonzero(kept)
        rows = rows[np.argsort(queries[rows], kind="stable")]
        return Pairs(queries[rows], pairs.documents[rows], np.full(len(rows), np.nan))

    def best(self, search: Callable[[int], tuple[Ints, Floats]], depth: int) -> tuple[Ints, Floats]:
        """The first ``depth`` documents of each query that is ranked, or all there are, without its own text; see
        ``copies.ranked_without_own``."""
        return ranked_without_own(search, self.own[: self.ranked], min(depth, len(self.corpus)))

    def left_out(self) -> Iterator[str]:
        """What is not ranked since texts are the same, a sentence each."""
        if self.copies:
            yield (
                f"{counted(self.copies, 'document is a copy', 'documents are copies')} of another one, the same text "
                "but for case, width, white space or invisible characters: each text is ranked once"
            )
        if own := self.among_documents:
            yield (
                f"{own} of {counted(self.ranked, 'query stands', 'queries stand')} among the documents: a query's "
                "own text is left out of its ranking"
            )

    @property
    def among_documents(self) -> int:
        """Queries whose own text is left out of their ranking."""
        return int((self.own[: self.ranked] >= 0).sum())

    def query_ids(self) -> list[int]:
        """Of the queries that are ranked, in their order."""
        return [record.query_id for record in self.records[: self.ranked]]

    def most_relevant(self, row: int) -> int:
        """The document of the highest label of a ranked query, of equal ones the first."""
        record = self.records[row]
        return record.positives[int(np.argmax(record.positive_labels))]

    def qrels(self) -> dict[str, dict[str, int]]:
        """Gains of the relevant documents, as ``ranking.figures`` takes them; ids as text."""
        return {
            str(record.query_id): dict(
                zip(map(str, record.positives), ranking.gains(record.positive_labels), strict=True)
            )
            for record in self.records[: self.ranked]
        }

    def judged(self) -> dict[str, dict[str, int]]:
        """``qrels`` with the documents labelled irrelevant, whose gain is 0."""
        return {
            str(record.query_id): {**dict.fromkeys(map(str, record.negatives), 0), **relevant}
            for record, relevant in zip(self.records, self.qrels().values(), strict=False)
        }


def build(test: TestData, documents: MoreDocuments = None, *, asking: Asking = Asking()) -> Questions:
    """Read the data of an evaluation and choose its queries and random pairs by the seed.

    Args:
        test: a file of labelled rows, or one that is open already.
        documents: more to rank among, see ``ranked.further``.
        asking: which queries.

    Raises:
        DataError: a file cannot be used, or no query has a positive; RowError names the row.
    """
    dataset = test if isinstance(test, Dataset) else _opened(test, asking)
    ranked = choice.with_positive(dataset, asking.seed, "evaluation", asking.max_queries)
    others = choice.without_positive(dataset, asking.seed, "evaluation", asking.max_queries)
    more = further(test, documents)
    records = [dataset[int(row)] for row in (*ranked, *others)]
    return _questions(test, Collection(dataset, Corpus(dataset.documents, more.texts)), more, records, asking)


def of_judged(test: TestData, judged: Judged, *, asking: Asking = Asking()) -> Questions:
    """The questions of queries without labels that the teacher has judged.

    Args:
        test: the file, or the queries that were open already.
        judged: what the teacher says of them.
        asking: which random pairs.
    """
    found = _questions(test, judged.collection, judged.more, judged.records, asking)
    return replace(found, judge=judged.judge)


def _questions(
    test: TestData, collection: Collection, more: Further, judgements: Sequence[Record], asking: Asking
) -> Questions:
    """Questions of queries with their judgements, documents by their ids in the corpus; those with a positive first."""
    dataset, both = collection
    corpus = both.different()
    records = [_renumbered(record, both) for record in judgements]
    ranked = sum(bool(record.positives) for record in records)
    chosen = (random_negatives(record, corpus, asking.seed) for record in records[:ranked])
    return Questions(
        dataset=dataset,
        records=records,
        corpus=corpus,
        positives=_pairs((record.positives, record.positive_labels) for record in records),
        negatives=_pairs((record.negatives, record.negative_labels) for record in records),
        random=_pairs((found, [np.nan] * len(found)) for found in chosen),
        others=derangement(len(records), asking.seed),
        own=_own_texts(records, both),
        copies=both.copies.count,
        of_test_data=int(np.searchsorted(both.copies.different, len(dataset.documents))),
        name=str(dataset.path if isinstance(test, Dataset) else test),
        more=more,
        partly_judged=asking.partly_judged,
    )


def _opened(test: str | Path, asking: Asking) -> Dataset:
    return load_split(
        test, on_bad_rows=asking.on_bad_rows, rejected_to=asking.rejected_to, partly_judged=asking.partly_judged
    )


def derangement(count: int, seed: int) -> Ints:
    """A permutation that moves every item, drawn evenly among the cyclic ones: int64 of shape (count,).

    Args:
        count: items; of a single one there is none, and the result is empty.
        seed: of the evaluation.
    """
    if count < 2:
        return np.empty(0, dtype=np.int64)
    order = generator(seed, "shuffled queries").permutation(count)
    moved = np.empty(count, dtype=np.int64)
    moved[order] = np.roll(order, -1)
    return moved


def _renumbered(record: Record, documents: Corpus) -> Record:
    """The record with each document's number among those that are different."""
    if not documents.copies.count:
        return record

    def numbers(ids: Sequence[int]) -> tuple[int, ...]:
        found = documents.copies.numbers(np.asarray(ids, dtype=np.int64))
        return tuple(found.tolist())

    return replace(record, positives=numbers(record.positives), negatives=numbers(record.negatives))


def _own_texts(records: Sequence[Record], documents: Corpus) -> Ints:
    """``Questions.own``."""
    found = documents.copies.find([record.query for record in records])
    own = np.where(found >= 0, documents.copies.numbers(found), -1)
    labelled = (number in record.positives for number, record in zip(own.tolist(), records, strict=True))
    own[np.fromiter(labelled, dtype=bool, count=len(own))] = -1
    return own if (own >= 0).any() else np.empty(0, dtype=np.int64)


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
