"""How well scores separate relevant from irrelevant documents, and how well they rank them.

Pure functions of numbers, without models and files. Cosines lie in -1..1; the linear score of the contract is
``(cosine + 1) / 2`` in 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

# Our name of each ranking measure -> its name in ir-measures (https://ir-measur.es).
RANKING_MEASURES: Final = {
    "ndcg_at_10": "nDCG@10",
    "mrr_at_10": "RR@10",
    "map": "AP",
    "recall_at_1": "R@1",
    "recall_at_10": "R@10",
    "recall_at_100": "R@100",
}

GAIN_SCALE: Final = 100

# Blocks of the exact ranking: their scores (float32) take 16 MiB, whatever the number of documents.
QUERY_BLOCK: Final = 256
DOCUMENT_BLOCK: Final = 16_384

# Queries whose rankings are text at once, up to 100 KiB each.
RANKINGS_AT_ONCE: Final = 256

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Separation:
    """How far the scores of relevant pairs lie above those of irrelevant ones; nan where a side is empty.

    Attributes:
        positives: number of scores of relevant pairs.
        negatives: number of scores of irrelevant pairs.
        mean_positive: mean score of the relevant pairs.
        std_positive: their standard deviation (population).
        mean_negative: mean score of the irrelevant pairs.
        std_negative: their standard deviation (population).
        margin: ``mean_positive - mean_negative``.
        variance: variance (population) of all scores together, which the contract calls uniformity.
        auc: chance that a relevant pair scores above an irrelevant one, equal scores counting half.
    """

    positives: int
    negatives: int
    mean_positive: float
    std_positive: float
    mean_negative: float
    std_negative: float
    margin: float
    variance: float
    auc: float


def linear_score(cosine: np.ndarray) -> np.ndarray:
    """``(cosine + 1) / 2``, cut to 0..1 since a float32 cosine may pass 1 by a rounding error; same shape."""
    return np.clip((np.asarray(cosine, dtype=np.float64) + 1) / 2, 0.0, 1.0)


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-logit))`` without overflow, float64 of the same shape."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logit, dtype=np.float64)))


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Area under the ROC curve from all pairs of scores (Mann-Whitney U), equal scores counting half.

    ``(#(p > n) + 0.5 * #(p = n)) / (#p * #n)`` over scores p of relevant and n of irrelevant pairs.

    Args:
        positive: scores of relevant pairs, shape (p,).
        negative: scores of irrelevant pairs, shape (n,).

    Returns:
        0..1; nan where one side is empty or a score is nan.
    """
    high, low = np.asarray(positive, dtype=np.float64).ravel(), np.asarray(negative, dtype=np.float64).ravel()
    if not len(high) or not len(low) or np.isnan(high).any() or np.isnan(low).any():
        return math.nan
    low = np.sort(low)
    below = np.searchsorted(low, high, side="left").sum()
    not_above = np.searchsorted(low, high, side="right").sum()
    return float((below + not_above) / (2 * len(high) * len(low)))


def separation(positive: np.ndarray, negative: np.ndarray) -> Separation:
    """Means, spreads, margin, variance and AUC of scores of relevant (p,) and irrelevant (n,) pairs."""
    high, low = np.asarray(positive, dtype=np.float64).ravel(), np.asarray(negative, dtype=np.float64).ravel()
    mean_high, std_high = _mean_and_std(high)
    mean_low, std_low = _mean_and_std(low)
    return Separation(
        positives=len(high),
        negatives=len(low),
        mean_positive=mean_high,
        std_positive=std_high,
        mean_negative=mean_low,
        std_negative=std_low,
        margin=mean_high - mean_low,
        variance=_mean_and_std(np.concatenate([high, low]))[1] ** 2,
        auc=auc(high, low),
    )


def histogram(scores: np.ndarray, bins: int) -> list[int]:
    """Number of scores in each of ``bins`` equal parts of 0..1.

    A score on an edge belongs to the part above it, 1 to the last; scores outside and those that are no numbers are
    not counted.
    """
    return [int(count) for count in np.histogram(scores, bins=bins, range=(0, 1))[0]]


