"""A script of several processes: the gradient of each case on all of them, beside that of the leader alone.

Prints one JSON line a case. Its argument is a folder with tiny models and data.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from bistill import distributed
from bistill.app import assembling
from bistill.app.config import DistillationOptions, TeacherOptions
from bistill.candidates.scores import scoring
from bistill.candidates.scores.cache import ScoreCache
from bistill.data.store.collection import Collection
from bistill.data.store.opening import load_split
from bistill.distributed import Desk
from bistill.distributed.joining import leading
from bistill.models.bi_encoder import BiEncoder
from bistill.models.calibration import Calibration
from bistill.models.compute import recomputing, sharing
from bistill.models.cross_encoder import CrossEncoder
from bistill.training.loop.gradients import Batch, Gradients
from bistill.training.loop.shared import SharedGradients
from bistill.training.student import train as student
from bistill.training.student.calibrated import ScoreLine
from bistill.training.student.making import task_of
from bistill.training.teacher import train as teacher
from bistill.training.teacher.pairs import PairTask
from tests.assembled import opened

ALL = 10**6
BATCH = 5
CPU = torch.device("cpu")
STUDENTS: dict[str, dict[str, Any]] = {
    "lists": {},
    "contract": {"contrastive_weight": 0.3, "negative_penalty_weight": 0.4, "info_nce_weight": 0, "in_batch": "never"},
    "lora": {"use_lora": True},
    "matryoshka": {"matryoshka": (16, 8)},
    "calibrated": {"score": "calibrated"},
    "shared documents": {"own_documents": 2},
}
TEACHERS: dict[str, tuple[dict[str, Any], float]] = {
    "pairs": ({}, 0.0),
    "pairs, lora": ({"use_lora": True}, 0.0),
    "lists": ({}, 1.0),
}


def numbers(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest, as a share of the largest entry; adapters that begin with zeros have a gradient of zeros."""
    return float((found - expected).abs().max() / (expected.abs().max() or 1.0))


def norm(values: list[torch.Tensor]) -> float:
    """Of all numbers together."""
    return float(torch.stack([value.double().norm() for value in values]).norm())


def case(batch: Batch, encoder: Any, model: nn.Module, budget: int) -> dict[str, Any]:
    """Largest differences, each as a share of the tensor's largest entry, and what was done."""
    team = distributed.here()
    assert team is not None
    model.train()
    results = []
    collectives = 0
    reduce = torch.distributed.reduce

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal collectives
        collectives += 1
        return reduce(*arguments, **named)

    torch.distributed.reduce = counted
    for make in (Gradients, partial(SharedGradients, team, encoder)):
        model.zero_grad(set_to_none=True)
        gradients = make(batch, budget=budget, seed=7, device=CPU)
        terms = {name: float(value) for name, value in gradients.run().items()}
        results.append((terms, numbers(model), [group.tolist() for group in gradients.groups]))
    torch.distributed.reduce = reduce
    (terms, alone, groups), (shared_terms, shared, shared_groups) = results
    assert alone.keys() == shared.keys()
    # The gradient of a key's bias is 0 but for rounding: a shift of all scores of a query changes no attention.
    apart = {name: value for name, value in alone.items() if not name.endswith("key.bias")}
    return {
        "terms": max(abs(terms[name] - shared_terms[name]) for name in terms),
        "gradient": max(difference(shared[name], value) for name, value in apart.items()),
        "norm": norm([shared[name] - value for name, value in apart.items()]) / norm(list(apart.values())),
        "collectives": collectives,
        "texts": [sorted(place for group in own for place in group) for own in (groups, shared_groups)],
        "groups": len(shared_groups),
        "processes": team.size,
    }


