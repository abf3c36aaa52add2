"""One size of ``growth.py``: distillation on a synthetic CSV, an update whenever the driver asks for one.

Started by ``growth.py``; the first argument is JSON with ``folder``, ``data_version``, ``student``, ``batch_size``,
``K`` and ``max_len``.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import numpy as np
import psutil
from ours import TakeTurns
from turn import Turns

from bistill.app import assembling
from bistill.app.assembling import student_training
from bistill.app.config import DistillationOptions
from bistill.candidates.building import build
from bistill.candidates.scores.scoring import Scored
from bistill.candidates.settings import Random
from bistill.data.store.opening import load_split
from bistill.models.bi_encoder import BiEncoder
from bistill.training.loop.engine import Engine
from bistill.training.student.list_task import ListTask

MIB = 2**20


class ChanceTeacher:
    """Stands where ``Teachers`` stand: logits from -8 to 8 by (query id, document id), nothing read."""

    def logits(self, queries: Any, documents: Any, pairs: np.ndarray, description: str = "") -> Scored:
        """One logit a pair."""
        mixed = (pairs[:, 0] * 2_654_435_761 + pairs[:, 1] * 40_503) % 65_536
        return Scored((mixed / 4096 - 8).astype(np.float32), len(pairs), len(pairs))


def held() -> dict[str, float]:
    """What the process holds now, of it pages of mapped files, and its highest memory, in MiB."""
    memory = psutil.Process().memory_info()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"resident": memory.rss / MIB, "mapped": memory.shared / MIB, "peak": peak}


def main() -> None:
    """Read the data, make the lists, train until nothing more is asked."""
    given, turns = json.loads(sys.argv[1]), Turns()
    options = DistillationOptions(
        teacher_path="none",
        output_dir=given["folder"],
        student_name=given["student"],
        data_root=given["folder"],
        data_version=given["data_version"],
        max_len=given["max_len"],
        batch_size=given["batch_size"],
        K=given["K"],
        epochs=1,
        miners=("random",),
        max_negative_ratio=None,
    )
    started = time.perf_counter()
    dataset = load_split(assembling.version(options).path("train"))
    collection, training = assembling.version(options).collection(dataset), student_training(options)
    read = time.perf_counter()
    teacher: Any = ChanceTeacher()
    pools = build(
        collection,
        np.arange(len(dataset)),
        teacher,
        miners=(Random(),),
        lists=training.candidates.lists,
        limits=training.candidates.limits,
        epochs=1,
        start=training.start,
        seed=options.seed,
    )
    facts = {"queries": len(dataset), "reading": read - started, "lists": time.perf_counter() - read}
    encoder = BiEncoder.load(options.student_name, max_len=options.max_len, precision=options.precision)
    task = ListTask(encoder, collection, pools, training.candidates.lists, training.objective, seed=options.seed)
    Engine(task, training.loop, precision=encoder.precision, hooks=[TakeTurns(turns, lambda: facts | held())]).run()


if __name__ == "__main__":
    main()
