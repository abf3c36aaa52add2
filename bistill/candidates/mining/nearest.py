"""Nearest vectors: by all products where that is quick enough, else by faiss and then exactly among what it finds.

Where others work for this process (``distributed.helpers``) they search shards of the documents.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from bistill import distributed
from bistill.arrays import Bytes, Floats, Ints, Keys
from bistill.candidates.mining import shards
from bistill.candidates.mining.shards import Best, keyed
from bistill.data.sampling import subset
from bistill.distributed import Block, Done, Helpers, Work
from bistill.distributed.blocks import rows as named
from bistill.evaluation.measures.exact import DOCUMENT_BLOCK, top_documents
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
# Vectors of a shard. Two shards of each worker are in the driver's object store at once. Smaller ones give the driver
# more answers to bring together, which takes it some 2 us a query and shard at a depth of 100.
SHARD_BYTES: Final = 64 * 2**20


def nearest(queries: Floats, documents: Floats, depth: int) -> Ints:
    """The documents of highest cosine for each query: exactly, or where documents and queries are many, by faiss.

    Args:
        queries: unit vectors, float32 of shape (q, dim).
        documents: unit vectors, float32 of shape (n, dim), may be memory-mapped.
        depth: documents of each query.

    Returns:
        int64 of shape (q, depth), falling cosine, equal ones by lower row; -1 fills the end of a row.

    Raises:
        ProcessError: others work for this process, and failed at some documents.
    """
    helpers = distributed.helpers()
    if len(documents) < APPROXIMATE_FROM or len(queries) < APPROXIMATE_FROM_QUERIES:
        return exact(queries, documents, depth) if helpers is None else exact_by(helpers, queries, documents, depth)
    if helpers is not None:
        return approximate_by(helpers, queries, documents, depth)
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
        for window, candidates, _ in _searched(index, queries, OVERSAMPLING * depth):
            rows[window] = _nearest_of(queries[window], documents, candidates, depth)
            advance(len(candidates))
    return rows


def _searched(index: Any, queries: Floats, depth: int) -> Iterator[tuple[slice, Ints, Floats]]:
    """What an index finds for some queries at once: which queries, and rows and scores, of shape (queries, some)."""
    for start in range(0, len(queries), SEARCHED_AT_ONCE):
        window = slice(start, start + SEARCHED_AT_ONCE)
        scores, rows = index.search(np.ascontiguousarray(queries[window]), min(depth, index.ntotal))
        yield window, rows, scores


def _nearest_of(queries: Floats, documents: Floats, candidates: Ints, depth: int) -> Ints:
    """The nearest of each query's candidates, of which -1 is none: int64 of shape (queries, depth)."""
    rows = np.full((len(queries), depth), -1, dtype=np.int64)
    for row, (query, near) in enumerate(zip(queries, candidates, strict=True)):
        best = reordered(query, documents, near[near >= 0])[:depth]
        rows[row, : len(best)] = best
    return rows


def quantised_index(documents: Floats) -> Any:
    """A faiss index of unit vectors: an inverted file with 8 bits a dimension, a fourth of the vectors' memory.

    The centres of its cells come from a sample that is the same every time (Jegou et al., 2011, for the inverted
    file; https://github.com/facebookresearch/faiss).

    Args:
        documents: float32 of shape (n, dim), may be memory-mapped.
    """
    index = trained_index(documents)
    add(index, documents, 0)
    return index


