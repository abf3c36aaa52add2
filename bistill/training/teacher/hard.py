"""Negatives for a teacher that are searched for: what miners find, freed of what its own start takes for relevant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bistill.arrays import Ints
from bistill.candidates.building import build
from bistill.candidates.choice import choose_negatives
from bistill.candidates.pools import ScoredPools
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import CrossEncoderRanked, Dense, Lists, TeacherReading
from bistill.data.queries.turns import turns_of
from bistill.data.records import Record
from bistill.data.settings import Balance
from bistill.data.store.collection import Collection
from bistill.errors import OptionError
from bistill.models.settings import EncoderStart
from bistill.training.teacher.settings import TeacherTraining


class HardNegatives:
    """The negatives that each query may have in an epoch, and which of them it has.

    Args:
        pools: scored candidates of the queries; a query that is not there draws its negatives by chance.
        documents: texts by id.
        seed: of the choice.

    Attributes:
        documents: as above.
    """

    def __init__(self, pools: ScoredPools, documents: Sequence[str], *, seed: int) -> None:
        self._pools, self.documents, self._seed = pools, documents, seed
        self._rows = {int(query): row for row, query in enumerate(pools.query_ids)}

    def __contains__(self, query_id: int) -> bool:
        return query_id in self._rows

    def size(self, query_id: int) -> int:
        """How many negatives a query has that is here."""
        return len(self._pools[self._rows[query_id]].kept)

    def of(self, record: Record, count: int, epoch: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """``count`` negatives of a query, or all there are: labelled ones first, then one of each of as many quantiles
        of the start's scores, by (seed, epoch, query id).

        Returns:
            Document ids and their labels in 0..1, 0 where none was given.
        """
        pool = self._pools[self._rows[record.query_id]]
        kept = pool.kept
        chosen = choose_negatives(
            pool.logits[kept],
            pool.labelled[kept],
            count,
            how="stratified",
            seed=self._seed,
            epoch=epoch,
            query_id=record.query_id,
        )
        documents = tuple(pool.documents[kept[chosen]].tolist())
        known = dict(zip(record.negatives, record.negative_labels, strict=True))
        return documents, tuple(known.get(document, 0.0) for document in documents)

    def fingerprint(self) -> str:
        """SHA-256 of queries, candidates and scores."""
        return self._pools.fingerprint()


def searched(
    collection: Collection, query_ids: Ints, training: TeacherTraining, *, balance: Balance = "rows"
) -> HardNegatives | None:
    """The hard negatives of a training; None where it draws its negatives by chance.

    The start scores them, as a re-ranker or, where it has no relevance head, as a Bi-Encoder: candidates that it takes
    for relevant are left out as unlabelled positives (``Limits``), the others are what it still confuses.

    Args:
        collection: queries, labels and documents.
        query_ids: queries trained on; those without a positive keep their labelled negatives alone.
        training: how.
        balance: how often an epoch comes to the queries of each data version.

    Raises:
        OptionError: the dense miner is named, and the start is a re-ranker.
        ModelError: the start, or the model of a miner, cannot be loaded.
    """
    hard, start = training.hard, training.start
    if hard is None:
        return None
    asked = np.intersect1d(query_ids, collection.dataset.with_positive, assume_unique=True)
    turns = turns_of(collection.dataset, asked, np.ones(len(asked), dtype=np.int64), balance)
    reading = TeacherReading(start.max_len, precision=start.precision, trust_remote_code=start.trust_remote_code)
    with Teachers.open((start.name,), (), reading) as own:
        if not own.all_encoders and any(isinstance(miner, Dense | CrossEncoderRanked) for miner in hard.miners):
            raise OptionError(
                "the dense miner searches with the start, which is a re-ranker and makes no vectors",
                where="`miners`",
                found=start.name,
                todo="give labelled lexical random",
            )
        pools = build(
            collection,
            asked,
            own,
            miners=hard.miners,
            lists=Lists(training.negatives_per_positive + 1),
            limits=hard.limits,
            epochs=training.loop.epochs * turns.most,
            start=EncoderStart(
                start.name, start.max_len, precision=start.precision, trust_remote_code=start.trust_remote_code
            ),
            seed=training.loop.seed,
        )
    return HardNegatives(pools, collection.corpus, seed=training.loop.seed)
