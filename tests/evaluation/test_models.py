from __future__ import annotations

import json
from pathlib import Path

import pytest

from bistill import cache_folder
from bistill.evaluation import models, separation
from bistill.evaluation.evaluate import evaluate
from bistill.evaluation.settings import Beside
from bistill.models.bi_encoder import BiEncoder


def test_the_base_is_read_as_the_training_was_told_and_a_model_that_is_named_as_it_says_itself(tmp_path: Path) -> None:
    told = {"query_prompt": "find: ", "document_prompt": "", "pooling": "cls", "epochs": 3}
    student = str(tmp_path)
    (tmp_path / "bistill.json").write_text(json.dumps({"base_model": "owner/start", "options": told}))
    base, *_ = models.companions(student, Beside())
    assert models.base_reading(base, student) == {
        "query_prompt": "find: ",
        "document_prompt": "",
        "pooling_name": "cls",
    }
    base, *_ = models.companions(student, Beside(base=student))
    assert set(models.base_reading(base, student).values()) == {None}
    (tmp_path / "bistill.json").write_text(json.dumps({"base_model": "owner/start", "options": {"max_len": 32}}))
    base, *_ = models.companions(student, Beside())  # of a student that was made before there were these options
    assert set(models.base_reading(base, student).values()) == {None}


def test_vectors_of_what_stands_beside_a_student_are_kept_and_those_of_the_student_are_not(
    tmp_path: Path, tiny_encoder: Path, other_encoder: Path, test_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(separation, "cuts", lambda *_: {"labelled_negatives": None, "random_negatives": None})
    beside = Beside(base=str(other_encoder), bm25=False, rerank_depth=0)
    first = evaluate(str(tiny_encoder), test_file, beside=beside).result
    assert len(list((cache_folder.cache_dir() / "index").iterdir())) == 1
    encoded: list[str] = []
    encode = BiEncoder.document_windows
    monkeypatch.setattr(
        BiEncoder,
        "document_windows",
        lambda self, *rest, **more: (encoded.append(self.source), encode(self, *rest, **more))[1],
    )
    second = evaluate(str(tiny_encoder), test_file, beside=beside).result
    assert second == first
    assert encoded == []  # the base's were found; the student's go through encode_documents
