"""Teachers of the tests that workers load by their names: sound, and broken in some way."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bistill import distributed
from bistill.candidates.scores.cache import ScoreCache
from bistill.candidates.scores.scoring import Scored, score
from bistill.models.cross_encoder import CrossEncoder

IDENTITY = {"model": "of the tests"}
QUERIES = [f"how to {word}" for word in ("file", "list", "set", "map", "tree", "graph")]
DOCUMENTS = [f"{word} of number {number}" for number in range(20) for word in ("key", "value")]
PAIRS = np.array([(query, document) for query in range(len(QUERIES)) for document in range(len(DOCUMENTS))])
BATCH = 4


class Broken:
    """The teacher of a folder, that fails at one pair, or that tells its process and takes its time."""

    def __init__(self, folder: str, how: str, marker: str) -> None:
        self._encoder = CrossEncoder.load(folder)
        self.source, self._how, self._marker = folder, how, Path(marker)

    def score(self, pairs: Sequence[tuple[str, str]], *, batch_size: int) -> np.ndarray:
        if self._how == "slow":
            self._marker.write_text(str(os.getpid()))
            time.sleep(0.3)
        if (QUERIES[0], DOCUMENTS[7]) in pairs:
            if self._how == "raise":
                raise RuntimeError("cannot read this text")
            if self._how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
        return self._encoder.score(pairs, batch_size=batch_size)


def run(folder: str, how: str = "", marker: str = "") -> Scored:
    """All pairs, by whoever is hired."""
    with ScoreCache.open(IDENTITY) as cache:
        load = partial(Broken, folder, how, marker)
        return score(cache, load, QUERIES, DOCUMENTS, PAIRS, batch_size=BATCH, description="scores")


if __name__ == "__main__":  # a driver that can be killed
    with distributed.hired("local"):
        run(*sys.argv[1:])
