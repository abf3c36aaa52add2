"""Exact search: the documents of highest inner product for a query, in blocks, without a full matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from bistill.arrays import Floats, Ints

# Blocks of the exact ranking: their scores (float32) take 16 MiB, whatever the number of documents.
QUERY_BLOCK: Final = 256
DOCUMENT_BLOCK: Final = 16_384


def pair_cosines(queries: Floats, documents: Floats, rows: Ints, columns: Ints) -> Floats:
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
    queries: Floats, documents: Floats, depth: int, *, advance: Callable[[int], None] | None = None
) -> tuple[Ints, Floats]:
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


def _top_of_block(queries: Floats, documents: Floats, depth: int) -> tuple[Ints, Floats]:
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


def top_columns(scores: Floats, depth: int) -> Ints:
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
