"""A script of several processes: what they mine together, beside what the leader mines alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast
from unittest import mock

import numpy as np

from bistill import distributed
from bistill.candidates.mining import bm25, nearest, shards
from bistill.candidates.mining.lexical import LexicalMiner
from bistill.distributed import Desk, Team
from bistill.errors import ProcessError

DEPTH = 7


def kept(desk: Desk) -> list[str]:
    return sorted(desk.work)


def alone(search: Callable[[], Any]) -> Any:
    """What a search gives without the other processes."""
    with mock.patch.object(distributed, "helpers", lambda: None):
        return search()


def dense() -> list[bool]:
    """Exact and by faiss, in several passes: queries of three passes, documents of several shards."""
    random = np.random.default_rng(0)
    queries, documents = (random.standard_normal((count, 16)).astype(np.float32) for count in (600, 9_000))
    queries, documents = (some / np.linalg.norm(some, axis=1, keepdims=True) for some in (queries, documents))
    shared = nearest.nearest(queries, documents, DEPTH)
    found = [np.array_equal(shared, alone(lambda: nearest.nearest(queries, documents, DEPTH)))]
    vars(nearest).update(APPROXIMATE_FROM=1, APPROXIMATE_FROM_QUERIES=1)
    by_faiss = nearest.nearest(queries, documents, DEPTH)
    found.append(np.array_equal(by_faiss, alone(lambda: nearest.nearest(queries, documents, DEPTH))))
    return [*found, not np.array_equal(by_faiss, shared)]


def lexical() -> list[bool]:
    """Documents and scores of BM25, with equal scores in several blocks."""
    random = np.random.default_rng(1)
    texts = [" ".join(f"w{word}" for word in random.zipf(1.3, random.integers(0, 30)) % 200) for _ in range(200)]
    pool, queries = [*texts, *texts], [*texts[:100], "", "unheard of"]
    shared = LexicalMiner(queries, pool).search(np.arange(len(queries)), DEPTH)
    own = alone(lambda: LexicalMiner(queries, pool).search(np.arange(len(queries)), DEPTH))
    return [np.array_equal(one, other) and one.dtype == other.dtype for one, other in zip(shared, own, strict=True)]


def broken() -> str:
    """The message for a document that is no text."""
    pool = cast("list[str]", ["red"] * 20 + [None] + ["blue"] * 20)
    try:
        LexicalMiner(["red"], pool, tokens="words").search(np.arange(1), DEPTH)
    except ProcessError as error:
        return str(error)
    return ""


def main() -> None:
    team = distributed.here()
    assert team is not None
    vars(shards).update(ANSWERS=1)
    vars(nearest).update(SHARD_BYTES=1)
    vars(bm25).update(BLOCK=37)
    with mock.patch.object(Team, "together", autospec=True, side_effect=Team.together) as together:
        found: dict[str, Any] = {"dense": dense(), "lexical": lexical(), "calls": together.call_count}
    found |= {"broken": broken(), "again": lexical(), "kept": team.everywhere(kept)}
    print("FOUND", json.dumps(found), flush=True)


if __name__ == "__main__":
    with distributed.session():
        main()
