"""What an update of a teacher sees: labelled pairs of a query and a document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from bistill import losses
from bistill.arrays import Doubles, Ints
from bistill.candidates.lists import negatives_of
from bistill.data.queries.turns import turns_of
from bistill.data.records import Record
from bistill.data.settings import Balance
from bistill.data.store.dataset import Dataset
from bistill.data.store.texts import keys_of
from bistill.errors import shown
from bistill.models.compute import batching
from bistill.models.cross_encoder import CrossEncoder, Pair
from bistill.training.loop.gradients import Batch, Terms
from bistill.training.teacher.hard import HardNegatives

# The epoch from which pairs are drawn that no epoch of the training begins with.
BEFORE: Final = -1


class PairTask:
    """Labelled pairs: every positive of every query, and ``negatives_per_positive`` negatives for each, redrawn each
    epoch. Of a query without a positive these are its labelled negatives alone, as many as of one with a positive.

    The loss is the binary cross-entropy of the pairs and, with hard negatives, that of the lists of a batch beside it.

    Args:
        encoder: the teacher in training.
        dataset: queries and documents.
        query_ids: queries trained on.
        negatives_per_positive: of each positive and epoch.
        seed: of their choice.
        balance: how often an epoch comes to the queries of each data version; see ``Turns``.
        hard: negatives that were searched for, for the queries that it has; the others draw theirs by chance.
        list_weight: of the cross-entropy of each positive against the negatives of its query in the batch.
    """

    def __init__(
        self,
        encoder: CrossEncoder,
        dataset: Dataset,
        query_ids: Ints,
        *,
        negatives_per_positive: int,
        seed: int,
        balance: Balance = "rows",
        hard: HardNegatives | None = None,
        list_weight: float = 0.0,
    ) -> None:
        self._encoder, self._dataset, self._query_ids = encoder, dataset, query_ids
        self._own, self._seed, self._hard, self._list_weight = negatives_per_positive, seed, hard, list_weight
        self._documents = dataset.documents if hard is None else hard.documents
        self._texts = len(np.unique(keys_of(dataset.documents)))
        self._drawn: tuple[tuple[int, int], tuple[tuple[int, ...], tuple[float, ...]]] | None = None
        sizes = np.array([self._size(int(query_id)) for query_id in query_ids], dtype=np.int64)
        self.turns = turns_of(dataset, query_ids, sizes, balance)

    @property
    def model(self) -> nn.Module:
        """The Cross-Encoder's transformer and head."""
        model: nn.Module = self._encoder.model
        return model

    @property
    def samples(self) -> int:
        """Pairs of one epoch."""
        return self.turns.samples

    @property
    def without_positive(self) -> int:
        """Those of them whose query has no positive; of a balanced epoch those of the first one."""
        rows, _, _ = self.turns.of(self.order(self._seed, 0), 0)
        return int(np.isin(self._query_ids, self._dataset.without_positive, assume_unique=True)[rows].sum())

    def order(self, seed: int, epoch: int) -> Ints:
        """Queries shuffled, the pairs of a query together: a batch holds what is relevant beside what is not.

        Pairs shuffled one by one learned far more slowly on small data (``docs/experiments.md``).
        """
        return self.turns.order(seed, epoch)

    def batch(self, samples: Ints, epoch: int) -> Batch:
        """The losses of the pairs at these samples; those of a query stand behind each other."""
        pairs, labels = zip(*(self.pair(int(sample), epoch) for sample in samples), strict=True)
        lists = self._lists(samples, epoch) if self._list_weight else None
        return pair_batch(self._encoder, pairs, labels, lambda place: f"pair {samples[place]}", lists)

    def _lists(self, samples: Ints, epoch: int) -> Lists:
        rows, places, _ = self.turns.of(samples, epoch)
        positives = [len(self._dataset[int(self._query_ids[row])].positives) for row in rows]
        return Lists(torch.from_numpy(rows), torch.from_numpy(places < np.array(positives)), self._list_weight)

    def drawn(self, count: int) -> tuple[list[Pair], Doubles]:
        """So many pairs with their labels as an epoch before the first would begin: queries by chance, each with its
        positives and its negatives.

        Args:
            count: of pairs; fewer where an epoch has fewer.

        Returns:
            (query, document) texts, and relevance in 0..1, float64 of shape (n,).
        """
        samples = self.order(self._seed, BEFORE)[:count]
        pairs, labels = zip(*(self.pair(int(sample), BEFORE) for sample in samples), strict=True)
        return list(pairs), np.array(labels)

    def pair(self, sample: int, epoch: int) -> tuple[tuple[str, str], float]:
        """((query, document), label) of one sample: first a query's positives, then its negatives."""
        row, place, turn = (int(found[0]) for found in self.turns.of(np.array([sample]), epoch))
        record = self._dataset[int(self._query_ids[row])]
        if place < len(record.positives):
            return (record.query, self._documents[record.positives[place]]), record.positive_labels[place]
        documents, labels = self._negatives(record, turn)
        number = place - len(record.positives)
        return (record.query, self._documents[documents[number]]), labels[number]

    def _negatives(self, record: Record, epoch: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Negatives of a query; the last ones drawn are kept, since the pairs of a query follow each other.

        What is kept is replaced as a whole, so that threads which ask at once each get what they asked for.
        """
        key, kept = (record.query_id, epoch), self._drawn
        if kept is not None and kept[0] == key:
            return kept[1]
        count = self._wanted(record)
        if self._hard is not None and record.query_id in self._hard:
            drawn = self._hard.of(record, count, epoch)
        else:
            drawn = negatives_of(record, self._dataset.documents, count=count, seed=self._seed, epoch=epoch)
        self._drawn = (key, drawn)
        return drawn

    def _wanted(self, record: Record) -> int:
        """Negatives of a query; where nothing is relevant random documents would teach nothing about the query."""
        return len(record.positives) * self._own if record.positives else min(self._own, len(record.negatives))

    def _size(self, query_id: int) -> int:
        record = self._dataset[query_id]
        wanted = self._wanted(record)
        if self._hard is not None and query_id in self._hard:
            return len(record.positives) + min(wanted, self._hard.size(query_id))
        if wanted < self._texts - len(record.positives):  # one of them may be the query's own text
            return len(record.positives) + wanted
        # A small data set may have fewer: as many in every epoch, whichever they are.
        negatives, _ = negatives_of(record, self._dataset.documents, count=wanted, seed=0, epoch=0)
        return len(record.positives) + len(negatives)


@dataclass(frozen=True)
class Lists:
    """Which pairs of a batch are of one query.

    Attributes:
        queries: number of the query of each pair, int64 of shape (pairs,).
        positive: bool, likewise.
        weight: of the cross-entropy of each positive against the negatives of its query.
    """

    queries: Tensor
    positive: Tensor
    weight: float


def pair_batch(
    encoder: CrossEncoder,
    pairs: Sequence[Pair],
    labels: Sequence[float],
    name: Callable[[int], str],
    lists: Lists | None = None,
) -> Batch:
    """Binary cross-entropy of labelled pairs: a mean, so each pair adds its share by itself; with lists that of these
    beside it, ``loss = pointwise_bce + weight * localized_contrast``.

    Args:
        encoder: the teacher in training.
        pairs: (query, document) texts.
        labels: relevance in 0..1 of each.
        name: what a person calls the pair at a place.
        lists: which pairs are of one query; None: pairs count by themselves.
    """
    encodings = encoder.tokenize(pairs)
    targets = torch.tensor(labels)

    def alone(logits: Tensor, places: Ints) -> Terms:
        own = targets[places].to(logits.device)
        return {"loss": losses.pointwise_bce(logits, own) * (len(places) / len(pairs))}

    def together(logits: Tensor, _places: Ints) -> Terms:
        assert lists is not None
        positive, queries = lists.positive.to(logits.device), lists.queries.to(logits.device)
        pointwise = losses.pointwise_bce(logits, targets.to(logits.device))
        order = losses.localized_contrast(logits, positive, queries)
        return {"loss": pointwise + lists.weight * order, "pointwise_bce": pointwise, "localized_contrast": order}

    return Batch(
        lengths=batching.lengths(encodings),
        forward=lambda places: encoder.forward([encodings[place] for place in places]),
        terms=alone if lists is None else together,
        separable=lists is None,
        packed=encoder.packs,
        describe=lambda place: f"{name(place)} ({shown(pairs[place][0])}, {shown(pairs[place][1])})",
        encodings=encodings,
    )
