"""A recipe of FlagEmbedding by its own trainer, on the lists of the updates of ours; run by its own Python.

python benchmarks/quality/train_flag_embedding.py JOB

``m3_kd_loss`` is defined for in-batch negatives alone. The weights kept are the last: it has no validation.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from flag_embedding import runner_of


def main() -> None:
    """Train; the model is the start model's directory with other weights."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    output, options = Path(job["output"]), job["options"]
    with tempfile.TemporaryDirectory() as folder:
        runner = runner_of(
            lists_of(job),
            Path(folder),
            in_batch=True,
            learning_rate=options["lr"],
            warmup_steps=options["warmup"],  # below 1: a share of the steps
            temperature=options["temperature"],
            kd_loss_type=options["kd_loss_type"],
            seed=job["seed"],
        )
        runner.trainer.train()
    shutil.copytree(job["start"], output)
    runner.model.save(str(output))
    facts = {"updates": runner.trainer.state.global_step, "notes": ["last weights"]}
    (output / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def lists_of(job: dict[str, Any]) -> dict[str, Any]:
    """What the trainer needs to know of lists and model; the teacher's scores are its logits."""
    prepared = Path(job["prepared"])
    facts = json.loads((prepared / "prepared.json").read_text(encoding="utf-8"))
    with (prepared / "lists.jsonl").open(encoding="utf-8") as file:
        updates = [json.loads(line) for line in file]
    names = ("max_len", "batch_size", "precision")
    return {
        "model": job["start"],
        "batches": [{**update, "scores": update["logits"]} for update in updates],
        "planned_steps": len(updates),
        **{name: facts[name] for name in ("prompts", "pooling")},
        **{name: job["common"][name] for name in names},
    }


if __name__ == "__main__":
    main()