def query_margins(positive: Sequence[np.ndarray], negative: Sequence[np.ndarray]) -> np.ndarray:
    """Mean positive score minus mean negative score of each query; nan where a query lacks one side.

    Args:
        positive: for each query the scores of its relevant documents.
        negative: for each query the scores of its irrelevant documents.

    Returns:
        float64 of shape (queries,).
    """
    pairs = zip(positive, negative, strict=True)
    return np.array([_mean_and_std(high)[0] - _mean_and_std(low)[0] for high, low in pairs], dtype=np.float64)


def margin_ceiling(mean_negative_cosine: float) -> float:
    """Largest margin that random pairs allow on the linear score: ``0.5 * (1 - |mean negative cosine|)``.

    Over all pairs of n unit vectors q of queries and d of their documents the mean cosine m is the product of their
    means. The mean positive cosine is at most ``1 - |mean(q) - mean(d)|^2 / 2`` (convexity of the square), hence at
    most 1, and at most ``1 + 2 m`` where m is negative: mean positive cosine minus m never passes ``1 - |m|``. Random
    negatives, which leave the positive pairs out, may pass by 2 / (n - 1) on the linear score; documents that are
    nobody's positive are not bound.
    """
    return 0.5 * (1 - abs(mean_negative_cosine))


def gains(labels: Iterable[float]) -> list[int]:
    """Integer gains of the labels (0..1) of relevant documents: ``round(100 * label)``, at least 1.

    ir-measures takes integers only. nDCG with linear gain is a ratio of gains, so the factor 100 leaves it as it is;
    the other measures only ask whether a gain is at least 1.
    """
    return [max(1, round(GAIN_SCALE * label)) for label in labels]


