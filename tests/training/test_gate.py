"""Teacher and untouched student over the same lists, by an independent loop; what happens where the teacher is weak."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.candidates.teacher_scores.cache import ScoreCache, digest
from bistill.candidates.teacher_scores.teachers import Teachers, imported_identity
from bistill.config import DistillationOptions
from bistill.data.corpus import Corpus
from bistill.data.dataset import Dataset
from bistill.data.store import load_split
from bistill.data.version import corpus_of
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.errors import ModelError
from bistill.journal import read
from bistill.training import gate
from bistill.training.distillation import train
from bistill.training.hard_lists import hard_lists
from tests.training.test_distillation import options


def valid_of(made: DistillationOptions) -> tuple[Dataset, Corpus]:
    valid = load_split(Path(made.data_root) / "tiny" / "valid.csv")
    return valid, corpus_of(made, valid)


def measured(made: DistillationOptions) -> dict[str, Any] | None:
    valid, corpus = valid_of(made)
    student = BiEncoder.load(made.student_name, max_len=made.max_len)
    with Teachers.open(made.teacher_path, made, "fp32") as teachers:
        return gate.measure(teachers, student, valid, corpus, hard_lists(valid, corpus, made))


def ndcg(scores: list[float], positives: int) -> float:
    """nDCG@10 of a list whose first documents are the positives, all of gain 1."""
    order = sorted(range(len(scores)), key=lambda place: -scores[place])[:10]
    ideal = sum(1 / math.log2(rank + 2) for rank in range(positives))
    return sum(1 / math.log2(rank + 2) for rank, place in enumerate(order) if place < positives) / ideal


def auc(positive: list[float], negative: list[float]) -> float:
    return float(np.mean([(p > n) + 0.5 * (p == n) for p in positive for n in negative]))


def test_figures_are_those_of_an_independent_loop(wide: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    made = options(wide, tiny_teacher, tiny_encoder)
    valid, corpus = valid_of(made)
    figures = measured(made)
    assert figures is not None and (figures["queries"], figures["documents"]) == (4, 20)
    cross, student = CrossEncoder.load(str(tiny_teacher)), BiEncoder.load(str(tiny_encoder), max_len=32)
    by_role: dict[str, list[list[float]]] = {"teacher": [], "student": []}
    for item in hard_lists(valid, corpus, made):
        query, texts = valid.queries[item.query_id], corpus.take(item.documents)
        by_role["teacher"].append(cross.score([(query, text) for text in texts]).tolist())
        by_role["student"].append((student.encode_documents(texts) @ student.encode_queries([query])[0]).tolist())
    for role, lists in by_role.items():
        assert figures[role]["rerank_ndcg_at_10"] == pytest.approx(np.mean([ndcg(own, 1) for own in lists]), abs=1e-6)
        expected = auc([own[0] for own in lists], [score for own in lists for score in own[1:]])
        assert figures[role]["auc"] == pytest.approx(expected, abs=1e-6)
    teacher, start = (tuple(figures[role].values()) for role in ("teacher", "student"))
    assert figures["leads"] is (teacher > start)


def test_fewer_validation_queries_are_measured_where_asked(wide: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    figures = measured(options(wide, tiny_teacher, tiny_encoder, valid_samples=2))
    assert figures is not None and figures["queries"] == 2


def figures_of(teacher: tuple[float, float], student: tuple[float, float]) -> dict[str, Any]:
    names = ("rerank_ndcg_at_10", "auc")
    own = {
        "teacher": dict(zip(names, teacher, strict=True)),
        "student": dict(zip(names, student, strict=True)),
    }
    return {"queries": 7, **own, "leads": teacher > student}


def test_a_leading_teacher_passes(capsys: pytest.CaptureFixture[str]) -> None:
    for student in ((0.7, 0.9), (0.8, 0.85)):
        gate.check(figures_of((0.8, 0.9), student), allow_weak_teacher=False)
    said = capsys.readouterr().err
    assert "7 validation queries: teacher nDCG@10 0.8000, AUC 0.9000; untouched student nDCG@10 0.7000, AUC 0.9" in said
    assert "does not lead" not in said


def test_a_weak_teacher_stops_with_figures_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    weak = figures_of((0.8, 0.85), (0.8, 0.9))
    with pytest.raises(ModelError) as caught:
        gate.check(weak, allow_weak_teacher=False)
    message = str(caught.value)
    assert "ranks no better than the untouched student: teacher nDCG@10 0.8000, AUC 0.8500; untouched" in message
    assert "--allow_weak_teacher" in caught.value.todo and "--model_name" in caught.value.todo
    gate.check(weak, allow_weak_teacher=True)
    assert "the teacher does not lead: its student may end up worse than it starts" in capsys.readouterr().err


def test_a_weak_teacher_stops_the_run_before_anything_is_trained(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, allow_weak_teacher=False)
    with pytest.raises(ModelError, match="ranks no better than the untouched student"):
        train(made)
    events = {item["event"]: item for item in read(Path(made.output_dir) / "journal.jsonl")}
    assert set(events) == {"start", "data", "gate", "end"} and events["end"]["status"] == "failed"
    assert events["gate"]["figures"] == measured(made) and not events["gate"]["figures"]["leads"]
    assert not (Path(made.output_dir) / "model.safetensors").exists()


def test_figures_are_kept_beside_the_model(data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, epochs=1)
    record = train(made)
    (event,) = [item for item in read(Path(made.output_dir) / "journal.jsonl") if item["event"] == "gate"]
    written = json.loads((Path(made.output_dir) / "bistill.json").read_text())
    assert written["teacher_gate"] == record["teacher_gate"] == event["figures"] == measured(made)


def test_imported_scores_without_validation_pairs_leave_the_gate_out(
    data_root: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = options(data_root, Path("scores:bought"), tiny_encoder)
    valid, _ = valid_of(made)
    with ScoreCache.open(imported_identity("bought")) as cache:
        cache.put(cache.keys([digest("q")], [digest("d")]), np.array([1.0]))
        assert measured(made) is None
        assert "the teacher gate is left out" in capsys.readouterr().err
        pairs = [(valid.queries[2], text) for text in valid.documents]
        logits = np.array([4.0 if number in valid[2].positives else -number for number in range(len(pairs))])
        cache.put(cache.keys([digest(q) for q, _ in pairs], [digest(d) for _, d in pairs]), logits)
    figures = measured(made)
    assert figures is not None and figures["queries"] == 1
    assert figures["teacher"] == {"rerank_ndcg_at_10": 1.0, "auc": 1.0}
