"""A small data version whose relevance can be learned: the positive repeats the query's word."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.app.config import DistillationOptions

TOPICS = """
    file list sort set map tree graph query key value red blue green json network socket
""".split()  # noqa: SIM905


@pytest.fixture
def data_root(tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]) -> Path:
    root = tmp_path / "preprocessed"
    for split, words in (("train", TOPICS[:12]), ("valid", TOPICS[12:]), ("test", TOPICS[8:])):
        rows = [["query", "positive", "negative"]]
        rows += [[f"how to {word}", f"returns the {word}", f"error in {TOPICS[n]}"] for n, word in enumerate(words)]
        write_csv(root / "tiny" / f"{split}.csv", rows)
    return root


def as_pairs(data_root: Path, split: str, further: list[list[str]]) -> None:
    """Write a file of the data version as labelled pairs, and further rows (query, passage, label) behind them."""
    path = data_root / "tiny" / f"{split}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        triplets = list(csv.reader(file))[1:]
    rows = [[query, text, label] for query, *texts in triplets for text, label in zip(texts, "10", strict=True)]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["query", "passage", "label"], *rows, *further])


def distillation_options(data_root: Path, teacher: Path, student: Path, **changes: object) -> DistillationOptions:
    """Options of a short distillation of tiny models over ``data_root``, by the contract's literal recipe."""
    settings = {
        "data_version": "tiny",
        "data_root": str(data_root),
        "teacher_path": str(teacher),
        "output_dir": str(data_root.parent / "student"),
        "student_name": str(student),
        "epochs": 2,
        "batch_size": 4,
        "K": 5,
        "lr": 1e-3,
        "max_len": 32,
        "weak_teacher": "teacher",  # the tiny one is random: it finds all documents alike
        "max_negative_ratio": None,
        "tau": 0.2,
        "contrastive_weight": 0.3,
        "negative_penalty_weight": 0.4,
        "info_nce_weight": 0.0,
        "in_batch": "never",
        "miners": ("labelled", "random"),
        "choice": "random",
        "merge_with_start": (),
        "weak_student": "trained",  # what training does is looked at, not whether it helped
        **changes,
    }
    return DistillationOptions(**settings)


@pytest.fixture
def wide(data_root: Path, write_csv: Callable[[Path, list[list[str]]], Path]) -> Path:
    """``corpus.csv`` with 30 documents, some of which BM25 finds for the validation queries."""
    words = ["json", "network", "socket", "blue"]
    rows = [["document"], ["Returns  the JSON"], *[[f"{words[n % 4]} thread {n}"] for n in range(30)]]
    write_csv(data_root / "tiny" / "corpus.csv", rows)
    return data_root