def pair_cosines(queries: np.ndarray, documents: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Cosines of (query, document) pairs, in blocks: the vectors of all pairs are never held at once.

    Args:
        queries: unit vectors, shape (q, dim).
        documents: unit vectors, shape (n, dim).
        rows: query of each pair, shape (pairs,).
        columns: document of each pair, shape (pairs,).

    Returns:
        float32 of shape (pairs,).
    """
    cosines = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), DOCUMENT_BLOCK):
        block = slice(start, start + DOCUMENT_BLOCK)
        cosines[block] = np.einsum("pd,pd->p", queries[rows[block]], documents[columns[block]])
    return cosines


def top_documents(
    queries: np.ndarray, documents: np.ndarray, depth: int, *, advance: Callable[[int], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The documents of highest inner product for each query, exactly, in blocks: no full matrix is held.

    Args:
        queries: float32 of shape (q, dim).
        documents: float32 of shape (n, dim), may be memory-mapped.
        depth: documents of each query.
        advance: called with the number of queries done since the last call.

    Returns:
        Document rows, int64, and their scores, float32, both of shape (q, min(depth, n)), falling scores; equal
        scores in the order of the documents.
    """
    depth = min(depth, len(documents))
    ids = np.empty((len(queries), depth), dtype=np.int64)
    scores = np.empty((len(queries), depth), dtype=np.float32)
    for start in range(0, len(queries), QUERY_BLOCK):
        rows = slice(start, start + QUERY_BLOCK)
        ids[rows], scores[rows] = _top_of_block(queries[rows], documents, depth)
        if advance:
            advance(len(ids[rows]))
    return ids, scores


def _top_of_block(queries: np.ndarray, documents: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
    best_ids = np.empty((len(queries), 0), dtype=np.int64)
    best_scores = np.empty((len(queries), 0), dtype=np.float32)
    for start in range(0, len(documents), DOCUMENT_BLOCK):
        block = queries @ documents[start : start + DOCUMENT_BLOCK].T
        new_ids = np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)
        ids, scores = np.hstack([best_ids, new_ids]), np.hstack([best_scores, block])
        # Ids rise from left to right among equal scores, so a column order is an id order.
        columns = np.stack([top_columns(row, depth) for row in scores])
        best_ids, best_scores = np.take_along_axis(ids, columns, 1), np.take_along_axis(scores, columns, 1)
    return best_ids, best_scores


def top_columns(scores: np.ndarray, depth: int) -> np.ndarray:
    """Columns of the ``depth`` highest of some scores, falling; equal ones by column, also where the cut parts them.

    Args:
        scores: shape (n,).
        depth: columns wanted.

    Returns:
        int64 of shape (min(depth, n),).
    """
    if depth >= len(scores):
        return np.argsort(-scores, kind="stable")
    threshold = np.partition(scores, len(scores) - depth)[len(scores) - depth]
    candidates = np.flatnonzero(scores >= threshold)
    return candidates[np.argsort(-scores[candidates], kind="stable")[:depth]]


class Rankings(Mapping[str, dict[str, float]]):
    """Rankings in the form that ``ranking_metrics`` takes: query id -> document id -> score. A ranking is made of the
    numbers when it is asked for, so that those of many queries are not held as text.

    Args:
        query_ids: of the rankings.
        documents: ids of each ranking's documents; -1 is no document.
        scores: of the same documents.
    """

    def __init__(
        self, query_ids: Iterable[int], documents: Sequence[Any] | np.ndarray, scores: Sequence[Any] | np.ndarray
    ) -> None:
        self._rows = {str(query): row for row, query in enumerate(query_ids)}
        self._documents, self._scores = documents, scores
        assert len(self._rows) == len(documents) == len(scores)

    def __getitem__(self, query: str) -> dict[str, float]:
        row = self._rows[query]
        ids, scores = (np.asarray(values[row]).tolist() for values in (self._documents, self._scores))
        return {str(document): score for document, score in zip(ids, scores, strict=True) if document >= 0}

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def ranking_metrics(qrels: Qrels, run: Run) -> dict[str, float]:
    """Mean over the queries of ``qrels`` of every measure in ``RANKING_MEASURES``.

    Args:
        qrels: query id -> document id -> gain of each relevant document.
        run: query id -> document id -> score; a query that is missing counts 0, one that qrels lacks is left out.

    Returns:
        Measure name -> value in 0..1; nan where qrels is empty.
    """
    return means(ranking_metrics_by_query(qrels, run))


def means(by_query: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean over queries of every measure in ``RANKING_MEASURES``; nan without a query."""
    return {
        name: math.fsum(values[name] for values in by_query.values()) / len(by_query) if by_query else math.nan
        for name in RANKING_MEASURES
    }


def ranking_metrics_by_query(qrels: Qrels, run: Run) -> dict[str, dict[str, float]]:
    """Every measure of every query of ``qrels``: query id -> measure name -> value in 0..1.

    Documents of equal score stand with the irrelevant ones first, so that a model that tells nothing apart gains
    nothing by the order of its input; nan counts as the lowest score. Arguments as in ``ranking_metrics``.
    """
    import ir_measures

    names = {ir_measures.parse_measure(theirs): ours for ours, theirs in RANKING_MEASURES.items()}
    values = {query: dict.fromkeys(RANKING_MEASURES, 0.0) for query in qrels}
    queries = [query for query in qrels if query in run]
    for start in range(0, len(queries), RANKINGS_AT_ONCE):
        window = queries[start : start + RANKINGS_AT_ONCE]
        judged: Any = {query: dict(qrels[query]) for query in window}
        ordered = {query: found for query in window if (found := _strictly_ordered(run[query], qrels[query]))}
        for metric in ir_measures.iter_calc(list(names), judged, ordered) if ordered else ():
            values[metric.query_id][names[metric.measure]] = float(metric.value)
    return values


def _strictly_ordered(scores: Mapping[str, float], relevant: Mapping[str, int]) -> dict[str, float]:
    """The same order as scores that all differ: the programs behind ir-measures break ties each in its own way."""
    order = sorted(scores, key=lambda document: (_falling(scores[document]), relevant.get(document, 0) > 0, document))
    return {document: float(len(order) - rank) for rank, document in enumerate(order)}


def _falling(score: float) -> float:
    return math.inf if math.isnan(score) else -score


def _mean_and_std(values: np.ndarray) -> tuple[float, float]:
    """Mean and population standard deviation; nan of nothing, without numpy's warning."""
    if not len(values):
        return math.nan, math.nan
    return float(np.mean(values)), float(np.std(values))
