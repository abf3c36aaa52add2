from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bistill.candidates.lists import for_distillation
from bistill.candidates.teacher_scores import TeacherScores
from bistill.data.store import load_split
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.errors import ModelError

Writer = Callable[[Path, list[list[str]]], Path]


def rows() -> list[list[str]]:
    return [["query", "positive", "negative"], *([f"sort {n}", f"list {n}", f"tree {n}"] for n in range(6))]


def test_every_pair_is_scored_once_and_found_again(
    tmp_path: Path, write_csv: Writer, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = load_split(write_csv(tmp_path / "train.csv", rows()))
    teacher = CrossEncoder.load(str(tiny_teacher))
    asked: list[tuple[str, str]] = []
    score = teacher.score
    monkeypatch.setattr(teacher, "score", lambda pairs, **settings: asked.extend(pairs) or score(pairs, **settings))
    lists = [for_distillation(dataset, query, size=5, seed=0, epoch=epoch) for epoch in range(4) for query in range(6)]
    scores = TeacherScores.compute(teacher, dataset, lists)
    assert scores.requested == 4 * 6 * 5
    assert scores.scored == len(asked) == len(set(asked)) < scores.requested
    for item in lists:
        pairs = [(dataset.queries[item.query_id], dataset.documents[document]) for document in item.documents]
        expected = torch.sigmoid(torch.tensor(score(pairs))).numpy()
        np.testing.assert_allclose(scores.of(item), expected, atol=1e-6)
    with pytest.raises(KeyError, match="no teacher score for query 0"):
        scores.of(for_distillation(dataset, 0, size=12, seed=9, epoch=0))


def test_a_teacher_that_gives_nan_is_named_with_the_pair(tmp_path: Path, write_csv: Writer, tiny_teacher: Path) -> None:
    dataset = load_split(write_csv(tmp_path / "train.csv", rows()))
    teacher = CrossEncoder.load(str(tiny_teacher))
    with torch.no_grad():
        teacher.model.classifier.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match=r"gives a score that is no number\n  found: \('sort 0', 'list 0'\)"):
        TeacherScores.compute(teacher, dataset, [for_distillation(dataset, 0, size=2, seed=0, epoch=0)])
