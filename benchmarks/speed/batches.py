"""What all sides read: start models and the texts, lists and scores of every step, taken from bistill's own tasks.

python benchmarks/speed/batches.py JOB

JOB is what ``compare.py`` asks for, as JSON; a process of its own, so that nothing of it stays in memory. Two files are
written below the folder of the job, ``timed.json`` and, for models without dropout, ``still.json``.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lists import list_task
from start_models import write_student, write_teacher
from torch import nn

from bistill.app.assembling import loop
from bistill.app.config import DistillationOptions, TeacherOptions
from bistill.app.options import from_mapping
from bistill.candidates.lists import negatives_of
from bistill.data.sampling import subset
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import load_split
from bistill.data.store.version import Version
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import batching
from bistill.models.cross_encoder import CrossEncoder
from bistill.training.loop.updates import Updates
from bistill.training.teacher.pairs import PairTask

# The factor (2 tau)**2 of sentence-transformers' loss is 1 for it.
TAU = 0.5
# Poolings that all sides know.
POOLINGS = ("pooling_mode_cls_token", "pooling_mode_mean_tokens")
# Layers through which one token of a text passes at most.
HEADS = ("pooler", "classifier", "score", "head")


def main() -> None:
    """Write the files of one job."""
    job = json.loads(sys.argv[1])
    folder = Path(job["folder"])
    is_student = job["work"] in ("distillation", "encoding")
    write, name = (write_student, job["student"]) if is_student else (write_teacher, job["teacher"])
    encoder: Any = None
    for kind, dropout in (("still", False), ("timed", True)):
        encoder = write(name, folder / kind, max_len=job["max_len"], dropout=dropout)
    dataset = load_split(Version(Path(job["data_root"]), job["data"]).path("train"))
    given = {"work": job["work"], "max_len": encoder.max_len, "precision": job["precision"], "results": str(folder)}
    given |= WORKS[job["work"]](job, encoder, dataset) | {"weights": linear_weights(encoder.model)}
    for kind in ("still", "timed"):
        (folder / f"{kind}.json").write_text(json.dumps({**given, "model": str(folder / kind)}), encoding="utf-8")


def distillation_steps(job: dict[str, Any], encoder: BiEncoder, dataset: Dataset) -> dict[str, Any]:
    """Queries, K documents of each, and the teacher's relevance of each document.

    Raises:
        SystemExit: the student pools as not all sides can, or the data do not fill the lists.
    """
    if encoder.mode not in POOLINGS:
        raise SystemExit(f"{job['student']} pools by {encoder.mode}; all sides know {', '.join(POOLINGS)}")
    options = distillation_options(job, str(Path(job["folder"]) / "timed"), len(dataset))
    task, corpus = list_task(options, encoder, dataset)
    steps = []
    for epoch, samples in list(Updates(task.order, task.samples, loop(options)))[: job["steps"]]:
        lists = task.lists(samples, epoch)
        if any(len(item.documents) != options.K for item in lists):
            raise SystemExit(f"{job['data']} has queries with fewer than {options.K - 1} negatives: lower --K")
        steps.append(
            {
                "queries": [dataset.queries[item.query_id] for item in lists],
                "documents": [corpus.take(np.array(item.documents)) for item in lists],
                "scores": [item.relevance.tolist() for item in lists],
            }
        )
    tokens = []
    for step in steps:
        texts = [text for row in step["documents"] for text in row]
        encodings = encoder.tokenize_queries(step["queries"]) + encoder.tokenize_documents(texts)
        tokens.append(int(batching.lengths(encodings).sum()))
    return {
        "batches": steps,
        "tokens": tokens,
        "batch_size": options.batch_size,
        "lr": options.lr,
        "tau": options.tau,
        "planned_steps": math.ceil(task.samples / options.batch_size) * options.epochs,
        "prompts": list(encoder.prompts),
        "pooling": encoder.mode,
        "options": dataclasses.asdict(options),
    }


def distillation_options(job: dict[str, Any], student: str, queries: int) -> DistillationOptions:
    """Options under which the loss is the KL term alone, and the learning rate falls as that of the peers."""
    needed = job["steps"] * job["batch_size"]
    used = min(needed, queries // job["batch_size"] * job["batch_size"])
    return DistillationOptions(
        teacher_path=job["teacher"],
        output_dir=str(Path(job["folder"]) / "output"),
        student_name=student,
        data_version=job["data"],
        data_root=job["data_root"],
        max_samples=used,
        epochs=math.ceil(needed / used),
        batch_size=job["batch_size"],
        K=job["K"],
        lr=job["lr"],
        warmup_ratio=0.0,
        weight_decay=0.0,
        max_len=job["max_len"],
        teacher_max_len=job["max_len"],
        miners=("labelled", "random"),
        choice="random",
        max_negative_ratio=None,
        tau=TAU,
        contrastive_weight=0.0,
        negative_penalty_weight=0.0,
        in_batch="never",
        info_nce_weight=0.0,
        precision=job["precision"],
    )


def teacher_steps(job: dict[str, Any], encoder: CrossEncoder, dataset: Dataset) -> dict[str, Any]:
    """Labelled pairs."""
    options = TeacherOptions(
        model_name=str(Path(job["folder"]) / "timed"),
        data_version=job["data"],
        data_root=job["data_root"],
        max_samples=min(len(dataset), job["steps"] * job["batch_size"]),
        epochs=1,
        batch_size=job["batch_size"],
        lr=job["lr"],
        warmup_ratio=0.0,
        weight_decay=0.0,
        max_len=job["max_len"],
        precision=job["precision"],
    )
    task = PairTask(
        encoder,
        dataset,
        subset(options.seed, "train", len(dataset), options.max_samples),
        negatives_per_positive=options.negatives_per_positive,
        seed=options.seed,
    )
    steps, tokens = [], []
    for epoch, samples in list(Updates(task.order, task.samples, loop(options)))[: job["steps"]]:
        pairs, labels = zip(*(task.pair(int(sample), epoch) for sample in samples), strict=True)
        queries, documents = zip(*pairs, strict=True)
        steps.append({"queries": queries, "documents": documents, "labels": labels})
        tokens.append(int(batching.lengths(encoder.tokenize(pairs)).sum()))
    return {
        "batches": steps,
        "tokens": tokens,
        "batch_size": options.batch_size,
        "lr": options.lr,
        "planned_steps": math.ceil(task.samples / options.batch_size),
        "options": dataclasses.asdict(options),
    }


def scored_pairs(job: dict[str, Any], encoder: CrossEncoder, dataset: Dataset) -> dict[str, Any]:
    """Of each query its positives and seven documents by chance, until there are enough pairs."""
    queries: list[str] = []
    documents: list[str] = []
    for record in dataset:
        negatives, _ = negatives_of(record, dataset.documents, count=7, seed=0, epoch=0)
        own = (*record.positives, *negatives)
        queries += [record.query] * len(own)
        documents += [dataset.documents[document] for document in own]
        if len(queries) >= job["pairs"]:
            break
    queries, documents = queries[: job["pairs"]], documents[: job["pairs"]]
    encodings = encoder.tokenize(list(zip(queries, documents, strict=True)))
    return {"queries": queries, "documents": documents, "tokens": [int(batching.lengths(encodings).sum())]}


def encoded_documents(job: dict[str, Any], encoder: BiEncoder, dataset: Dataset) -> dict[str, Any]:
    """Documents in the order in which the data name them."""
    documents = [dataset.documents[row] for row in range(min(job["documents"], len(dataset.documents)))]
    tokens = int(batching.lengths(encoder.tokenize_documents(documents)).sum())
    return {"documents": documents, "tokens": [tokens], "prompts": list(encoder.prompts)}


WORKS = {
    "distillation": distillation_steps,
    "teacher": teacher_steps,
    "scoring": scored_pairs,
    "encoding": encoded_documents,
}


def linear_weights(model: nn.Module) -> int:
    """Weights of the linear layers that every token passes."""
    return sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and not any(head in name.split(".") for head in HEADS)
    )


def options_of(kind: type, values: dict[str, Any], changes: dict[str, Any]) -> Any:
    """Options from a file, changed by those of a command line."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return from_mapping(kind(**values), changes, where="--ours")


if __name__ == "__main__":
    with torch.random.fork_rng():
        main()
