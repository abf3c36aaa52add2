"""The same work by a script for sentence-transformers: score all candidates, train on the lists, save.

python benchmarks/speed/end_to_end_peer.py LISTS SETTINGS

LISTS is what ``end_to_end_ours.py`` wrote; SETTINGS are JSON. Scores are kept in memory, and nothing is validated.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from datasets import Dataset
from peer_sentence_transformers import InOrder, reduced
from sentence_transformers import (
    CrossEncoder,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss
from turn import attention


def main() -> None:
    """Score and train."""
    given, settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), json.loads(sys.argv[2])
    started = time.perf_counter()
    teacher = CrossEncoder(
        settings["teacher"], max_length=settings["max_len"], model_kwargs=attention() | reduced(settings)
    )
    pairs = list(dict.fromkeys(map(tuple, given["pairs"])))
    scores = teacher.predict(pairs, activation_fn=torch.nn.Sigmoid(), show_progress_bar=False)
    score_of = dict(zip(pairs, scores.tolist(), strict=True))
    del teacher
    print(json.dumps({"teacher_seconds": time.perf_counter() - started, "pairs": len(pairs)}), flush=True)
    rows = [
        {"query": query, "positive": documents[0]}
        | {f"negative_{number}": text for number, text in enumerate(documents[1:], start=1)}
        | {"label": [score_of[query, text] for text in documents]}
        for update in given["updates"]
        for query, documents in update
    ]
    student = SentenceTransformer(settings["student"], model_kwargs=attention())
    student.max_seq_length = settings["max_len"]
    loss = DistillKLDivLoss(student, student_temperature=2 * settings["tau"], teacher_temperature=settings["tau"])
    arguments = SentenceTransformerTrainingArguments(
        output_dir=settings["output"],
        per_device_train_batch_size=settings["batch_size"],
        max_steps=len(given["updates"]),
        warmup_steps=0.1,
        learning_rate=settings["lr"],
        weight_decay=0.01,
        bf16=settings["precision"] == "bf16",
        use_cpu=not torch.cuda.is_available(),  # it refuses bf16 on a CPU otherwise
        batch_sampler=InOrder,
        report_to="none",
        disable_tqdm=True,
    )
    SentenceTransformerTrainer(model=student, args=arguments, train_dataset=Dataset.from_list(rows), loss=loss).train()
    student.save_pretrained(settings["output"])


if __name__ == "__main__":
    main()
