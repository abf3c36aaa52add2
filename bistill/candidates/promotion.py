"""What a teacher makes positives of: of a query without labels the documents it ranks first, or nothing; of a labelled
one, where that is asked for, what it finds clearly more relevant than the labelled positive.

The document that stands first is the positive, and those nearly as relevant, by the limit above which a candidate is no
negative anywhere, are positives, too. A query that was made from a document counts only where the teacher ranks that
document among the first (CADeT, arXiv 2505.19274); one for which the teacher finds nothing relevant does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bistill.candidates.filtering import Verdict, judge
from bistill.candidates.lists import CandidateList
from bistill.candidates.mining import registry
from bistill.candidates.mining.miner import Miner
from bistill.candidates.pools import Counts
from bistill.candidates.settings import Lexical, Limits, MinerSettings, Promotion, Random


def searching(
    miners: Sequence[MinerSettings | Miner], lexical: Lexical, promotion: Promotion
) -> list[MinerSettings | Miner]:
    """Who finds candidates of queries without labels: those of ``miners`` that search, BM25 and the nearest documents
    in any case, and one document by chance, whose score stands for all documents that nobody read.

    Args:
        miners: of the queries with labels.
        lexical: BM25 where it is not among them.
        promotion: how many documents they share, and who finds the nearest where none of them does.
    """
    found = [miner for miner in miners if registry.searches(miner)]
    there = {miner.name for miner in found}
    found += [miner for miner in (lexical, promotion.dense) if miner.name not in there]
    depth = max((promotion.reads - 1) // len(found), 1)
    return [
        *(
            replace(miner, depth=depth) if isinstance(miner, MinerSettings) and miner.depth is None else miner
            for miner in found
        ),
        Random(1),
    ]


def promoted(
    item: CandidateList, source: int | None, promotion: Promotion, limits: Limits, counts: Counts
) -> CandidateList | None:
    """The list of a query without labels with the teacher's positives first, the highest first; None where the query
    does not count, which is counted.

    Places go by logits, which differ where relevance in float32 is 1 for several documents. A document with the score
    of the source stands above it: a teacher that tells nothing apart finds no source.

    Args:
        item: scored candidates, none of them a positive; without any, or without a score, the query does not count.
        source: the candidate that the query was made from; None: not known.
        promotion: how high it must stand.
        limits: what is nearly as relevant, and what is irrelevant.
        counts: of the run.
    """
    item = item.part(~np.isnan(item.logits))
    if not len(item.documents):
        return None
    order = np.argsort(-item.logits, kind="stable")
    best = item.logits[order[0]]
    if source is not None:
        own = item.logits[item.documents == source]
        if not len(own) or (item.logits >= own[0]).sum() > promotion.source_rank:
            counts.source_missed += 1
            return None
    highest = float(item.relevance[order[0]])
    if highest < limits.irrelevant_below:
        counts.nothing_relevant += 1
        return None
    tied = item.logits == best
    verdicts = judge(item.relevance, np.zeros(len(item.documents), dtype=bool), highest, limits)
    relevant = tied | (verdicts == Verdict.RATIO)
    ranked = order[relevant[order]]
    counts.tied += int(tied.sum() > 1)
    counts.promoted += len(ranked)
    others = np.flatnonzero(~relevant)
    first = replace(item.part(np.concatenate([ranked, others])), positives=len(ranked))
    sources, kept = first.sources.copy(), np.concatenate([np.zeros(len(ranked)), verdicts[others]]).astype(np.uint8)
    sources[: len(ranked)] = 0
    return replace(first, sources=sources, verdicts=kept)


def promoted_beside(
    item: CandidateList, labelled: Sequence[int], promotion: Promotion, limits: Limits
) -> CandidateList:
    """The list of a labelled query with further positives: what the teacher finds at least
    ``promotion.labelled_margin`` more relevant than its best labelled positive, the most relevant first (RLHN, arXiv
    2505.16967).

    What a person called irrelevant never becomes a positive, nor does what the teacher calls irrelevant. The verdicts
    on the rest stay those beside the labelled positive.

    Args:
        item: scored candidates behind the labelled positives; without a scored positive it stays as it is.
        labelled: ids of the labelled positives.
        promotion: how much more relevant; without a margin nothing changes.
        limits: what is irrelevant.
    """
    margin = promotion.labelled_margin
    best = None if margin is None else best_labelled(item, labelled)
    if margin is None or best is None:
        return item
    relevance = item.relevance
    above = (item.logits >= item.logits[best]) & (relevance >= relevance[best] + margin)
    above &= (relevance >= limits.irrelevant_below) & ~item.labelled
    above[: item.positives] = False
    if not above.any():
        return item
    places = np.flatnonzero(above)
    places = places[np.argsort(-item.logits[places], kind="stable")]
    order = np.concatenate(
        [np.arange(item.positives), places, item.positives + np.flatnonzero(~above[item.positives :])]
    )
    found = replace(item.part(order), positives=item.positives + len(places))
    sources, verdicts = found.sources.copy(), found.verdicts.copy()
    sources[: found.positives], verdicts[: found.positives] = 0, Verdict.KEPT
    return replace(found, sources=sources, verdicts=verdicts)


def best_labelled(item: CandidateList, labelled: Sequence[int]) -> int | None:
    """Place of the positive of the highest score, among those that a person labelled where any is; None where no
    positive has a score."""
    own = np.isin(item.relevant.documents, labelled) if len(labelled) else np.ones(item.positives, dtype=bool)
    known = np.flatnonzero(own & ~np.isnan(item.relevant.logits))
    return int(known[np.argmax(item.logits[known])]) if len(known) else None


def graded(item: CandidateList, limits: Limits) -> CandidateList | None:
    """A scored list as truth that a student is measured by: what the teacher does not call irrelevant is relevant, the
    more the higher its relevance; the highest first. None where all is irrelevant.

    Args:
        item: scored candidates, none of them a positive.
        limits: what is irrelevant.
    """
    item = item.part(~np.isnan(item.logits))
    item = item.part(np.argsort(-item.logits, kind="stable"))
    relevant = int((item.relevance >= limits.irrelevant_below).sum())
    return replace(item, positives=relevant, labels=item.relevance.astype(np.float64)) if relevant else None
