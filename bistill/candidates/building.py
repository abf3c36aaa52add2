"""From the miners' answers to scored, filtered pools."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bistill import console
from bistill.candidates.filtering import Verdict, equal_texts, judge
from bistill.candidates.mining.miners import NAMES, RETRIEVAL, Mined, RandomMiner, mine, parse
from bistill.candidates.pools import LABELLED_BIT, POOLS_OF_A_BLOCK, RANDOM_BIT, Counts, QueryPool, ScoredPools
from bistill.candidates.teacher_scores.teachers import Teachers, relevance
from bistill.config import CandidatesOptions, DistillationOptions
from bistill.data.corpus import Corpus
from bistill.data.dataset import Dataset
from bistill.data.same_text import text_key
from bistill.errors import DataError


@dataclass
class Draft:
    """Candidates of one query before their scores: documents and the bits of the miners that gave them.

    A labelled negative has the bit of ``labelled`` whichever miner found it.
    """

    query_id: int
    positives: tuple[int, ...]
    negatives: tuple[int, ...]
    sources: dict[int, int]


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
    mined = mine(
        options,
        options,
        dataset,
        corpus,
        query_ids,
        random_depth=_random_depth(options),
        seed=options.seed,
        precision=options.precision,
        teacher=teachers,
    )
    counts, positives = Counts(), 0

    def pools() -> Iterator[QueryPool]:
        nonlocal positives
        for start in range(0, len(query_ids), POOLS_OF_A_BLOCK):
            rows = slice(start, start + POOLS_OF_A_BLOCK)
            records = (dataset[int(query)] for query in query_ids[rows])
            drafts = [Draft(record.query_id, record.positives, record.negatives, {}) for record in records]
            positives += sum(len(draft.positives) for draft in drafts)
            _gather(drafts, mined, rows, counts)
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
    _remove_equal_texts(drafts, corpus, counts)
    pools = _scored(drafts, dataset, corpus, teachers, options, counts)
    pools = _topped_up(pools, drafts, dataset, corpus, teachers, options, counts)
    wanted = sum(len(draft.positives) + len(draft.sources) for draft in drafts)
    counts.unscored += wanted - sum(len(pool.positives) + len(pool.documents) for pool in pools)
    pools = [_with_one_negative(pool, counts) for pool in pools]
    needed = min(options.own_negatives, 1)
    usable = [pool for pool in pools if len(pool.kept) >= needed and len(pool.positives)]
    _count(usable, options, counts)
    return usable


def _random_depth(options: DistillationOptions | CandidatesOptions) -> int:
    """Random documents of a query where no depth is given: others in each epoch, unless a retrieval miner adds some."""
    mined = any(source.name in RETRIEVAL for source in parse(options))
    return options.own_negatives * (1 if mined else options.epochs)


def _gather(drafts: list[Draft], mined: list[Mined], rows: slice, counts: Counts) -> None:
    """Put the miners' answers to a slice of the queries into their drafts, without what is labelled relevant for the
    query."""
    for answer in mined:
        found = given = 0
        for draft, documents in zip(drafts, answer.rows(rows), strict=True):
            relevant, irrelevant = set(draft.positives), set(draft.negatives)
            for document in documents:
                if document in relevant:
                    found += 1
                else:
                    given += 1
                    label = LABELLED_BIT if document in irrelevant else 0
                    draft.sources[document] = draft.sources.get(document, 0) | answer.source.bit | label
        name = answer.source.name
        counts.candidates[name] = counts.candidates.get(name, 0) + given
        if name in RETRIEVAL:
            counts.labelled_positive += found
            counts.found_positives[name] = counts.found_positives.get(name, 0) + found


def _remove_equal_texts(drafts: list[Draft], corpus: Corpus, counts: Counts) -> None:
    """Drop candidates that equal a positive of their query but for case, width or white space.

    A label stands above likeness: what a person called irrelevant stays. Documents by chance were asked when drawn.
    """
    doubted = [
        [document for document, bits in draft.sources.items() if not bits & LABELLED_BIT and bits != RANDOM_BIT]
        for draft in drafts
    ]
    used = sorted({item for draft, own in zip(drafts, doubted, strict=True) for item in (*draft.positives, *own)})
    form = {document: text_key(corpus[document]) for document in used}
    for draft, own in zip(drafts, doubted, strict=True):
        equal = equal_texts((form[item] for item in own), (form[item] for item in draft.positives))
        for place in np.flatnonzero(equal):
            del draft.sources[own[place]]
            counts.equal_text += 1


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
    told = (
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
