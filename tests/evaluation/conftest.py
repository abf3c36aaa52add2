"""One small labelled file and a second encoder that stands for the untouched base model."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import bert_config, write_tokenizer

TEXT = "file list set map tree graph query key value red blue green 서울 부산 날씨 음식 역사 과학 number string"
TOPICS = TEXT.split()


def rows(*, negatives: bool) -> list[list[str]]:
    """24 queries with one to three graded positives and, if wished, no to two labelled negatives."""
    random = np.random.default_rng(5)
    found = []
    for number in range(24):
        words = [TOPICS[place] for place in random.choice(len(TOPICS), 4, replace=False)]
        query = f"how to {' '.join(words)} {number}"
        for place in range(1 + number % 3):
            label = (1.0, 0.8, 0.6)[place]
            found.append([query, f"{' '.join(words[place:])} of the {number} {place}", str(label)])
        for place in range(number % 3 if negatives else 0):
            found.append([query, f"{words[place]} in {TOPICS[(number * 7 + place) % 20]} is {number} {place}", "0"])
    return found


def write(path: Path, *, negatives: bool = True) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["query", "passage", "label"], *rows(negatives=negatives)])
    return path


@pytest.fixture
def test_file(tmp_path: Path) -> Path:
    return write(tmp_path / "test.csv")


@pytest.fixture(scope="session")
def other_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertModel

    folder = tmp_path_factory.mktemp("other-encoder")
    torch.manual_seed(7)
    BertModel(bert_config()).save_pretrained(folder)
    write_tokenizer(folder)
    return folder
