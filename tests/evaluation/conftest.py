"""One small labelled file and a second encoder that stands for the base model."""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bistill.app.commands.evaluate import evaluate
from bistill.app.config import EvaluationOptions
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import load_split
from bistill.models.bi_encoder import BiEncoder
from bistill.models.calibration import Calibration
from bistill.models.files import calibration_file
from tests.conftest import bert_config, pin_products, write_tokenizer

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


def brute_force(model: Path | str, test_data: Path | str) -> tuple[np.ndarray, Dataset]:
    """Cosines of every query and document, (queries, documents), and the data."""
    dataset = load_split(test_data)
    encoder = BiEncoder.load(str(model))
    vectors = encoder.encode_queries(list(dataset.queries)), encoder.encode_documents(list(dataset.documents))
    return vectors[0] @ vectors[1].T, dataset


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of everything at once: its options, its report, and the line beside its student."""

    options: EvaluationOptions
    result: dict[str, Any]
    line: Calibration

    def file(self, name: str) -> Path:
        return Path(self.options.output_dir) / name


def hostile(path: Path) -> Path:
    """Rows of Korean and English whose texts would act in a careless page."""
    lines = [["query", "positive", "negative"]]
    for number, word in enumerate(("서울", "부산", "red", "blue", "tree")):
        query = f"<script>alert({number})</script> {word} 날씨는 '어때\"?"
        lines.append(
            [query, f"{word} 음식 &amp; <img src=x onerror=alert(1)> {number}", f"</dd><b>error</b> in {word}"]
        )
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(lines)
    return path


@pytest.fixture(scope="session")
def everything(
    tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, other_encoder: Path, tiny_teacher: Path
) -> Evaluated:
    """A student with a calibration, beside base, BM25, teacher, a second student and a data set not trained on."""
    folder = tmp_path_factory.mktemp("everything")
    line = Calibration(a=30.0, b=-28.5)
    shutil.copytree(tiny_encoder, folder / "student")
    calibration_file.write(folder / "student", line)
    options = EvaluationOptions(
        model_path=str(folder / "student"),
        base_model=str(other_encoder),
        teacher_path=str(tiny_teacher),
        compare_with=str(tiny_encoder),
        test_data=str(write(folder / "test.csv")),
        forgetting_data=(str(hostile(folder / "<i>other.csv")),),
        output_dir=str(folder / "results"),
        rerank_depth=5,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BISTILL_CACHE", str(folder / "cache"))
        pin_products(folder / "cache")
        return Evaluated(options, evaluate(options), line)


def judged_and_ranked(
    cosines: np.ndarray, dataset: Any
) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Gains of the positives, and every document's cosine, as ir_measures takes them."""
    qrels = {
        str(record.query_id): {
            str(document): round(100 * label)
            for document, label in zip(record.positives, record.positive_labels, strict=True)
        }
        for record in dataset
    }
    run = {
        str(row): {str(place): float(value) for place, value in enumerate(cosines[row])} for row in range(len(cosines))
    }
    return qrels, run
