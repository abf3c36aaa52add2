"""From the miners' answers to scored, filtered pools."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bistill import console
from bistill.candidates.depths import Depths
from bistill.candidates.filtering import Verdict, judge
from bistill.candidates.mining import registry
from bistill.candidates.mining.miner import Miner
from bistill.candidates.mining.miners import Mined, mine, own_texts
from bistill.candidates.mining.random_miner import RandomMiner
from bistill.candidates.mining.registry import LABELLED_BIT, RANDOM_BIT
from bistill.candidates.pools import POOLS_OF_A_BLOCK, Counts, QueryPool, ScoredPools
from bistill.candidates.scores.teachers import Teachers, relevance
from bistill.candidates.settings import Labelled, Limits, Lists, MinerSettings
from bistill.data.records import Record
from bistill.data.store.collection import Collection
from bistill.errors import DataError
from bistill.models.settings import EncoderStart


@dataclass
class Draft:
    """Candidates of one query before their scores: documents and the bits of the miners that gave them.

    A labelled negative has the bit of ``labelled`` whichever miner found it. Of documents that are the same text there
    is one, a labelled one where there is any.

    Attributes:
        query_id: the query.
        positives: its positives' ids.
        relevant: the first document of the text of each positive.
        held: the document that stands for a text, by the first document of that text; labelled negatives from the
            beginning.
        labelled: first documents of the texts of labelled negatives.
        sources: the miners' bits of each candidate.
    """

    query_id: int
    positives: tuple[int, ...]
    relevant: frozenset[int]
    held: dict[int, int]
    labelled: frozenset[int]
    sources: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Record, first: np.ndarray) -> Draft:
        """No candidates yet; ``first`` is ``Copies.first`` of the corpus."""
        relevant = frozenset(first[np.asarray(record.positives, dtype=np.int64)].tolist())
        negatives = first[np.asarray(record.negatives, dtype=np.int64)].tolist()
        held = dict(zip(negatives, record.negatives, strict=True))
        return cls(record.query_id, record.positives, relevant, held, frozenset(held))

    def add(self, found: Sequence[tuple[int, int]], bit: int) -> None:
        """Put in documents, each with the first document of its text, that the miner of a bit gave."""
        for document, text in found:
            label = LABELLED_BIT if text in self.labelled else 0
            candidate = self.held.setdefault(text, document)
            self.sources[candidate] = self.sources.get(candidate, 0) | bit | label


def build(
    collection: Collection,
    query_ids: np.ndarray,
    teachers: Teachers,
    *,
    miners: Sequence[MinerSettings | Miner],
    lists: Lists,
    limits: Limits,
    epochs: int,
    start: EncoderStart,
    seed: int,
) -> ScoredPools:
    """Mine, score and filter the candidates of queries.

    A query with fewer candidates left than a list takes of them gets random documents, which are scored and filtered,
    too. A query whose every candidate lies above a limit keeps the lowest one. A query without any negative (where a
    list takes one), or (with imported scores) without a scored positive, is left out. All three are counted and said.

    Args:
        collection: queries, labels and documents.
        query_ids: queries wanted, integers of shape (queries,).
        teachers: who score.
        miners: who find candidates; see ``mine``.
        lists: what a list takes.
        limits: above which relevance a candidate is no negative.
        epochs: lists that are drawn of a query.
        start: the student's start, for the dense miner.
        seed: of what is drawn.

    Raises:
        OptionError: no miner, or two of one name.
        ModelError: a teacher gives no numbers, or a model cannot be loaded.
        DataError: no query is left, as when scores were imported for other texts.
    """
    names = registry.names_of(miners)
    near = any(not isinstance(miner, MinerSettings) or miner.retrieval for miner in miners)
    depths = Depths(lists.own_negatives, epochs, near)
    mined = mine(collection, query_ids, miners, depths=depths, start=start, seed=seed, teachers=teachers)
    counts = Counts(own_text=int((own_texts(collection, query_ids) >= 0).sum()), copies=collection.corpus.copies.count)
    making = _Making(collection, teachers, lists.own_negatives, limits, RandomMiner(collection, seed), counts)
    made = ScoredPools(making.pools(mined, query_ids, depths), counts, names)
    counts.queries, counts.left_out = len(made), len(query_ids) - len(made)
    counts.found_positives = {name: found / max(making.positives, 1) for name, found in counts.found_positives.items()}
    _say(counts, names, lists.own_negatives)
    if not len(made):
        raise DataError(
            "no query has a scored positive and a negative",
            where=str(collection.dataset.path),
            found=f"{len(query_ids)} queries, {counts.unscored} pairs without a score",
            todo="import scores of this data's texts, or name other miners",
        )
    return made


@dataclass
class _Making:
    """What pools are made with, and what happened so far.

    Attributes:
        wanted: candidates that a list takes.
        chance: gives random documents to queries with fewer.
        positives: of all queries so far.
    """

    collection: Collection
    teachers: Teachers
    wanted: int
    limits: Limits
    chance: RandomMiner
    counts: Counts
    positives: int = 0

    def pools(self, mined: list[Mined], query_ids: np.ndarray, depths: Depths) -> Iterator[QueryPool]:
        """Pools of those queries that can be learned from, block by block."""
        dataset, corpus = self.collection
        for start in range(0, len(query_ids), POOLS_OF_A_BLOCK):
            rows = slice(start, start + POOLS_OF_A_BLOCK)
            drafts = [Draft.of(dataset[int(query)], corpus.copies.first) for query in query_ids[rows]]
            self.positives += sum(len(draft.positives) for draft in drafts)
            self._gather(drafts, mined, rows, depths)
            yield from self._usable(drafts)

    def _gather(self, drafts: list[Draft], mined: list[Mined], rows: slice, depths: Depths) -> None:
        """Put the miners' answers to a slice of the queries into their drafts, without what is labelled relevant for
        the query or is the same text, and no deeper than its lists reach where no depth was named."""
        counts, first = self.counts, self.collection.corpus.copies.first
        labelled = [list(answer.rows(rows)) for answer in mined if answer.name == Labelled.name]
        known = [len(negatives) for negatives in labelled[0]] if labelled else [0] * len(drafts)
        for answer in mined:
            name, found, copies = answer.name, 0, 0
            for draft, documents, negatives in zip(drafts, answer.rows(rows), known, strict=True):
                texts = first[np.asarray(documents, dtype=np.int64)].tolist()
                pairs = list(zip(documents, texts, strict=True))
                others = [(document, text) for document, text in pairs if text not in draft.relevant]
                found += len(pairs) - len(others)
                copies += sum(text in draft.relevant and document not in draft.positives for document, text in pairs)
                if answer.depth is None:
                    others = others[: depths.of_miner(name, negatives)]
                draft.add(others, answer.bit)
                counts.candidates[name] = counts.candidates.get(name, 0) + len(others)
            if answer.retrieval:
                counts.labelled_positive += found - copies
                counts.equal_text += copies
                counts.found_positives[name] = counts.found_positives.get(name, 0) + found

    def _usable(self, drafts: list[Draft]) -> list[QueryPool]:
        """Pools of those drafts that can be learned from; what happened to them is added to the counts."""
        pools = self._topped_up(self._scored(drafts), drafts)
        candidates = sum(len(draft.positives) + len(draft.sources) for draft in drafts)
        self.counts.unscored += candidates - sum(len(pool.positives) + len(pool.documents) for pool in pools)
        pools = [_with_one_negative(pool, self.counts) for pool in pools]
        usable = [pool for pool in pools if len(pool.kept) >= min(self.wanted, 1) and len(pool.positives)]
        self._count(usable)
        return usable

    def _scored(self, drafts: list[Draft]) -> list[QueryPool]:
        """Pools of drafts: every pair scored, unscored ones dropped, limits applied."""
        dataset, corpus = self.collection
        sizes = [len(draft.positives) + len(draft.sources) for draft in drafts]
        queries = np.repeat(np.array([draft.query_id for draft in drafts], dtype=np.int64), sizes)
        documents = (document for draft in drafts for document in (*draft.positives, *draft.sources))
        pairs = np.stack([queries, np.fromiter(documents, dtype=np.int64, count=len(queries))], axis=1)
        scored = self.teachers.logits(dataset.queries, corpus, pairs)
        self.counts.scored += scored.scored
        own = np.split(scored.logits, np.cumsum(sizes)[:-1])
        return [_pool(draft, logits, self.limits) for draft, logits in zip(drafts, own, strict=True)]

    def _topped_up(self, pools: list[QueryPool], drafts: list[Draft]) -> list[QueryPool]:
        """Random documents for the queries with fewer negatives left than a list takes."""
        wanting: list[int] = []
        for row, pool in enumerate(pools):
            need = self.wanted - len(pool.kept)
            drawn = self.chance.draw(pool.query_id, need, but=frozenset(drafts[row].sources)) if need > 0 else []
            if drawn:
                drafts[row].sources |= dict.fromkeys(drawn, RANDOM_BIT)
                wanting.append(row)
        if wanting:
            for row, pool in zip(wanting, self._scored([drafts[row] for row in wanting]), strict=True):
                # What was drawn may lack an imported score.
                self.counts.topped_up += len(pool.documents) > len(pools[row].documents)
                pools[row] = pool
        return pools

    def _count(self, usable: list[QueryPool]) -> None:
        counts = self.counts
        counts.pairs += sum(len(pool.documents) + len(pool.positives) for pool in usable)
        counts.ratio += sum(int((pool.verdicts == Verdict.RATIO).sum()) for pool in usable)
        counts.absolute += sum(int((pool.verdicts == Verdict.ABSOLUTE).sum()) for pool in usable)
        counts.short += sum(len(pool.kept) < self.wanted for pool in usable)


def _pool(draft: Draft, logits: np.ndarray, limits: Limits) -> QueryPool:
    split = len(draft.positives)
    known_positive, known = ~np.isnan(logits[:split]), ~np.isnan(logits[split:])
    documents = np.fromiter(draft.sources, dtype=np.int64, count=len(draft.sources))[known]
    sources = np.fromiter(draft.sources.values(), dtype=np.uint8, count=len(draft.sources))[known]
    positive_logits, own = logits[:split][known_positive], logits[split:][known]
    best = float(relevance(positive_logits).max()) if len(positive_logits) else 0.0
    verdicts = judge(relevance(own), (sources & LABELLED_BIT) > 0, best, limits)
    positives = np.asarray(draft.positives, dtype=np.int64)[known_positive]
    return QueryPool(draft.query_id, positives, positive_logits, documents, own, sources, verdicts)


def _with_one_negative(pool: QueryPool, counts: Counts) -> QueryPool:
    """The pool; where every candidate was filtered out, with its lowest one as a negative after all."""
    if len(pool.kept) or not len(pool.documents):
        return pool
    counts.lowest_kept += 1
    verdicts = pool.verdicts.copy()
    verdicts[np.argmin(pool.logits)] = Verdict.KEPT
    return dataclasses.replace(pool, verdicts=verdicts)


def _say(counts: Counts, names: Sequence[str], wanted: int) -> None:
    given = ", ".join(f"{name} {counts.candidates[name]}" for name in names if name in counts.candidates)
    console.say(
        f"candidates of {counts.queries} queries: {given}; removed: {counts.labelled_positive} labelled relevant, "
        f"{counts.equal_text} equal to a positive, {counts.ratio + counts.absolute} above the teacher's limits"
    )
    if counts.copies:
        console.say(
            f"{counts.copies} documents are copies of another one, the same text: of each text there is one candidate"
        )
    told = (
        (counts.own_text, "stand among the documents: their own text is no candidate"),
        (counts.topped_up, "had too few candidates and got random documents"),
        (counts.lowest_kept, "had every candidate above the limits and keep the lowest"),
        (counts.short, f"have fewer than {wanted} negatives: their lists are shorter"),
        (counts.left_out, "have no negative or no scored positive and are left out"),
    )
    for number, what in told:
        if number:
            console.say(f"{number} of {counts.queries + counts.left_out} queries {what}")
    if counts.unscored:
        console.say(f"{counts.unscored} pairs have no imported score and are left out")
