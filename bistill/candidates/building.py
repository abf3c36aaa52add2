"""From the miners' answers to scored, filtered pools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from bistill.arrays import Ints
from bistill.candidates.depths import Depths
from bistill.candidates.filtering import Verdict, judge
from bistill.candidates.lists import CandidateList
from bistill.candidates.mining import registry
from bistill.candidates.mining.miner import Miner
from bistill.candidates.mining.miners import Mined, mine, own_texts
from bistill.candidates.mining.random_miner import RandomMiner
from bistill.candidates.mining.registry import LABELLED_BIT, RANDOM_BIT
from bistill.candidates.pools import POOLS_OF_A_BLOCK, Counts, ScoredPools
from bistill.candidates.promotion import best_labelled, promoted, promoted_beside, searching
from bistill.candidates.said import say_counts
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import Labelled, Lexical, Limits, Lists, MinerSettings, Promotion
from bistill.console import counted
from bistill.data.queries.same_text import text_key
from bistill.data.records import Record
from bistill.data.store.collection import Collection
from bistill.errors import DataError, Told
from bistill.models.settings import EncoderStart


def build(
    collection: Collection,
    query_ids: Ints,
    teachers: Teachers,
    *,
    miners: Sequence[MinerSettings | Miner],
    lists: Lists,
    limits: Limits,
    epochs: int,
    start: EncoderStart,
    seed: int,
    promotion: Promotion = Promotion(),
    lexical: Lexical = Lexical(),
) -> ScoredPools:
    """Mine, score and filter the candidates of queries.

    Of queries without labels (``Dataset.unlabelled``) the teacher makes positives, see ``promotion``; those that do not
    count are left out.

    A query with fewer candidates left than a list takes of them gets random documents, which are scored and filtered,
    too. A query whose every candidate lies above a limit keeps the lowest one. A query without any negative (where a
    list takes one), or (with imported scores) without a scored positive, is left out. All three are counted and said.

    Args:
        collection: queries, labels and documents.
        query_ids: queries wanted, rising integers of shape (queries,).
        teachers: who score.
        miners: who find candidates; see ``mine``, and ``promotion.searching`` for queries without labels.
        lists: what a list takes.
        limits: above which relevance a candidate is no negative.
        epochs: lists that are drawn of a query.
        start: the student's start, for the dense miner.
        seed: of what is drawn.
        promotion: how a query without labels gets a positive.
        lexical: BM25 for these queries, where it is not among ``miners``.

    Raises:
        OptionError: no miner, or two of one name.
        ModelError: a teacher gives NaN or infinite values, or a model cannot be loaded.
        DataError: no query is left, as when scores were imported for other texts.
    """
    names = registry.names_of(miners)
    labelled, others = np.split(query_ids, [np.searchsorted(query_ids, collection.dataset.labelled)])
    counts = Counts(own_text=int((own_texts(collection, query_ids) >= 0).sum()), copies=collection.corpus.copies.count)
    chance = RandomMiner(collection, seed)
    making = Making(collection, teachers, lists.own_negatives, limits, chance, counts, promotion)
    parts = []
    for ids, who in (labelled, miners), (others, searching(miners, lexical, promotion)):
        if len(ids):
            depths = Depths(lists.own_negatives, epochs, any(map(registry.searches, who)))
            mined = mine(collection, ids, who, depths=depths, start=start, seed=seed, teachers=teachers)
            parts.append(making.pools(mined, ids, depths))
    made = ScoredPools(chain(*parts), counts, names)
    counts.queries, counts.unlabelled = len(made), int((made.query_ids >= collection.dataset.labelled).sum())
    counts.taken_out = int((collection.documents.changed(made.query_ids) >= 0).sum())
    counts.left_out = len(query_ids) - len(made) - counts.source_missed - counts.nothing_relevant
    counts.found_positives = {name: found / max(making.positives, 1) for name, found in counts.found_positives.items()}
    say_counts(counts, names, lists.own_negatives, len(query_ids), promotion)
    if not len(made):
        raise DataError(
            "no query has a scored positive and a negative",
            where=str(collection.dataset.path),
            found=Told(f"{counted(len(query_ids), 'query')}, {counted(counts.unscored, 'pair')} without a score"),
            todo="import scores of this data's texts, or name other miners",
        )
    return made


@dataclass
class Making:
    """What pools are made with, and what happened so far.

    Attributes:
        wanted: candidates that a list takes.
        chance: gives random documents to queries with fewer.
        promotion: how a query without labels gets a positive.
        whole: whether a query that was taken out of its document is read beside the whole one.
        positives: of all queries with labels so far.
    """

    collection: Collection
    teachers: Teachers
    wanted: int
    limits: Limits
    chance: RandomMiner
    counts: Counts
    promotion: Promotion = field(default_factory=Promotion)
    whole: bool = False
    positives: int = 0

    def __post_init__(self) -> None:
        self._documents = self.collection.documents

    def pools(self, mined: list[Mined], query_ids: Ints, depths: Depths) -> Iterator[CandidateList]:
        """Pools of those queries that can be learned from, block by block."""
        for lists in self.read(mined, query_ids, depths):
            yield from self._usable(lists)

    def read(self, mined: list[Mined], query_ids: Ints, depths: Depths) -> Iterator[list[CandidateList]]:
        """The candidates of queries as the teacher read them, block by block."""
        for start in range(0, len(query_ids), POOLS_OF_A_BLOCK):
            rows = slice(start, start + POOLS_OF_A_BLOCK)
            answers = zip(*(answer.rows(rows) for answer in mined), strict=True)
            lists = [
                self._joined(self.collection.dataset[int(query)], list(zip(mined, found, strict=True)), depths)
                for query, found in zip(query_ids[rows], answers, strict=True)
            ]
            self.positives += sum(item.positives for item in lists)
            yield self._scored(lists)

    def source_of(self, query_id: int) -> int | None:
        """The document that a query without labels was made from, without the query where it was taken out; None where
        that is not known, or is its own text."""
        dataset, corpus = self.collection
        place = query_id - dataset.labelled
        if place < 0 or dataset.sources[place] < 0:
            return None
        source = int(dataset.sources[place])
        if text_key(corpus[source]) == text_key(dataset.queries[query_id]):
            return None
        changed = -1 if self.whole else int(self._documents.changed(np.array([query_id]))[0])
        return source if changed < 0 else changed

    def _joined(self, record: Record, answers: Sequence[tuple[Mined, list[int]]], depths: Depths) -> CandidateList:
        """The miners' answers to a query as one list, no deeper than its lists reach where no depth was named.

        What is labelled relevant or is the same text is no candidate. Of documents that are the same text there is
        one, a labelled one where there is any, and it has the bit of ``labelled`` whichever miner found it. What a
        query was made from is a candidate, whether a miner finds it or not; where the query was taken out of it, what
        is left stands in its place.
        """
        first = self._documents.first
        relevant = set(first[np.asarray(record.positives, dtype=np.int64)].tolist())
        texts = first[np.asarray(record.negatives, dtype=np.int64)].tolist()
        # The document that stands for a text, by the first document of that text.
        held = dict(zip(texts, record.negatives, strict=True))
        labelled = frozenset(held)
        known = next((len(documents) for answer, documents in answers if answer.name == Labelled.name), 0)
        sources: dict[int, int] = {}
        if (made_from := self.source_of(record.query_id)) is not None:
            held[int(first[made_from])] = made_from
            sources[made_from] = 0
        for answer, documents in answers:
            pairs = list(zip(documents, first[np.asarray(documents, dtype=np.int64)].tolist(), strict=True))
            others = [(document, text) for document, text in pairs if text not in relevant]
            if record.positives:
                self._count_answer(answer, len(pairs) - len(others), sum(d in record.positives for d, _ in pairs))
            if answer.depth is None:
                others = others[: depths.of_miner(answer.name, known)]
            self.counts.candidates[answer.name] = self.counts.candidates.get(answer.name, 0) + len(others)
            for document, text in others:
                candidate = held.setdefault(text, document)
                label = LABELLED_BIT if text in labelled else 0
                sources[candidate] = sources.get(candidate, 0) | answer.bit | label
        return CandidateList.unscored(record.query_id, record.positives, sources)

    def _count_answer(self, answer: Mined, relevant: int, positives: int) -> None:
        """Of what retrieval found: documents that are the text of a positive, and those of them that are positives."""
        if answer.retrieval:
            counts = self.counts
            counts.labelled_positive += positives
            counts.equal_text += relevant - positives
            counts.found_positives[answer.name] = counts.found_positives.get(answer.name, 0) + relevant

    def _usable(self, lists: list[CandidateList]) -> list[CandidateList]:
        """Pools of those scored queries that can be learned from; what happened to them is added to the counts."""
        pools = self._topped_up([pool for item in lists if (pool := self._with_positive(item)) is not None])
        known = [pool.part(~np.isnan(pool.logits)) for pool in pools]
        self.counts.unscored += sum(len(pool.documents) for pool in pools) - sum(len(pool.documents) for pool in known)
        known = [self._with_one_negative(pool) for pool in known]
        usable = [pool for pool in known if len(pool.kept) >= min(self.wanted, 1) and pool.positives]
        self._count(usable)
        return usable

    def _with_positive(self, item: CandidateList) -> CandidateList | None:
        """A scored list with what the teacher promotes; None for a query without labels that does not count."""
        if item.query_id < self.collection.dataset.labelled:
            return promoted_beside(item, self._labels_of(item), self.promotion, self.limits)
        return promoted(item, self.source_of(item.query_id), self.promotion, self.limits, self.counts)

    def _scored(self, lists: list[CandidateList]) -> list[CandidateList]:
        """The lists with the teacher's logits, nan where there is no score, and what its limits say of candidates."""
        dataset = self.collection.dataset
        sizes = [len(item.documents) for item in lists]
        queries = np.repeat(np.array([item.query_id for item in lists], dtype=np.int64), sizes)
        pairs = np.stack([queries, np.concatenate([item.documents for item in lists])], axis=1)
        scored = self.teachers.logits(dataset.queries, self._documents, pairs)
        self.counts.scored += scored.scored
        own = np.split(scored.logits, np.cumsum(sizes)[:-1])
        return [self._judged(replace(item, logits=logits)) for item, logits in zip(lists, own, strict=True)]

    def _judged(self, item: CandidateList) -> CandidateList:
        """A scored list with the verdicts on its candidates."""
        split, relevance, place = item.positives, item.relevance, best_labelled(item, self._labels_of(item))
        best = 0.0 if place is None else float(relevance[place])
        verdicts = item.verdicts.copy()
        verdicts[split:] = judge(relevance[split:], item.labelled[split:], best, self.limits)
        return replace(item, verdicts=verdicts)

    def _labels_of(self, item: CandidateList) -> Sequence[int]:
        """Its labelled positives, which are all its positives unless others are promoted beside them; () of a query
        without labels."""
        if self.promotion.labelled_margin is None or item.query_id >= self.collection.dataset.labelled:
            return ()
        return self.collection.dataset[item.query_id].positives

    def _topped_up(self, pools: list[CandidateList]) -> list[CandidateList]:
        """Random documents for the queries with fewer negatives left than a list takes."""
        wanting: dict[int, CandidateList] = {}
        for row, pool in enumerate(pools):
            need = self.wanted - len(pool.kept)
            there = frozenset(self._documents.whole(pool.documents).tolist())
            drawn = self.chance.draw(pool.query_id, need, but=there) if need > 0 else []
            if drawn:
                wanting[row] = pool.longer(np.array(drawn), source=RANDOM_BIT)
        if wanting:
            for row, pool in zip(wanting, self._scored(list(wanting.values())), strict=True):
                # What was drawn may lack an imported score.
                drawn_logits = pool.logits[len(pools[row].documents) :]
                self.counts.topped_up += not np.isnan(drawn_logits).all()
                pools[row] = pool
        return pools

    def _with_one_negative(self, pool: CandidateList) -> CandidateList:
        """The pool; where every candidate was filtered out, with its lowest one as a negative after all."""
        if len(pool.kept) or len(pool.documents) == pool.positives:
            return pool
        self.counts.lowest_kept += 1
        verdicts = pool.verdicts.copy()
        verdicts[pool.positives + np.argmin(pool.candidates.logits)] = Verdict.KEPT
        return replace(pool, verdicts=verdicts)

    def _count(self, usable: list[CandidateList]) -> None:
        counts = self.counts
        counts.pairs += sum(len(pool.documents) for pool in usable)
        counts.ratio += sum(int((pool.verdicts == Verdict.RATIO).sum()) for pool in usable)
        counts.absolute += sum(int((pool.verdicts == Verdict.ABSOLUTE).sum()) for pool in usable)
        counts.suspect += sum(int((pool.relevant.relevance < self.limits.irrelevant_below).sum()) for pool in usable)
        if self.promotion.labelled_margin is not None:
            beside = (~np.isin(pool.relevant.documents, labels) for pool in usable if (labels := self._labels_of(pool)))
            counts.promoted_beside += sum(int(own.sum()) for own in beside)
        counts.short += sum(len(pool.kept) < self.wanted for pool in usable)