def trained_index(documents: Floats) -> Any:
    """``quantised_index`` before a vector is in it."""
    import faiss

    count, dim = documents.shape
    cells = max(1, min(round(CELLS_PER_ROOT * math.sqrt(count)), count // TRAINED_PER_CELL))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dim), dim, cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.spherical = True
    index.train(np.ascontiguousarray(documents[subset(0, "dense cells", count, TRAINED_PER_CELL * cells)]))
    index.nprobe = math.ceil(PROBED_SHARE * cells)
    return index


def add(index: Any, vectors: Floats, first: int) -> None:
    """Put vectors into an index, as the rows from ``first`` on."""
    for start in range(0, len(vectors), ADDED_AT_ONCE):
        some = np.ascontiguousarray(vectors[start : start + ADDED_AT_ONCE])
        index.add_with_ids(some, first + start + np.arange(len(some), dtype=np.int64))


def reordered(query: Floats, documents: Floats, candidates: Ints) -> Ints:
    """Rows of documents by falling exact cosine with a query, equal ones by lower row.

    Args:
        query: unit vector, float32 of shape (dim,).
        documents: unit vectors, float32 of shape (n, dim), may be memory-mapped.
        candidates: rows, int64 of shape (c,).
    """
    candidates = np.sort(candidates)
    return candidates[np.argsort(-(documents[candidates] @ query), kind="stable")]


class Asked(NamedTuple):
    """What a worker searches for: query vectors, float32 of shape (q, dim), and documents of each."""

    queries: Floats
    depth: int


def exact_by(helpers: Helpers, queries: Floats, documents: Floats, depth: int) -> Ints:
    """``exact`` by workers: the same products of the same blocks, so on equal machines the same bits.

    Raises:
        ProcessError: workers failed at some documents.
    """
    found = np.full((len(queries), depth), -1, dtype=np.int64)
    cut, parts = _shards(documents, helpers.size), shards.groups(len(queries), depth)
    with progress("dense search", len(documents) * len(parts), "documents") as advance:
        for group in parts:
            best = Best(group.stop - group.start, depth)

            def take(done: Done, best: Best = best) -> None:
                best.add(done.result)
                advance(done.block.size)

            work = Work(best_of_shard, Asked, "documents", (np.asarray(queries[group]), depth))
            helpers.finish(work, _blocks(documents, cut), take)
            found[group] = best.rows()
    return found


def best_of_shard(asked: Asked, first: int, vectors: Floats) -> Keys:
    """In a worker: the documents of a shard that are nearest to each query, ``keyed``, of shape (queries, some)."""
    rows, scores = top_documents(asked.queries, vectors, asked.depth)
    return keyed(first + rows, scores)


def approximate_by(helpers: Helpers, queries: Floats, documents: Floats, depth: int) -> Ints:
    """``approximate`` by workers: each makes the index of a shard, with the cells of the whole, and searches it.

    They keep these indexes, a fourth of the vectors, for further queries. On equal machines the answer is that of one
    index, unless quantised scores at the ``OVERSAMPLING * depth``-th place are equal: here the lower row is taken,
    there the one that faiss comes to.

    Raises:
        ProcessError: workers failed at some documents.
    """
    import faiss

    found = np.full((len(queries), depth), -1, dtype=np.int64)
    cut = _shards(documents, helpers.size)
    making = Work(index_of_shard, np.asarray, "documents", (faiss.serialize_index(trained_index(documents)),))

    def blocks(places: Sequence[int]) -> Iterator[Block]:
        return _blocks(documents, [cut[place] for place in places])

    with helpers.parts(making, blocks, len(cut)) as indexes:
        with progress("dense index", len(documents), "documents") as advance:
            indexes.make(lambda block, _: advance(block.size))
        with progress("dense search", len(queries), "queries") as advance:
            for group in shards.groups(len(queries), OVERSAMPLING * depth):
                best = Best(group.stop - group.start, OVERSAMPLING * depth)
                asked = (np.asarray(queries[group]), OVERSAMPLING * depth)
                indexes.each(Work(found_in_index, Asked, "documents", asked), best.take)
                found[group] = _nearest_of(queries[group], documents, best.rows(), depth)
                advance(group.stop - group.start)
    return found


def index_of_shard(trained: Bytes, first: int, vectors: Floats) -> tuple[None, Bytes]:
    """In a worker: a serialised index, trained and without a vector, with those of a shard in it."""
    import faiss

    index = faiss.deserialize_index(trained)
    add(index, vectors, first)
    return None, faiss.serialize_index(index)


def found_in_index(asked: Asked, index: Bytes) -> Keys:
    """In a worker: what a serialised index finds for each query, ``keyed``, of shape (queries, some)."""
    import faiss

    searched = _searched(faiss.deserialize_index(index), asked.queries, asked.depth)
    return np.concatenate([keyed(rows, scores) for _, rows, scores in searched])


def _shards(documents: Floats, workers: int) -> list[range]:
    """Rows that a worker gets at once: whole blocks of the exact search, which are those that faiss adds at once."""
    fitting = SHARD_BYTES // max(4 * documents.shape[1], 1)
    return shards.shards(len(documents), workers, most=fitting, step=DOCUMENT_BLOCK)


def _blocks(documents: Floats, cut: Sequence[range]) -> Iterator[Block]:
    """Shards with their vectors, read when they are asked for."""
    for rows in cut:
        vectors = np.asarray(documents[rows.start : rows.stop])
        yield Block(named(rows.start, len(rows)), len(rows), (rows.start, vectors))
