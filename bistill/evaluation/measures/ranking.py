"""How well rankings are ordered: measures of a query's ranking, and their means. Pure functions of numbers.

``MEASURES`` is the registry: whatever stands there is computed, compared, printed and drawn by every evaluation. Most
are those of ir-measures; one of your own is a function, see ``docs/extending.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from bistill.arrays import Ints, Reals

GAIN_SCALE: Final = 100

# Queries whose rankings are text at once, up to 100 KiB each.
RANKINGS_AT_ONCE: Final = 256

Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]


class Measure(NamedTuple):
    """A figure of one query's ranking, the higher the better.

    Attributes:
        title: in tables and pictures.
        of: its name in ir-measures (https://ir-measur.es), or a function of the gains of the ranked documents from the
            first to the last (0: irrelevant) and of the gains of all relevant documents, the highest first; it gives a
            value in 0..1. Gains are integers, ``gains``.
    """

    title: str
    of: str | Callable[[Sequence[int], Sequence[int]], float]


# By the name that reports give it.
MEASURES: Final = {
    "ndcg_at_10": Measure("nDCG@10", "nDCG@10"),
    "mrr_at_10": Measure("MRR@10", "RR@10"),
    "map": Measure("MAP", "AP"),
    "recall_at_1": Measure("Recall@1", "R@1"),
    "recall_at_10": Measure("Recall@10", "R@10"),
    "recall_at_100": Measure("Recall@100", "R@100"),
}
# Beside them where only part of the documents was judged, and one that nobody judged is not irrelevant. The first says
# how far the others can be trusted. nDCG of the judged documents alone, as if the others were not in the ranking, is
# that of Sakai, "Alternatives to Bpref" (SIGIR 2007); bpref counts the judged irrelevant documents above each relevant
# one (Buckley and Voorhees, "Retrieval evaluation with incomplete information", SIGIR 2004).
PARTLY_JUDGED: Final = {
    "judged_at_10": Measure("judged@10", "Judged@10"),
    "condensed_ndcg_at_10": Measure("condensed nDCG@10", "nDCG(judged_only=True)@10"),
    "bpref": Measure("bpref", "Bpref"),
}


def gains(labels: Iterable[float]) -> list[int]:
    """Integer gains of the labels (0..1) of relevant documents: ``round(100 * label)``, at least 1.

    ir-measures takes integers only. nDCG with linear gain is a ratio of gains, so the factor 100 leaves it as it is;
    the other measures only ask whether a gain is at least 1.
    """
    return [max(1, round(GAIN_SCALE * label)) for label in labels]


class Rankings(Mapping[str, dict[str, float]]):
    """Rankings in the form that ``figures`` takes: query id -> document id -> score. A ranking is made of the
    numbers when it is asked for, so that those of many queries are not held as text.

    Args:
        query_ids: of the rankings.
        documents: ids of each ranking's documents; -1 is no document.
        scores: of the same documents.
    """

    def __init__(
        self, query_ids: Iterable[int], documents: Sequence[Any] | Ints, scores: Sequence[Any] | Reals
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


def figures(qrels: Qrels, run: Run) -> dict[str, float]:
    """Mean over the queries of ``qrels`` of every measure in ``MEASURES``.

    Args:
        qrels: query id -> document id -> gain of each relevant document.
        run: query id -> document id -> score; a query that is missing counts 0, one that qrels lacks is left out.

    Returns:
        Measure name -> value in 0..1; nan where qrels is empty.
    """
    return means(figures_by_query(qrels, run))


def means(by_query: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean over queries of every measure that each of them has; nan of each in ``MEASURES`` without a query."""
    return {
        name: math.fsum(values[name] for values in by_query.values()) / len(by_query) if by_query else math.nan
        for name in next(iter(by_query.values()), MEASURES)
    }


def figures_by_query(
    qrels: Qrels, run: Run, measures: Mapping[str, Measure] | None = None
) -> dict[str, dict[str, float]]:
    """Every measure of every query of ``qrels``: query id -> measure name -> value in 0..1.

    Documents of equal score stand with the irrelevant ones first, so that a model that tells nothing apart gains
    nothing by the order of its input; nan counts as the lowest score. Arguments as in ``figures``.

    Args:
        measures: by name; None: ``MEASURES``. Of ``PARTLY_JUDGED``, ``qrels`` holds the documents judged irrelevant,
            too, with gain 0.
    """
    import ir_measures

    wanted = MEASURES if measures is None else measures
    theirs = {ir_measures.parse_measure(item.of): name for name, item in wanted.items() if isinstance(item.of, str)}
    own = {name: item.of for name, item in wanted.items() if not isinstance(item.of, str)}
    values = {query: dict.fromkeys(wanted, 0.0) for query in qrels}
    queries = [query for query in qrels if query in run]
    for start in range(0, len(queries), RANKINGS_AT_ONCE):
        window = queries[start : start + RANKINGS_AT_ONCE]
        judged: Any = {query: dict(qrels[query]) for query in window}
        ordered = {query: found for query in window if (found := _strictly_ordered(run[query], qrels[query]))}
        for metric in ir_measures.iter_calc(list(theirs), judged, ordered) if ordered else ():
            values[metric.query_id][theirs[metric.measure]] = float(metric.value)
        for query, ranked in ordered.items() if own else ():
            gains_found = [qrels[query].get(document, 0) for document in ranked]
            relevant = sorted(qrels[query].values(), reverse=True)
            values[query] |= {name: float(of(gains_found, relevant)) for name, of in own.items()}
    return values


def _strictly_ordered(scores: Mapping[str, float], relevant: Mapping[str, int]) -> dict[str, float]:
    """The same order as scores that all differ: the programs behind ir-measures break ties each in its own way."""
    order = sorted(scores, key=lambda document: (_falling(scores[document]), relevant.get(document, 0) > 0, document))
    return {document: float(len(order) - rank) for rank, document in enumerate(order)}


def _falling(score: float) -> float:
    return math.inf if math.isnan(score) else -score
