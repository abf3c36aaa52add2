"""What a person looks at before trusting candidate lists: scores by rank and by miner, what was removed, doubtful
labels."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from bistill import artifacts, console
from bistill.candidates.filtering import Verdict
from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import ScoredPools
from bistill.candidates.promotion import best_labelled
from bistill.candidates.scores.teachers import relevance
from bistill.data.sampling import generator
from bistill.data.store.collection import Collection
from bistill.data.store.dataset import Dataset

QUANTILES: Final = (0.1, 0.5, 0.9)
RANKS: Final = (1, 2, 3, 5, 10, 20, 50, 100, 200)
SHOWN: Final = 10
WRITTEN: Final = 1000
LETTERS: Final = 200


class Removed(NamedTuple):
    """A candidate that the teacher's limits removed, beside the query's best positive."""

    query_id: int
    positive: int
    positive_relevance: float
    document: int
    relevance: float


class Promoted(NamedTuple):
    """A document that the teacher made a positive beside the query's best labelled one."""

    query_id: int
    positive: int
    positive_relevance: float
    document: int
    relevance: float


class Suspect(NamedTuple):
    """A labelled positive that the teacher finds irrelevant."""

    query_id: int
    positive: int
    relevance: float


def by_rank(pools: ScoredPools) -> list[dict[str, Any]]:
    """Quantiles over queries of the relevance of the best positive, and of the candidates at ranks by falling score.

    Returns:
        One entry a rank (0 for the best positive): ``rank``, ``queries``, ``quantiles`` at ``QUANTILES``, ``removed``
        (share that the limits removed).
    """
    values: dict[int, array[float]] = {}  # 8 bytes a number: ten of them a query
    removed: dict[int, int] = {}
    for pool in pools:
        values.setdefault(0, array("d")).append(float(pool.relevant.relevance.max()))
        candidates = pool.candidates
        order = np.argsort(-candidates.logits, kind="stable")
        scores = candidates.relevance
        for rank in (rank for rank in RANKS if rank <= len(order)):
            place = order[rank - 1]
            values.setdefault(rank, array("d")).append(float(scores[place]))
            removed[rank] = removed.get(rank, 0) + int(candidates.verdicts[place] != Verdict.KEPT)
    return [
        {
            "rank": rank,
            "queries": len(own),
            "quantiles": np.quantile(np.asarray(own), QUANTILES).tolist(),
            "removed": removed.get(rank, 0) / len(own),
        }
        for rank, own in values.items()
    ]


def by_miner(pools: ScoredPools) -> dict[str, dict[str, float]]:
    """Of each miner: ``candidates``, share ``removed`` by the limits, ``mean`` and ``median`` relevance of them all."""
    figures = {}
    scores = relevance(pools.logits)
    for place, name in enumerate(pools.miners):
        own = (pools.sources >> place) & 1 > 0
        if own.any():
            figures[name] = {
                "candidates": int(own.sum()),
                "removed": float(np.mean(pools.verdicts[own] != Verdict.KEPT)),
                "mean": float(np.mean(scores[own])),
                "median": float(np.median(scores[own])),
            }
    return figures


def filtered(pools: ScoredPools, seed: int) -> list[Removed]:
    """Candidates that the limits removed, at most ``WRITTEN`` of them, chosen and ordered by the seed."""
    places = [np.flatnonzero(pool.verdicts != Verdict.KEPT) for pool in pools]
    rows = np.repeat(np.arange(len(places)), [len(own) for own in places])
    found = np.concatenate([np.empty(0, dtype=np.int64), *places])
    chosen = generator(seed, "filtered").permutation(len(found))[:WRITTEN]
    return [
        _removed(pools[row], place) for row, place in zip(rows[chosen].tolist(), found[chosen].tolist(), strict=True)
    ]


def _removed(pool: CandidateList, place: int) -> Removed:
    best = int(np.argmax(pool.relevant.logits))
    scores, documents = pool.relevance.tolist(), pool.documents.tolist()
    return Removed(pool.query_id, documents[best], scores[best], documents[place], scores[place])


def promoted(pools: ScoredPools, dataset: Dataset) -> list[Promoted]:
    """What the teacher made positives beside labelled ones, those furthest above them first."""
    if not pools.counts.promoted_beside:
        return []
    found = []
    for pool in pools:
        labelled = dataset[pool.query_id].positives
        best = best_labelled(pool, labelled) if labelled else None
        if best is not None:
            scores, documents = pool.relevance.tolist(), pool.documents.tolist()
            beside = np.flatnonzero(~np.isin(pool.relevant.documents, labelled)).tolist()
            known = pool.query_id, documents[best], scores[best]
            found += [Promoted(*known, documents[place], scores[place]) for place in beside]
    return sorted(found, key=lambda item: (item.positive_relevance - item.relevance, item.query_id, item.document))


