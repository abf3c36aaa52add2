"""FlagEmbedding's trainer for encoders over given lists in given updates; only its own Python can import this."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from FlagEmbedding.finetune.embedder.encoder_only.base import (
    EncoderOnlyEmbedderDataArguments,
    EncoderOnlyEmbedderModelArguments,
    EncoderOnlyEmbedderRunner,
    EncoderOnlyEmbedderTrainingArguments,
)

POOLING = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean", "pooling_mode_lasttoken": "last_token"}


def runner_of(given: dict[str, Any], folder: Path, *, in_batch: bool, **training: Any) -> EncoderOnlyEmbedderRunner:
    """A runner that has model and data, and whose trainer does the updates in their order.

    Args:
        given: ``model`` (folder), ``batches`` (``queries``, ``documents`` and ``scores`` of each update), ``max_len``,
            ``prompts`` (of queries, of documents), ``pooling``, ``batch_size``, ``planned_steps``, ``precision``.
        folder: for its files.
        in_batch: whether the documents of a batch are candidates of all its queries.
        training: further arguments of the trainer.
    """
    runner = EncoderOnlyEmbedderRunner(
        EncoderOnlyEmbedderModelArguments(model_name_or_path=given["model"]),
        _data_arguments(given, folder, in_batch),
        _training_arguments(given, folder / "output", training),
    )
    # Its order of batches is shuffled; it draws the order of a list's negatives, which no loss of one list sees.
    ends = np.cumsum([0, *(len(batch["queries"]) for batch in given["batches"])])
    places = [np.arange(*ends[number : number + 2]) for number in range(len(given["batches"]))]
    runner.train_dataset.batch_datas = [(rows, not in_batch) for rows in places]
    return runner


def _data_arguments(given: dict[str, Any], folder: Path, in_batch: bool) -> EncoderOnlyEmbedderDataArguments:
    """Lists in its format; the name of the file says whether a query's own documents alone are its candidates."""
    file = folder / ("lists.jsonl" if in_batch else "lists_no_in_batch_neg.jsonl")
    with file.open("w", encoding="utf-8") as target:
        for batch in given["batches"]:
            for query, documents, scores in zip(batch["queries"], batch["documents"], batch["scores"], strict=True):
                row = {"query": query, "pos": documents[:1], "neg": documents[1:]}
                target.write(json.dumps({**row, "pos_scores": scores[:1], "neg_scores": scores[1:]}) + "\n")
    return EncoderOnlyEmbedderDataArguments(
        train_data=[str(file)],
        cache_path=str(folder / "cache"),
        train_group_size=len(given["batches"][0]["documents"][0]),
        query_max_len=given["max_len"],
        passage_max_len=given["max_len"],
        query_instruction_for_retrieval=given["prompts"][0],
        passage_instruction_for_retrieval=given["prompts"][1],
        knowledge_distillation=True,
        same_dataset_within_batch=True,
    )


def _training_arguments(
    given: dict[str, Any], folder: Path, training: dict[str, Any]
) -> EncoderOnlyEmbedderTrainingArguments:
    """Its defaults, but for what is given, no reports and no saving."""
    return EncoderOnlyEmbedderTrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=given["batch_size"],
        max_steps=given["planned_steps"],
        bf16=given["precision"] == "bf16",
        use_cpu=not torch.cuda.is_available(),  # it refuses bf16 on a CPU otherwise
        sentence_pooling_method=POOLING[given["pooling"]],
        normalize_embeddings=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **training,
    )
