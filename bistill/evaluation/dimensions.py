"""Ranking by the first numbers of each vector alone, for students that learned to be cut (``Objective.matryoshka``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from bistill.arrays import Floats
from bistill.evaluation.measures import exact, ranking
from bistill.evaluation.questions import Questions
from bistill.evaluation.report.words import said
from bistill.languages import Language

ByDimension = dict[str, dict[str, float]]


def rankings(
    queries: Floats, documents: Floats, asked: Questions, sizes: Sequence[int], depth: int
) -> ByDimension | None:
    """Ranking figures of the first numbers of unit vectors, by how many these are, as text; None without sizes.

    Args:
        queries: shape (queries, dim).
        documents: shape (documents, dim).
        asked: what was asked.
        sizes: how many first numbers are kept; those not below ``dim`` are left out.
        depth: documents that a ranking keeps.
    """
    figures = {}
    for size in (size for size in sizes if size < queries.shape[1]):
        cut = _prefix(queries, size), _prefix(documents, size)
        ranked = asked.best(partial(exact.top_documents, *cut), depth)
        run = ranking.Rankings(asked.query_ids(), *ranked)
        figures[str(size)] = ranking.figures(asked.qrels(), run)
    return figures or None


def sentences(result: Mapping[str, Any], language: Language = "en") -> Iterator[str]:
    """A sentence for each length: what the student ranks with so few numbers, and the base model beside."""
    by_role = result["matryoshka"]
    base = by_role["base"] or {}
    for size, figures in (by_role["student"] or {}).items():
        beside = said(language, ", base {base}", base=f"{base[size]['ndcg_at_10']:.4f}") if size in base else ""
        text = "nDCG@10 by the first {size} numbers of each vector: student {student}{beside}."
        yield said(language, text, size=size, student=f"{figures['ndcg_at_10']:.4f}", beside=beside)


def _prefix(vectors: Floats, size: int) -> Floats:
    prefix: Floats = vectors[:, :size]
    lengths: Floats = np.maximum(np.linalg.norm(prefix, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return prefix / lengths
