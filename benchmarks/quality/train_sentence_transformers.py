"""A recipe of sentence-transformers by its own trainer, on the lists of the updates of ours.

python benchmarks/quality/train_sentence_transformers.py JOB

The trainer's settings are those of the recipe, and defaults; the batches are given. The weights kept are the last, or
with ``peers_keep`` "best" those with the best nDCG@10 of its ``InformationRetrievalEvaluator`` over the validation
lists of ours, measured before the first update and after each epoch, as ours is.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.sentence_transformer.losses import (
    DistillKLDivLoss,
    MarginMSELoss,
    MultipleNegativesRankingLoss,
)

FIGURE = "valid_cosine_ndcg@10"
Update = dict[str, Any]
Rows = list[dict[str, Any]]
Training = tuple[Rows, torch.nn.Module]


class Given(DefaultBatchSampler):
    """The rows in their order, in batches of the updates' sizes: the last one of an epoch may be smaller."""

    sizes: ClassVar[list[int]] = []

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[list[int]]:
        """Row numbers of each batch."""
        ends = np.cumsum([0, *self.sizes]).tolist()
        return (list(range(*ends[number : number + 2])) for number in range(len(self.sizes)))


def main() -> None:
    """Train and write the model, and what the training says of itself."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    prepared, output = Path(job["prepared"]), Path(job["output"])
    facts = json.loads((prepared / "prepared.json").read_text(encoding="utf-8"))
    with (prepared / "lists.jsonl").open(encoding="utf-8") as file:
        updates = [json.loads(line) for line in file]
    model = SentenceTransformer(job["start"])
    rows, loss = LOSSES[job["options"]["loss"]](model, updates, job["options"])
    prompts = {name: facts["prompts"][name != "query"] for name in rows[0] if name != "label"}
    settings = arguments(job, output / "trainer", updates, facts)
    settings["prompts"] = prompts if any(prompts.values()) else None
    evaluator = first = None
    if job["peers_keep"] == "best":
        evaluator = validation(prepared, facts["prompts"])
        first = evaluator(model)[FIGURE]
    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(**settings),
        train_dataset=Dataset.from_list(rows),
        loss=loss,
        evaluator=evaluator,
    )
    trainer.train()
    notes = ["best of its validation" if evaluator else "last weights"]
    if first is not None and trainer.state.best_metric <= first:
        model, notes = SentenceTransformer(job["start"]), ["no epoch was better than the base model"]
    model.save_pretrained(str(output))
    shutil.rmtree(output / "trainer", ignore_errors=True)
    (output / "facts.json").write_text(json.dumps({"updates": trainer.state.global_step, "notes": notes}))


def ranking(model: SentenceTransformer, updates: list[Update], options: dict[str, Any]) -> Training:
    """(query, positive, negative), all others of the batch as negatives, too."""
    rows = [
        {"query": query, "positive": documents[0], "negative": documents[1]}
        for update in updates
        for query, documents in zip(update["queries"], update["documents"], strict=True)
    ]
    return rows, MultipleNegativesRankingLoss(model, scale=options["scale"])


def margin(model: SentenceTransformer, updates: list[Update], options: dict[str, Any]) -> Training:
    """(query, positive, negative) with the difference of the teacher's scores; the negative's place goes round."""
    rows: Rows = []
    for query, documents, logits in lists_of(updates):
        scores = 1 / (1 + np.exp(-np.array(logits))) if options["scores"] == "relevance" else logits
        place = 1 + len(rows) % (len(documents) - 1)
        texts = {"query": query, "positive": documents[0], "negative": documents[place]}
        rows.append({**texts, "label": float(scores[0] - scores[place])})
    return rows, MarginMSELoss(model)


def listwise(model: SentenceTransformer, updates: list[Update], options: dict[str, Any]) -> Training:
    """(query, positive, negatives) with the teacher's logits; "spread" is their mean standard deviation in a list."""
    rows: Rows = []
    for query, documents, logits in lists_of(updates):
        negatives = {f"negative_{number}": text for number, text in enumerate(documents[1:], start=1)}
        rows.append({"query": query, "positive": documents[0], **negatives, "label": logits})
    teacher = options["teacher_temperature"]
    if teacher == "spread":
        teacher = float(np.mean([np.std(row["label"]) for row in rows]))
    student = options["student_temperature"]
    return rows, DistillKLDivLoss(model, student_temperature=student, teacher_temperature=teacher)


LOSSES = {"mnrl": ranking, "margin_mse": margin, "distill_kl": listwise}


def lists_of(updates: list[Update]) -> Iterator[tuple[str, list[str], list[float]]]:
    """Query, documents and logits of every list, in the order of training."""
    for update in updates:
        yield from zip(update["queries"], update["documents"], update["logits"], strict=True)


def arguments(job: dict[str, Any], folder: Path, updates: list[Update], facts: dict[str, Any]) -> dict[str, Any]:
    """Of the trainer."""
    Given.sizes = [len(update["queries"]) for update in updates]
    keeping: dict[str, Any] = {"save_strategy": "no"}
    if job["peers_keep"] == "best":
        every = {"eval_steps": facts["updates_of_an_epoch"], "save_steps": facts["updates_of_an_epoch"]}
        keeping = {"eval_strategy": "steps", "save_strategy": "steps", **every, "save_total_limit": 1}
        keeping |= {"load_best_model_at_end": True, "metric_for_best_model": f"eval_{FIGURE}"}
        keeping |= {"greater_is_better": True}
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": job["common"]["batch_size"],
        "max_steps": len(updates),
        "learning_rate": job["options"]["lr"],
        "warmup_steps": job["options"]["warmup"],  # below 1: a share of the steps
        "seed": job["seed"],
        "bf16": job["common"]["precision"] == "bf16",
        "use_cpu": not torch.cuda.is_available(),  # it refuses bf16 on a CPU otherwise
        "batch_sampler": Given,
        "report_to": "none",
        "disable_tqdm": True,
        **keeping,
    }


def validation(prepared: Path, prompts: list[str]) -> InformationRetrievalEvaluator:
    """Its evaluator over the validation lists of ours."""
    given = json.loads((prepared / "validation.json").read_text(encoding="utf-8"))
    relevant = {query: set(documents) for query, documents in given["relevant"].items()}
    own = {"query_prompt": prompts[0] or None, "corpus_prompt": prompts[1] or None}
    return InformationRetrievalEvaluator(
        given["queries"], given["corpus"], relevant, name="valid", write_csv=False, **own
    )


if __name__ == "__main__":
    main()
