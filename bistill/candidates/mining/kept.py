"""Answers of miners, kept by the content of all that decides them: none is searched for twice."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from bistill import artifacts, console
from bistill.arrays import Ints
from bistill.candidates.mining.miner import Miner
from bistill.data.queries.copies import Selection
from bistill.data.store import cache
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.errors import ArtifactError


class Kept:
    """A miner whose answers are ``kept``."""

    def __init__(self, miner: Miner, dataset: Dataset, pool: Corpus | Selection) -> None:
        self.name = miner.name
        self._miner, self._dataset, self._pool = miner, dataset, pool

    def fingerprint(self) -> str:
        """The miner's own."""
        return self._miner.fingerprint()

    def mine(self, query_ids: Ints, depth: int) -> Ints:
        """See ``Miner.mine``."""
        return kept(self._miner, self._dataset, self._pool, query_ids, depth)


def kept(
    miner: Miner,
    dataset: Dataset,
    pool: Corpus | Selection,
    query_ids: Ints,
    depth: int,
    *,
    facts: str | None = None,
) -> Ints:
    """A miner's answer out of the cache, mined and put there where it is new; see ``Miner.mine``.

    Args:
        miner: who is asked.
        dataset: queries.
        pool: documents searched.
        query_ids: the queries, integers of shape (queries,).
        depth: documents of each query.
        facts: what decides the answer; None: the miner's fingerprint. "": it is not kept.
    """
    facts = miner.fingerprint() if facts is None else facts
    if facts == "":
        return miner.mine(query_ids, depth)
    key = artifacts.fingerprint(
        {
            "kind": "mined",
            "miner": miner.name,
            "facts": facts,
            "data": dataset.fingerprint,
            "corpus": pool.fingerprint(),
            "queries": hashlib.sha256(np.ascontiguousarray(query_ids, dtype=np.int64).tobytes()).hexdigest(),
            "depth": depth,
        }
    )

    def fill(folder: Path) -> dict[str, Any]:
        asked, searched = console.counted(len(query_ids), "query"), console.counted(len(pool), "document")
        console.say(f"{miner.name} miner: {asked} over {searched}")
        np.save(folder / artifacts.MINED_FILE, miner.mine(query_ids, depth), allow_pickle=False)
        return {"miner": miner.name}

    folder, _ = cache.obtain(key, fill)
    try:
        documents: Ints = np.load(folder / artifacts.MINED_FILE, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ArtifactError(
            f"the file is no array of numbers ({error})",
            where=str(folder / artifacts.MINED_FILE),
            todo=f"delete {folder} and run again",
        ) from None
    return documents