def suspects(pools: ScoredPools, below: float) -> list[Suspect]:
    """Positives of less relevance than ``below``, the lowest first."""
    found = [
        Suspect(pool.query_id, int(positive), float(score))
        for pool in pools
        for positive, score in zip(pool.relevant.documents, pool.relevant.relevance, strict=True)
        if score < below
    ]
    return sorted(found, key=lambda item: (item.relevance, item.query_id, item.positive))


def write_filtered(path: Path, removed: Sequence[Removed], collection: Collection) -> None:
    """Write removed candidates with their texts as CSV."""
    _write_pairs(path, removed, collection, "removed")


def write_promoted(path: Path, found: Sequence[Promoted], collection: Collection) -> None:
    """Write promoted documents with their texts as CSV."""
    _write_pairs(path, found, collection, "promoted")


def write_suspects(path: Path, found: Sequence[Suspect], collection: Collection) -> None:
    """Write suspect labels with their texts as CSV."""
    texts = collection.documents
    rows = ((collection.dataset.queries[item.query_id], texts[item.positive], item.relevance) for item in found)
    _write_csv(path, ("query", "positive", "relevance"), rows)


def show(
    report: dict[str, Any],
    removed: Sequence[Removed],
    above: Sequence[Promoted],
    found: Sequence[Suspect],
    collection: Collection,
    irrelevant_below: float,
) -> None:
    """Print the tables of a report, ten removed candidates, ten promoted ones and how many labels are suspect."""
    counts = report["counts"]
    recall = counts["found_positives"]
    miners = [
        [
            name,
            str(own["candidates"]),
            f"{recall[name]:.1%}" if name in recall else "-",
            f"{own['mean']:.3f}",
            f"{own['median']:.3f}",
            f"{own['removed']:.1%}",
        ]
        for name, own in report["by_miner"].items()
    ]
    headers = ["miner", "candidates", "positives found", "mean relevance", "median", "removed"]
    console.table(
        headers,
        miners,
        title=f"{console.counted(counts['queries'], 'query')}, {console.counted(counts['pairs'], 'pair')} scored",
    )
    ranks = [
        [
            f"rank {own['rank']}" if own["rank"] else "best positive",
            str(own["queries"]),
            *(f"{value:.3f}" for value in own["quantiles"]),
            f"{own['removed']:.1%}",
        ]
        for own in report["by_rank"]
    ]
    headers = ["candidate", "queries", *(f"{quantile:.0%}" for quantile in QUANTILES), "removed"]
    console.table(headers, ranks, title="teacher's relevance by rank: quantiles over queries")
    total = counts["ratio"] + counts["absolute"]
    of_removed = f"of {console.counted(total, 'candidate')} removed as probably relevant"
    _show_pairs(removed, collection, "removed", of_removed)
    of_promoted = f"of {console.counted(len(above), 'document')} made positives beside labelled ones"
    _show_pairs(above, collection, "promoted", of_promoted)
    console.say(
        f"{console.counted(len(found), 'positive')} of a relevance below {irrelevant_below:g}: {artifacts.SUSPECT_FILE}"
    )


def _show_pairs(found: Sequence[Removed | Promoted], collection: Collection, what: str, title: str) -> None:
    """Print the first of some documents beside the positive of their query; nothing where there are none."""
    if not found:
        return
    texts = collection.documents
    examples = [
        [
            _short(collection.dataset.queries[item.query_id]),
            f"{item.positive_relevance:.3f} {_short(texts[item.positive])}",
            f"{item.relevance:.3f} {_short(texts[item.document])}",
        ]
        for item in found[:SHOWN]
    ]
    console.table(["query", "relevance, positive", f"relevance, {what}"], examples, title=f"{len(examples)} {title}")


def _write_pairs(path: Path, found: Sequence[Removed | Promoted], collection: Collection, what: str) -> None:
    """Write documents beside the positive of their query, with texts and relevance."""
    queries, texts = collection.dataset.queries, collection.documents
    rows = (
        (
            queries[item.query_id],
            texts[item.positive],
            item.positive_relevance,
            texts[item.document],
            item.relevance,
        )
        for item in found
    )
    _write_csv(path, ("query", "positive", "positive_relevance", what, f"{what}_relevance"), rows)


def _write_csv(path: Path, header: Sequence[str], rows: Any) -> None:
    with artifacts.atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([f"{value:.4f}" if isinstance(value, float) else value for value in row] for row in rows)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LETTERS else line[: LETTERS - 1].rstrip() + "…"
