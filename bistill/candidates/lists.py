"""Candidate lists, and those that need no teacher: a query's positives, its labelled negatives, random documents.

Every list is a function of (seed, epoch, query id) and the corpus alone, so a resumed run sees the lists it would have
seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bistill.arrays import Bytes, Doubles, Flags, Floats, Ints
from bistill.candidates.filtering import Verdict, refusal
from bistill.candidates.mining.registry import LABELLED_BIT, RANDOM_BIT
from bistill.data.records import Record
from bistill.data.sampling import generator
from bistill.data.store.dataset import Dataset
from bistill.evaluation.measures import margins

# Random documents beside the labelled ones of a query, wherever scores of labelled pairs are measured or calibrated.
RANDOM_NEGATIVES: Final = 4


@dataclass(frozen=True, eq=False)
class CandidateList:
    """Documents of one query, and what miners, people and a teacher say of them: the one shape from mining to loss.

    Mining makes a list without scores, scoring and filtering fill it, training takes a part of it; validation and the
    exchange with other tools have the same.

    Attributes:
        query_id: the query.
        documents: document ids, positives first, no id twice: int64 of shape (n,).
        positives: how many of the first documents are positives.
        sources: sum of the bits of the miners that gave each document (``registry``), 0 of positives and of what other
            queries brought: uint8 of shape (n,).
        verdicts: values of ``Verdict``, uint8 of shape (n,).
        logits: the teacher's, nan where it is not known: float32 of shape (n,).
        labels: relevance in 0..1 that people gave, 0 of what is taken for irrelevant without one: float64 of shape
            (n,); nan where labels were not asked for.
    """

    query_id: int
    documents: Ints
    positives: int
    sources: Bytes
    verdicts: Bytes
    logits: Floats
    labels: Doubles

    @classmethod
    def unscored(
        cls,
        query_id: int,
        positives: Sequence[int],
        negatives: Mapping[int, int],
        labels: Sequence[float] | None = None,
    ) -> CandidateList:
        """A list that no teacher has read.

        Args:
            query_id: the query.
            positives: document ids.
            negatives: the bits of the miners that gave each other document, by its id.
            labels: of the positives, then of the others; None: not asked for.
        """
        documents = np.array([*positives, *negatives], dtype=np.int64)
        sources = np.array([*[0] * len(positives), *negatives.values()], dtype=np.uint8)
        given = np.full(len(documents), np.nan) if labels is None else np.array(labels, dtype=np.float64)
        return cls(query_id, documents, len(positives), sources, *_unread(len(documents)), given)

    @classmethod
    def scored(
        cls,
        query_id: int,
        positives: Ints,
        positive_logits: Floats,
        candidates: Ints,
        logits: Floats,
        sources: Bytes,
        verdicts: Bytes,
    ) -> CandidateList:
        """A list whose every pair a teacher has read, as files hold it: its positives, then the columns of the others;
        labels were not asked for."""
        split = len(positives)
        return cls(
            query_id,
            np.concatenate([positives, candidates]),
            split,
            np.concatenate([np.zeros(split, dtype=np.uint8), sources]),
            np.concatenate([np.full(split, Verdict.KEPT, dtype=np.uint8), verdicts]),
            np.concatenate([positive_logits, logits]),
            np.full(split + len(candidates), np.nan),
        )

    @property
    def relevance(self) -> Floats:
        """Teacher's relevance in 0..1 of each document, float32."""
        return margins.sigmoid(self.logits).astype(np.float32)

    @property
    def labelled(self) -> Flags:
        """True where a person called the document irrelevant."""
        return (self.sources & LABELLED_BIT) > 0

    @property
    def mined(self) -> Flags:
        """True where a miner searched for the document, and no person called it irrelevant."""
        return (self.sources & ~np.uint8(LABELLED_BIT | RANDOM_BIT) > 0) & ~self.labelled

    @property
    def kept(self) -> Ints:
        """Places of the candidates that may be negatives."""
        kept = (self.verdicts == Verdict.KEPT) & ~np.isnan(self.logits)
        return self.positives + np.flatnonzero(kept[self.positives :])

    @property
    def relevant(self) -> CandidateList:
        """The positives alone."""
        return self.part(slice(self.positives))

    @property
    def candidates(self) -> CandidateList:
        """All others, also those that a limit removed."""
        return self.part(slice(self.positives, None))

    def whole(self) -> CandidateList:
        """All positives and all candidates that may be negatives, in the order of the miners that gave them."""
        return self.part(np.concatenate([np.arange(self.positives), self.kept]))

    def part(self, places: Ints | Flags | slice) -> CandidateList:
        """Some documents, in the order of their places, those of positives first; or those where a mask is true."""
        if isinstance(places, slice):
            positives = len(range(self.positives)[places])
        else:
            positives = int(np.count_nonzero(np.arange(len(self.documents))[places] < self.positives))
        return CandidateList(
            self.query_id,
            self.documents[places],
            positives,
            self.sources[places],
            self.verdicts[places],
            self.logits[places],
            self.labels[places],
        )

    def longer(self, documents: Ints, logits: Floats | None = None, source: int = 0) -> CandidateList:
        """The list with further candidates behind its own.

        Args:
            documents: their ids, int64 of shape (m,).
            logits: the teacher's, float32 of shape (m,); None: not known.
            source: the bit of the miner that gave them.
        """
        verdicts, unknown = _unread(len(documents))
        return CandidateList(
            self.query_id,
            np.concatenate([self.documents, documents]),
            self.positives,
            np.concatenate([self.sources, np.full(len(documents), source, dtype=np.uint8)]),
            np.concatenate([self.verdicts, verdicts]),
            np.concatenate([self.logits, unknown if logits is None else logits]),
            np.concatenate([self.labels, np.full(len(documents), np.nan)]),
        )


def _unread(size: int) -> tuple[Bytes, Floats]:
    """Verdicts and logits of documents that no teacher has read."""
    return np.full(size, Verdict.KEPT, dtype=np.uint8), np.full(size, np.nan, dtype=np.float32)


def for_validation(dataset: Dataset, query_id: int, *, size: int, seed: int) -> CandidateList:
    """All positives and enough negatives to make ``size`` documents (at least one negative); the same every time."""
    record = dataset[query_id]
    count = max(size - len(record.positives), 1)
    negatives, labels = negatives_of(record, dataset.documents, count=count, seed=seed, epoch=0)
    bits = [LABELLED_BIT] * len(record.negatives) + [RANDOM_BIT] * len(negatives)
    sources = dict(zip(negatives, bits, strict=False))  # the labelled ones come first
    return CandidateList.unscored(query_id, record.positives, sources, (*record.positive_labels, *labels))


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
