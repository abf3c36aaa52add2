"""Nearest vectors: by all products where that is quick enough, else by faiss and then exactly among what it finds."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from bistill.arrays import Floats, Ints
from bistill.data.sampling import subset
from bistill.evaluation.measures.exact import top_documents
from bistill.progress import progress

# faiss pays only where both are reached, since its index costs some thousand products a document. Measured with
# benchmarks/candidates/dense_search.py on two busy cores: of a million documents, all products took 22 ms a query;
# faiss 187 s to build and 2 ms a query, with a recall of 0.98. That is even at 10,000 queries and half the time at
# 20,000. For 2,000 queries it is a fifth as fast, and below a million documents there are only seconds to save.
APPROXIMATE_FROM: Final = 500_000
APPROXIMATE_FROM_QUERIES: Final = 20_000
# Cells of the approximate index for every square root of a document, documents that place the centre of a cell, and
# the share of the cells that a query looks into. With a fourth of the cells the build takes an eighth of the time, but
# for a million documents in 10,000 separate groups recall falls to 0.77.
CELLS_PER_ROOT: Final = 4.0
TRAINED_PER_CELL: Final = 64
PROBED_SHARE: Final = 1 / 32
# Documents taken by their quantised vectors for every document asked for; the exact cosine orders them.
OVERSAMPLING: Final = 4
ADDED_AT_ONCE: Final = 16_384
SEARCHED_AT_ONCE: Final = 256


def nearest(queries: Floats, documents: Floats, depth: int) -> Ints:
    """The documents of highest cosine for each query: exactly, or where documents and queries are many, by faiss.

    Args:
        queries: unit vectors, float32 of shape (q, dim).
        documents: unit vectors, float32 of shape (n, dim), may be memory-mapped.
        depth: documents of each query.

    Returns:
        int64 of shape (q, depth), falling cosine, equal ones by lower row; -1 fills the end of a row.
    """
    if len(documents) < APPROXIMATE_FROM or len(queries) < APPROXIMATE_FROM_QUERIES:
        return exact(queries, documents, depth)
    return approximate(queries, documents, depth, quantised_index(documents))


def way(documents: int) -> list[str | float]:
    """What beside vectors and depth decides the answer: faiss' version and our settings where it may be asked."""
    if documents < APPROXIMATE_FROM:
        return ["exact"]
    import faiss

    return [
        "faiss",
        faiss.__version__,
        APPROXIMATE_FROM_QUERIES,
        CELLS_PER_ROOT,
        TRAINED_PER_CELL,
        PROBED_SHARE,
        OVERSAMPLING,
    ]


def exact(queries: Floats, documents: Floats, depth: int) -> Ints:
    """``nearest`` by all products."""
    with progress("dense search", len(queries), "queries") as advance:
        found, _ = top_documents(queries, documents, depth, advance=advance)
    return np.pad(found, ((0, 0), (0, depth - found.shape[1])), constant_values=-1)


def approximate(queries: Floats, documents: Floats, depth: int, index: Any) -> Ints:
    """``nearest`` among the documents that an index of ``quantised_index`` finds, in the order of the exact cosine."""
    rows = np.full((len(queries), depth), -1, dtype=np.int64)
    with progress("dense search", len(queries), "queries") as advance:
        for start in range(0, len(queries), SEARCHED_AT_ONCE):
            window = np.ascontiguousarray(queries[start : start + SEARCHED_AT_ONCE])
            _, candidates = index.search(window, min(OVERSAMPLING * depth, len(documents)))
            for row, (query, near) in enumerate(zip(window, candidates, strict=True), start=start):
                best = reordered(query, documents, near[near >= 0])[:depth]
                rows[row, : len(best)] = best
            advance(len(window))
    return rows


def quantised_index(documents: Floats) -> Any:
    """A faiss index of unit vectors: an inverted file with 8 bits a dimension, a fourth of the vectors' memory.

    The centres of its cells come from a sample that is the same every time (Jegou et al., 2011, for the inverted
    file; https://github.com/facebookresearch/faiss).

    Args:
        documents: float32 of shape (n, dim), may be memory-mapped.
    """
    import faiss

    count, dim = documents.shape
    cells = max(1, min(round(CELLS_PER_ROOT * math.sqrt(count)), count // TRAINED_PER_CELL))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dim), dim, cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.spherical = True
    index.train(np.ascontiguousarray(documents[subset(0, "dense cells", count, TRAINED_PER_CELL * cells)]))
    for start in range(0, count, ADDED_AT_ONCE):
        index.add(np.ascontiguousarray(documents[start : start + ADDED_AT_ONCE]))
    index.nprobe = math.ceil(PROBED_SHARE * cells)
    return index


def reordered(query: Floats, documents: Floats, candidates: Ints) -> Ints:
    """Rows of documents by falling exact cosine with a query, equal ones by lower row.

    Args:
        query: unit vector, float32 of shape (dim,).
        documents: unit vectors, float32 of shape (n, dim), may be memory-mapped.
        candidates: rows, int64 of shape (c,).
    """
    candidates = np.sort(candidates)
    return candidates[np.argsort(-(documents[candidates] @ query), kind="stable")]
