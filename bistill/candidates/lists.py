"""Candidate lists, and those that need no teacher: a query's positives, its labelled negatives, random documents.

Every list is a function of (seed, epoch, query id) and the corpus alone, so a resumed run sees the lists it would have
seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from bistill.candidates.filtering import refusal
from bistill.data.records import Record
from bistill.data.sampling import generator
from bistill.data.store.dataset import Dataset
from bistill.evaluation.measures import margins

# Random documents beside the labelled ones of a query, wherever scores of labelled pairs are measured or calibrated.
RANDOM_NEGATIVES: Final = 4
NOT_ASKED: Final = np.empty(0, dtype=np.float32)


class CandidateList(NamedTuple):
    """Documents of one query, and what people or a teacher say of them: to learn from, to measure with, to export.

    Attributes:
        query_id: the query.
        documents: document ids, positives first, no id twice.
        labels: relevance in 0..1 of each document by its label, 0 where it has none; () where it is the teacher's
            that counts.
        positives: how many of the first documents are positives.
        labelled: how many of the documents after them are labelled negatives.
        mined: how many of the documents after those were found by a miner; the others are random documents, or those
            of other queries.
        logits: the teacher's of each document, float32 of shape (documents,), nan where it is not known; empty where
            no teacher was asked.
    """

    query_id: int
    documents: tuple[int, ...]
    labels: tuple[float, ...]
    positives: int
    labelled: int
    mined: int = 0
    logits: np.ndarray = NOT_ASKED

    @property
    def relevance(self) -> np.ndarray:
        """Teacher's relevance in 0..1 of each document, float32."""
        return margins.sigmoid(self.logits).astype(np.float32)


def for_validation(dataset: Dataset, query_id: int, *, size: int, seed: int) -> CandidateList:
    """All positives and enough negatives to make ``size`` documents (at least one negative); the same every time."""
    record = dataset[query_id]
    count = max(size - len(record.positives), 1)
    negatives, labels = negatives_of(record, dataset.documents, count=count, seed=seed, epoch=0)
    return CandidateList(
        query_id,
        (*record.positives, *negatives),
        (*record.positive_labels, *labels),
        positives=len(record.positives),
        labelled=min(count, len(record.negatives)),
    )


def negatives_of(
    record: Record, corpus: Sequence[str], *, count: int, seed: int, epoch: int
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """``count`` negatives of a query: labelled ones in random order, then random documents.

    A random document is never the text of a positive of the query, of one of its labelled negatives or of the query
    itself, and no two of them are the same text.

    Args:
        record: the query and what is labelled for it.
        corpus: documents by id.
        count: negatives wanted.
        seed: of the run.
        epoch: 0-based.

    Returns:
        Document ids and their labels in 0..1, 0 where none was given; fewer than ``count`` where the corpus has no
        more.
    """
    random = generator(seed, "negatives", epoch, record.query_id)
    order = random.permutation(len(record.negatives))[:count]
    documents = [record.negatives[place] for place in order]
    labels = [record.negative_labels[place] for place in order]
    refused = refusal(record, corpus, record.negatives)
    drawn = random_documents(len(corpus), {*record.negatives}, count - len(documents), random, refused)
    return (*documents, *drawn), (*labels, *[0.0] * len(drawn))


def random_negatives(record: Record, corpus: Sequence[str], seed: int, count: int = RANDOM_NEGATIVES) -> list[int]:
    """Different texts of the corpus, none a positive of the query or the query itself; fewer where there are no more.

    Args:
        record: the query; its id, not its place, decides the choice.
        corpus: documents by id.
        seed: of the evaluation.
        count: documents wanted.
    """
    stream = generator(seed, "evaluation negatives", record.query_id)
    return random_documents(len(corpus), set(), count, stream, refusal(record, corpus))


def random_documents(
    size: int,
    excluded: set[int],
    count: int,
    random: np.random.Generator,
    refused: Callable[[int], bool] = lambda _: False,
) -> list[int]:
    """``count`` different ids below ``size`` that are neither excluded nor refused, or all there are, by chance."""
    drawn: list[int] = []
    taken = set(excluded)
    while len(drawn) < count:
        if count - len(drawn) >= size - len(taken):
            return drawn + [document for document in range(size) if document not in taken and not refused(document)]
        document = int(random.integers(size))
        if document not in taken:
            taken.add(document)
            if not refused(document):
                drawn.append(document)
    return drawn