def batches(folder: Path) -> Iterator[tuple[str, Batch, Any, nn.Module]]:
    where: dict[str, Any] = {
        "data_root": str(folder / "data"),
        "data_version": "tiny",
        "precision": "fp32",
        "output_dir": str(folder / "none"),
    }
    dataset = load_split(folder / "data" / "tiny" / "train.csv")
    for name, given in STUDENTS.items():
        options = DistillationOptions(
            teacher_path=str(folder / "teacher"),
            student_name=str(folder / "encoder"),
            K=4,
            batch_size=BATCH,
            **where,
            **given,
        )
        training = assembling.student_training(options)
        encoder = student.start(training)
        collection = Collection(dataset, assembling.version(options).corpus(dataset))
        line = ScoreLine(Calibration(6.0, -2.0), 0.5, 0.2) if options.score == "calibrated" else None
        with opened(options.teacher_path, options) as teachers:
            task, _ = task_of(training, encoder, collection, np.arange(len(dataset)), teachers, line=line)
        order = task.order(options.seed, 0)
        for samples in (order[:BATCH], order[len(order) // BATCH * BATCH :]):  # the last one is shorter
            yield f"student, {name}, {len(samples)}", task.batch(samples, 0), encoder, task.model
    for name, (given, list_weight) in TEACHERS.items():
        chosen = TeacherOptions(model_name=str(folder / "encoder"), **where, **given)
        own = teacher.start(assembling.teacher_training(chosen))
        pairs = PairTask(
            own, dataset, np.arange(len(dataset)), negatives_per_positive=2, seed=0, list_weight=list_weight
        )
        for count in (7, 1):  # an uneven batch, and one of fewer texts than there are processes
            yield f"teacher, {name}, {count}", pairs.batch(pairs.order(0, 0)[:count], 0), own, own.model


def rows_of_inference(folder: Path) -> dict[str, Any]:
    """Whether inference gives the same bits as alone, before and after weights were changed."""
    texts = [" ".join(["green", "file", "reads"][: 1 + number % 3]) + f" {number}" for number in range(200)]
    pairs = [(text, other) for text, other in zip(texts, reversed(texts), strict=True)]
    found: dict[str, Any] = {}
    encoder, teacher = BiEncoder.load(str(folder / "encoder")), CrossEncoder.load(str(folder / "teacher"))
    kinds: dict[str, tuple[Any, Callable[[], Any]]] = {
        "bi-encoder": (encoder, lambda: encoder.encode_documents(texts, batch_size=16)),
        "cross-encoder": (teacher, lambda: teacher.score(pairs, batch_size=16)),
    }
    for kind, (model, rows) in kinds.items():
        made, equal = model.made, []
        for change in (0.0, 0.25):
            with torch.no_grad():
                next(model.model.parameters()).add_(change)
            shared = rows()
            model.made = None
            equal.append(bool((shared == rows()).all()))
            model.made = made
        found[kind] = equal
    return found


def scores_of_pairs(folder: Path) -> list[bool]:
    """Whether what the cache of a teacher's scores holds has the same bits as alone, of all pairs and of the rest."""
    queries, documents = (
        [f"{word} {'file ' * (number % 9)}{number}" for number in range(30)] for word in ("green", "reads")
    )
    pairs = np.array([(query, document) for query in range(30) for document in range(query % 7, 30, 3)])
    found = []
    teacher = CrossEncoder.load(str(folder / "teacher"))
    how: dict[str, Any] = {"batch_size": 4, "description": ""}
    for name, team in (("shared", distributed.here()), ("alone", None)):
        with (
            leading(team),
            patch.dict("os.environ", BISTILL_CACHE=str(folder / name)),
            ScoreCache.open({"scored": name}) as cache,
        ):
            some = scoring.score(cache, lambda: teacher, queries, documents, pairs[::3], **how)
            every = scoring.score(cache, lambda: teacher, queries, documents, pairs, **how)
            assert some.scored == len(pairs[::3]) and every.scored == len(pairs) - some.scored
            found.append((some.logits, every.logits))
    return [bool((shared == alone).all()) for shared, alone in zip(*found, strict=True)]


def models_held(desk: Desk) -> list[int]:
    return sorted(desk.models)


def main(folder: Path) -> None:
    team = distributed.here()
    assert team is not None
    for name, batch, encoder, model in batches(folder):
        longest = int(batch.lengths.max())
        for budget in (ALL, longest, 1):
            print("CASE", json.dumps({"name": f"{name}, {budget}", **case(batch, encoder, model, budget)}), flush=True)
        if name.startswith("student, lists, 5"):
            assert recomputing.recompute(encoder.model)
            print("CASE", json.dumps({"name": f"{name}, twice", **case(batch, encoder, model, 1)}), flush=True)
            recomputing.keep(encoder.model)
            # A weight that this process alone had changed would give another gradient there.
            with torch.no_grad():
                for value in encoder.model.parameters():
                    value.mul_(1.25)
            print("CASE", json.dumps({"name": f"{name}, changed", **case(batch, encoder, model, ALL)}), flush=True)
    print("INFERENCE", json.dumps(rows_of_inference(folder)), flush=True)
    print("SCORES", json.dumps(scores_of_pairs(folder)), flush=True)
    del encoder, model, batch
    gc.collect()
    sharing.present(team, BiEncoder.load(str(folder / "encoder")))
    print("HELD", json.dumps(team.everywhere(models_held)), flush=True)


if __name__ == "__main__":
    with distributed.session():
        main(Path(sys.argv[1]))
