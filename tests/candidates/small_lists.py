"""Lists of the small data version, and what an independent loop finds: relevances, and what counts as relevant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from bistill.app import assembling
from bistill.app.config import DistillationOptions
from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import ScoredPools
from bistill.data.sampling import permutation
from bistill.models.cross_encoder import CrossEncoder
from bistill.training.loop.updates import Updates
from bistill.training.student.list_task import ListTask
from tests import assembled
from tests.candidates.conftest import Small

COUNTED = ("K", "epochs", "data_root", "data_version", "student_name", "max_len", "score_batch_size", "miners")


def distilling(small: Small, teacher: Path | str, student: Path, **changes: object) -> DistillationOptions:
    shared = small.options(teacher, student)
    settings = {name: getattr(shared, name) for name in COUNTED}
    settings |= {"tau": 0.2, "contrastive_weight": 0.3, "negative_penalty_weight": 0.4, "info_nce_weight": 0.0}
    settings |= {"batch_size": 4, "max_negative_ratio": None, **changes}
    return DistillationOptions(teacher_path=str(teacher), output_dir="none", **settings)


def losses_of(task: ListTask, rows: np.ndarray, epoch: int) -> dict[str, torch.Tensor]:
    batch = task.batch(rows, epoch)
    return batch.terms(batch.forward(batch.places), batch.places)


def own_lists(pools: ScoredPools, made: DistillationOptions) -> Iterator[tuple[int, list[CandidateList]]]:
    """Epoch and own lists of each batch."""
    for epoch, rows in Updates(lambda seed, epoch: permutation(seed, epoch, len(pools)), len(pools), made):
        yield (
            epoch,
            [pools.training_list(int(row), assembling.lists(made), seed=made.seed, epoch=epoch) for row in rows],
        )


def built(small: Small, made: DistillationOptions) -> ScoredPools:
    """Pools of the ten queries, which do not stand in the order of their ids."""
    with assembled.opened(made.teacher_path, made, "fp32") as teachers:
        return assembled.built(made, small.dataset, small.corpus, np.random.default_rng(0).permutation(10), teachers)


def folded(text: str) -> str:
    return " ".join(text.lower().split())


def relevances(small: Small, teacher: Path) -> dict[tuple[int, int], float]:
    """The teacher's relevance of every pair, without cache."""
    pairs = [(query, number) for query in range(10) for number in range(len(small.corpus))]
    texts = [(small.dataset.queries[query], small.corpus[number]) for query, number in pairs]
    logits = CrossEncoder.load(str(teacher)).score(texts)
    return dict(zip(pairs, (1 / (1 + np.exp(-logits.astype(float)))).tolist(), strict=True))


def is_relevant(small: Small, query: int, document: int) -> bool:
    """By label, or by a text that nobody called irrelevant."""
    record = small.dataset[query]
    equal = folded(small.corpus[document]) in {folded(small.corpus[number]) for number in record.positives}
    return document in record.positives or (equal and document not in record.negatives)
