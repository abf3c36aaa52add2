"""Judgements of all splits after duplicates are merged: pure functions of ids, no texts and no files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bistill.arrays import Ints
from bistill.data.prepare.duplicates import Duplicates
from bistill.data.records import Record

# A query of two splits stays in the one that comes first here: tests never change because training data grew.
KEPT_FIRST = ("test", "valid", "train", "all")


@dataclass
class JudgedQuery:
    """A query with labels in 0..1 of its documents, by ids over all splits.

    Attributes:
        query: id of its text.
        positives: label of each relevant document.
        negatives: label of each irrelevant document.
    """

    query: int
    positives: dict[int, float] = field(default_factory=dict)
    negatives: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class MergedSplits:
    """What is left and what was resolved.

    Attributes:
        splits: queries of each split in order of appearance.
        equal_queries: queries that repeat another of their split, merged into it.
        equal_across: queries dropped because the split that they belong to has the same.
        near_across: queries dropped because the split that they belong to has a nearly equal one.
        conflicts: negatives dropped because after merging they are positives of the query.
    """

    splits: dict[str, list[JudgedQuery]]
    equal_queries: int
    equal_across: int
    near_across: int
    conflicts: int


def merge(
    records: Mapping[str, Iterable[Record]],
    query_offsets: Mapping[str, int],
    document_offsets: Mapping[str, int],
    queries: Duplicates,
    documents: Duplicates,
) -> MergedSplits:
    """Merge the records of all splits.

    Equal and nearly equal queries belong to the first split of ``KEPT_FIRST`` that has one with a positive, and where
    none has a positive to the first that has one at all.

    Args:
        records: records of each split, with ids of that split; read twice.
        query_offsets: id over all splits of each split's first query.
        document_offsets: the same for documents.
        queries: duplicates among the queries of all splits.
        documents: duplicates among the documents of all splits.
    """
    splits = sorted(records, key=KEPT_FIRST.index)
    owner: dict[int, str] = {}
    for split in splits:
        for record in records[split]:
            if record.positives:
                owner.setdefault(int(queries.near[query_offsets[split] + record.query_id]), split)
    dropped: list[int] = []
    merged: dict[str, dict[int, JudgedQuery]] = {}
    equal = conflicts = 0
    for split in splits:
        kept = merged[split] = {}
        for record in records[split]:
            query = query_offsets[split] + record.query_id
            text, cluster = int(queries.exact[query]), int(queries.near[query])
            if owner.setdefault(cluster, split) != split:
                dropped.append(text)
                continue
            equal += text in kept
            _add(kept.setdefault(text, JudgedQuery(query)), record, document_offsets[split], documents.near)
    for kept in merged.values():
        for judged in kept.values():
            both = judged.positives.keys() & judged.negatives.keys()
            conflicts += len(both)
            for document in both:
                del judged.negatives[document]
    texts = set().union(*merged.values())
    across = sum(text in texts for text in dropped)
    # A query that was judged by its own text alone has nothing left.
    found = {
        split: [item for item in kept.values() if item.positives or item.negatives] for split, kept in merged.items()
    }
    return MergedSplits(found, equal, across, len(dropped) - across, conflicts)


def split_shares(
    groups: Mapping[int, Sequence[str]], shares: Mapping[str, float], rest: str, seed: int
) -> dict[int, str]:
    """Split of each group of queries.

    Groups are ordered by a hash of the seed and their first text in alphabetical order, so the result depends on the
    set of queries and the seed, not on their order; each share takes the groups it needs from the front.

    Args:
        groups: normalised texts of the queries of each group.
        shares: part of all queries for each split, such as {"test": 0.1, "valid": 0.1}.
        rest: split of the others.
        seed: another seed gives another split.
    """
    total = sum(len(texts) for texts in groups.values())
    keys = {group: hashlib.sha256(f"{seed}\x1f{min(texts)}".encode()).digest() for group, texts in groups.items()}
    waiting = sorted(groups, key=lambda group: keys[group], reverse=True)
    result: dict[int, str] = {}
    for split, share in shares.items():
        wanted = max(1, round(total * share)) if share > 0 else 0
        taken = 0
        while taken < wanted and len(waiting) > 1:
            group = waiting.pop()
            result[group] = split
            taken += len(groups[group])
    return result | dict.fromkeys(waiting, rest)


def regroup(
    queries: Sequence[JudgedQuery], clusters: Ints, split_of: Mapping[int, str]
) -> dict[str, list[JudgedQuery]]:
    """Queries of each split, in order of appearance."""
    splits: dict[str, list[JudgedQuery]] = defaultdict(list)
    for judged in queries:
        splits[split_of[int(clusters[judged.query])]].append(judged)
    return dict(splits)


def _add(judged: JudgedQuery, record: Record, offset: int, representative: Ints) -> None:
    for labels, ids, values in (
        (judged.positives, record.positives, record.positive_labels),
        (judged.negatives, record.negatives, record.negative_labels),
    ):
        for document, label in zip(ids, values, strict=True):
            merged = int(representative[offset + document])
            labels[merged] = max(label, labels.get(merged, 0.0))
