"""From the miners' answers to scored, filtered pools."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from bistill import console
from bistill.candidates.depths import Depths
from bistill.candidates.filtering import Verdict, judge
from bistill.candidates.mining.miners import NAMES, RETRIEVAL, Mined, RandomMiner, mine, own_texts, parse
from bistill.candidates.pools import LABELLED_BIT, POOLS_OF_A_BLOCK, RANDOM_BIT, Counts, QueryPool, ScoredPools
from bistill.candidates.scores.teachers import Teachers, relevance
from bistill.config import CandidatesOptions, DistillationOptions
from bistill.data.records import Record
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.errors import DataError


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


def build(
    options: DistillationOptions | CandidatesOptions,
    dataset: Dataset,
    corpus: Corpus,
    query_ids: np.ndarray,
    teachers: Teachers,
) -> ScoredPools:
    """Mine, score and filter the candidates of queries.

    A query with fewer candidates left than a list takes of them gets random documents, which are scored and filtered,
    too. A query whose every candidate lies above a limit keeps the lowest one. A query without any negative (where a
    list takes one), or (with imported scores) without a scored positive, is left out. All three are counted and said.

    Args:
        options: miners, limits, seed.
        dataset: queries and labels.
        corpus: documents, those of ``dataset`` first.
        query_ids: queries wanted.
        teachers: who score.

    Raises:
        OptionError: an unknown miner.
        ModelError: a teacher gives no numbers, or a model cannot be loaded.
        DataError: no query is left, as when scores were imported for other texts.
    """
    sources = parse(options)
    depths = Depths(options.own_negatives, options.epochs, any(source.name in RETRIEVAL for source in sources))
    mined = mine(
        options,
        options,
        dataset,
        corpus,
        query_ids,
        depths=depths,
        seed=options.seed,
        precision=options.precision,
        teacher=teachers,
    )
    counts, positives = Counts(), 0
    counts.own_text = int((own_texts(dataset, corpus, query_ids) >= 0).sum())
    counts.copies = corpus.copies.count

    def pools() -> Iterator[QueryPool]:
        nonlocal positives
        for start in range(0, len(query_ids), POOLS_OF_A_BLOCK):
            rows = slice(start, start + POOLS_OF_A_BLOCK)
            records = (dataset[int(query)] for query in query_ids[rows])
            drafts = [Draft.of(record, corpus.copies.first) for record in records]
            positives += sum(len(draft.positives) for draft in drafts)
            _gather(drafts, mined, rows, corpus.copies.first, counts, depths)
            yield from _pools(drafts, dataset, corpus, teachers, options, counts)

    made = ScoredPools(pools(), counts)
    counts.queries, counts.left_out = len(made), len(query_ids) - len(made)
    counts.found_positives = {name: found / max(positives, 1) for name, found in counts.found_positives.items()}
    _say(counts, options)
    if not len(made):
        raise DataError(
            "no query has a scored positive and a negative",
            where=str(dataset.path),
            found=f"{len(query_ids)} queries, {counts.unscored} pairs without a score",
            todo="import scores of this data's texts, or name other miners",
        )
    return made


def _pools(
    drafts: list[Draft],
    dataset: Dataset,
    corpus: Corpus,
    teachers: Teachers,
    options: DistillationOptions | CandidatesOptions,
    counts: Counts,
) -> list[QueryPool]:
    """Pools of those drafts that can be learned from; what happened to them is added to the counts."""
    pools = _scored(drafts, dataset, corpus, teachers, options, counts)
    pools = _topped_up(pools, drafts, dataset, corpus, teachers, options, counts)
    wanted = sum(len(draft.positives) + len(draft.sources) for draft in drafts)
    counts.unscored += wanted - sum(len(pool.positives) + len(pool.documents) for pool in pools)
    pools = [_with_one_negative(pool, counts) for pool in pools]
    needed = min(options.own_negatives, 1)
    usable = [pool for pool in pools if len(pool.kept) >= needed and len(pool.positives)]
    _count(usable, options, counts)
    return usable


def _gather(
    drafts: list[Draft], mined: list[Mined], rows: slice, first: np.ndarray, counts: Counts, depths: Depths
) -> None:
    """Put the miners' answers to a slice of the queries into their drafts, without what is labelled relevant for the
    query or is the same text, and no deeper than its lists reach where no depth was named; ``first`` is
    ``Copies.first`` of the corpus."""
    labelled = [list(answer.rows(rows)) for answer in mined if answer.source.name == "labelled"]
    known = [len(negatives) for negatives in labelled[0]] if labelled else [0] * len(drafts)
    for answer in mined:
        name, found, copies = answer.source.name, 0, 0
        for draft, documents, negatives in zip(drafts, answer.rows(rows), known, strict=True):
            texts = first[np.asarray(documents, dtype=np.int64)].tolist()
            pairs = list(zip(documents, texts, strict=True))
            others = [(document, text) for document, text in pairs if text not in draft.relevant]
            found += len(pairs) - len(others)
            copies += sum(text in draft.relevant and document not in draft.positives for document, text in pairs)
            if answer.source.depth is None:
                others = others[: depths.of_miner(name, negatives)]
            for document, text in others:
                label = LABELLED_BIT if text in draft.labelled else 0
                candidate = draft.held.setdefault(text, document)
                draft.sources[candidate] = draft.sources.get(candidate, 0) | answer.source.bit | label
            counts.candidates[name] = counts.candidates.get(name, 0) + len(others)
        if name in RETRIEVAL:
            counts.labelled_positive += found - copies
            counts.equal_text += copies
            counts.found_positives[name] = counts.found_positives.get(name, 0) + found


def _scored(
    drafts: list[Draft],
    dataset: Dataset,
    corpus: Corpus,
    teachers: Teachers,
    options: DistillationOptions | CandidatesOptions,
    counts: Counts,
) -> list[QueryPool]:
    """Pools of drafts: every pair scored, unscored ones dropped, limits applied."""
    sizes = [len(draft.positives) + len(draft.sources) for draft in drafts]
    queries = np.repeat(np.array([draft.query_id for draft in drafts], dtype=np.int64), sizes)
    documents = (document for draft in drafts for document in (*draft.positives, *draft.sources))
    pairs = np.stack([queries, np.fromiter(documents, dtype=np.int64, count=len(queries))], axis=1)
    scored = teachers.logits(dataset.queries, corpus, pairs)
    counts.scored += scored.scored
    own = np.split(scored.logits, np.cumsum(sizes)[:-1])
    return [_pool(draft, logits, options) for draft, logits in zip(drafts, own, strict=True)]


def _pool(draft: Draft, logits: np.ndarray, options: DistillationOptions | CandidatesOptions) -> QueryPool:
    split = len(draft.positives)
    known_positive, known = ~np.isnan(logits[:split]), ~np.isnan(logits[split:])
    documents = np.fromiter(draft.sources, dtype=np.int64, count=len(draft.sources))[known]
    sources = np.fromiter(draft.sources.values(), dtype=np.uint8, count=len(draft.sources))[known]
    positive_logits, own = logits[:split][known_positive], logits[split:][known]
    best = float(relevance(positive_logits).max()) if len(positive_logits) else 0.0
    verdicts = judge(
        relevance(own),
        (sources & LABELLED_BIT) > 0,
        best,
        max_ratio=options.max_negative_ratio,
        max_score=options.max_negative_score,
        irrelevant_below=options.irrelevant_below,
    )
    positives = np.asarray(draft.positives, dtype=np.int64)[known_positive]
    return QueryPool(draft.query_id, positives, positive_logits, documents, own, sources, verdicts)


def _topped_up(
    pools: list[QueryPool],
    drafts: list[Draft],
    dataset: Dataset,
    corpus: Corpus,
    teachers: Teachers,
    options: DistillationOptions | CandidatesOptions,
    counts: Counts,
) -> list[QueryPool]:
    """Random documents for the queries with fewer negatives left than a list takes."""
    miner = RandomMiner(dataset, corpus, options.seed)
    wanting: list[int] = []
    for row, pool in enumerate(pools):
        need = options.own_negatives - len(pool.kept)
        drawn = miner.draw(pool.query_id, need, but=frozenset(drafts[row].sources)) if need > 0 else []
        if drawn:
            drafts[row].sources |= dict.fromkeys(drawn, RANDOM_BIT)
            wanting.append(row)
    if wanting:
        scored = _scored([drafts[row] for row in wanting], dataset, corpus, teachers, options, counts)
        for row, pool in zip(wanting, scored, strict=True):
            # What was drawn may lack an imported score.
            counts.topped_up += len(pool.documents) > len(pools[row].documents)
            pools[row] = pool
    return pools


def _with_one_negative(pool: QueryPool, counts: Counts) -> QueryPool:
    """The pool; where every candidate was filtered out, with its lowest one as a negative after all."""
    if len(pool.kept) or not len(pool.documents):
        return pool
    counts.lowest_kept += 1
    verdicts = pool.verdicts.copy()
    verdicts[np.argmin(pool.logits)] = Verdict.KEPT
    return dataclasses.replace(pool, verdicts=verdicts)


def _count(usable: list[QueryPool], options: DistillationOptions | CandidatesOptions, counts: Counts) -> None:
    counts.pairs += sum(len(pool.documents) + len(pool.positives) for pool in usable)
    counts.ratio += sum(int((pool.verdicts == Verdict.RATIO).sum()) for pool in usable)
    counts.absolute += sum(int((pool.verdicts == Verdict.ABSOLUTE).sum()) for pool in usable)
    counts.short += sum(len(pool.kept) < options.own_negatives for pool in usable)


def _say(counts: Counts, options: DistillationOptions | CandidatesOptions) -> None:
    given = ", ".join(f"{name} {counts.candidates[name]}" for name in NAMES if name in counts.candidates)
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
        (counts.short, f"have fewer than {options.own_negatives} negatives: their lists are shorter"),
        (counts.left_out, "have no negative or no scored positive and are left out"),
    )
    for number, what in told:
        if number:
            console.say(f"{number} of {counts.queries + counts.left_out} queries {what}")
    if counts.unscored:
        console.say(f"{counts.unscored} pairs have no imported score and are left out")
