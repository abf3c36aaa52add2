"""A small data version with labels, equal texts and further documents, and options over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bistill.app.config import CandidatesOptions
from bistill.candidates.scores.cache import ScoreCache, digest
from bistill.candidates.scores.teachers import imported_identity
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import load_documents, load_split

WORDS = ["file", "list", "sort", "set", "map", "tree", "graph", "key", "red", "blue"]


@dataclass(frozen=True)
class Small:
    """Queries 0..9 with a positive ``returns the WORD``; the first six with a labelled negative ``error in WORD``, and
    query 0 with a second positive. ``corpus.csv`` adds four documents, the first of which equals query 1's positive
    but for case and white space."""

    root: Path
    dataset: Dataset
    valid: Dataset
    corpus: Corpus

    @property
    def collection(self) -> Collection:
        return Collection(self.dataset, self.corpus)

    def options(self, teacher: Path | str, student: Path | str = "", **changes: object) -> CandidatesOptions:
        settings = {
            "data_root": str(self.root),
            "data_version": "small",
            "output_dir": str(self.root.parent / "candidates"),
            "teacher_path": str(teacher),
            "student_name": str(student),
            "K": 4,
            "max_len": 32,
            "epochs": 2,
            "score_batch_size": 8,
            "max_negative_ratio": None,
            "miners": ("labelled", "random"),
            **changes,
        }
        return CandidatesOptions(**settings)  # type: ignore[arg-type]

    def id(self, text: str) -> int:
        """The document of a text."""
        return list(self.corpus).index(text)


@pytest.fixture
def small(tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]) -> Small:
    folder = tmp_path / "preprocessed" / "small"
    rows = [["query", "passage", "label"], ["how to file", "open the file", "1"]]
    for number, word in enumerate(WORDS):
        rows.append([f"how to {word}", f"returns the {word}", "1"])
        if number < 6:
            rows.append([f"how to {word}", f"error in {word}", "0"])
    train = load_split(write_csv(folder / "train.csv", rows))
    rows = [["query", "positive", "negative"]]
    rows += [[f"how to {word}", f"value {word}", f"string {word}"] for word in ("json", "network", "socket", "thread")]
    valid = load_split(write_csv(folder / "valid.csv", rows))
    extra = ["Returns  THE list", "parse json", "서울 날씨", "slow tree"]
    write_csv(folder / "corpus.csv", [["document"], *[[text] for text in extra]])
    corpus = Corpus(train.documents, load_documents(folder / "corpus.csv"))
    return Small(tmp_path / "preprocessed", train, valid, corpus)


def import_scores(name: str, logits: dict[tuple[str, str], float]) -> str:
    """Put logits of (query, document) pairs into the cache as the teacher that is returned."""
    with ScoreCache.open(imported_identity(name)) as cache:
        keys = cache.keys([digest(query) for query, _ in logits], [digest(document) for _, document in logits])
        cache.put(keys, np.array(list(logits.values()), dtype=np.float32))
    return f"scores:{name}"
