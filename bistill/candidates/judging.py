"""Lists of queries without labels, graded by a teacher: what a student is measured by where there are no labels."""

from __future__ import annotations

from collections.abc import Sequence

from bistill import console
from bistill.arrays import Ints
from bistill.candidates.building import Making
from bistill.candidates.depths import Depths
from bistill.candidates.lists import CandidateList
from bistill.candidates.mining.miner import Miner
from bistill.candidates.mining.miners import mine
from bistill.candidates.mining.random_miner import RandomMiner
from bistill.candidates.pools import Counts
from bistill.candidates.promotion import graded, searching
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import Lexical, Limits, MinerSettings, Promotion
from bistill.data.store.collection import Collection
from bistill.errors import DataError, Told
from bistill.models.settings import EncoderStart


def judged(
    collection: Collection,
    query_ids: Ints,
    teachers: Teachers,
    *,
    miners: Sequence[MinerSettings | Miner],
    limits: Limits,
    promotion: Promotion,
    lexical: Lexical,
    start: EncoderStart,
    seed: int,
) -> list[CandidateList]:
    """A list of each query: the documents that ``promotion.searching`` finds, the teacher's relevance as labels in
    0..1, those it does not call irrelevant as positives, the highest first. A query for which it finds nothing relevant
    has none, which is said. What a query was made from is whole, as a search finds it.

    Args:
        collection: queries without labels, and documents.
        query_ids: of such queries, rising integers of shape (queries,).
        teachers: who judge.
        miners: of queries with labels; those of them that search find documents here, too.
        limits: what is irrelevant.
        promotion: how many documents of a query are read.
        lexical: BM25 where it is not among ``miners``.
        start: the student's start, for the dense miner.
        seed: of what is drawn.

    Raises:
        DataError: the teacher finds nothing relevant for any of the queries, or there is no query.
        ModelError: a teacher gives NaN or infinite values, or a model cannot be loaded.
    """
    who = searching(miners, lexical, promotion)
    depths = Depths(promotion.reads, 1, mined=True)
    making = Making(collection, teachers, 0, limits, RandomMiner(collection, seed), Counts(), promotion, whole=True)
    lists = []
    if len(query_ids):
        mined = mine(collection, query_ids, who, depths=depths, start=start, seed=seed, teachers=teachers)
        for block in making.read(mined, query_ids, depths):
            lists += [found for item in block if (found := graded(item, limits)) is not None]
    if not lists:
        raise DataError(
            "the teacher finds no relevant document for any of the queries that it judges",
            where=str(collection.dataset.path),
            found=Told(console.counted(len(query_ids), "query")),
            todo="give queries that the documents answer, another teacher, or a lower `irrelevant_below`",
        )
    if len(lists) < len(query_ids):
        console.say(
            f"{len(query_ids) - len(lists)} of {len(query_ids)} queries without labels are left out: the teacher "
            "finds nothing relevant for them"
        )
    return lists
