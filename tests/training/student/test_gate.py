"""Teacher and base model over the same lists, by an independent loop; what happens where the teacher is weak."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.app import assembling
from bistill.app.assembling import version
from bistill.app.commands.distill import train
from bistill.app.config import DistillationOptions
from bistill.candidates.lists import CandidateList
from bistill.candidates.mining.registry import RANDOM_BIT
from bistill.candidates.scores.cache import ScoreCache, digest
from bistill.candidates.scores.scoring import Scored
from bistill.candidates.scores.teachers import imported_identity
from bistill.data.store.collection import Collection
from bistill.data.store.opening import load_split
from bistill.errors import ModelError
from bistill.journal import read
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.training import hard_lists as hard
from bistill.training.student import gate
from bistill.training.validation import ValidationLists
from tests.assembled import hard_lists_of, opened
from tests.training.conftest import distillation_options as options


def valid_of(made: DistillationOptions) -> Collection:
    valid = load_split(Path(made.data_root) / "tiny" / "valid.csv")
    return version(made).collection(valid)


def measured(made: DistillationOptions, most: int = 500) -> dict[str, Any] | None:
    collection = valid_of(made)
    student = BiEncoder.load(made.student_name, max_len=made.max_len)
    with opened(made.teacher_path, made) as teachers:
        lists = hard_lists_of(collection, made)
        return gate.measure(teachers, student, collection, lists, most=most, seed=made.seed)


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
    for item in hard_lists_of(Collection(valid, corpus), made):
        query, texts = valid.queries[item.query_id], corpus.take(item.documents)
        by_role["teacher"].append(cross.score([(query, text) for text in texts]).tolist())
        by_role["student"].append((student.encode_documents(texts) @ student.encode_queries([query])[0]).tolist())
    for role, lists in by_role.items():
        assert figures[role]["rerank_ndcg_at_10"] == pytest.approx(np.mean([ndcg(own, 1) for own in lists]), abs=1e-6)
        expected = auc([own[0] for own in lists], [score for own in lists for score in own[1:]])
        assert figures[role]["auc"] == pytest.approx(expected, abs=1e-6)
    differences = [
        ndcg(first, 1) - ndcg(second, 1) for first, second in zip(by_role["teacher"], by_role["student"], strict=True)
    ]
    assert figures["difference"]["value"] == pytest.approx(np.mean(differences), abs=1e-6)
    # Four queries decide nothing, whatever they say.
    assert (figures["pairs"], figures["verdict"], figures["leads"]) == (80, "undecided", True)
    assert figures["confidence"] == pytest.approx(0.95)


def test_fewer_validation_queries_are_measured_where_asked(wide: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    made = options(wide, tiny_teacher, tiny_encoder)
    few = measured(options(wide, tiny_teacher, tiny_encoder, valid_samples=2))
    assert few is not None and few["queries"] == 2
    assert few == measured(made, most=2)  # the first two in turn, whatever --valid_samples is


@pytest.mark.parametrize(
    ("most", "expected"),
    [(500, [31, 62, 125, 250, 500]), (40, [20, 40]), (39, [39]), (10, [10]), (1, [1])],
)
def test_looks_double_from_at_least_twenty_queries_to_the_most(most: int, expected: list[int]) -> None:
    assert gate.looks(most) == expected


def asked(count: int) -> ValidationLists:
    """One relevant document of four in each list."""
    negatives = {1: RANDOM_BIT, 2: RANDOM_BIT, 3: RANDOM_BIT}
    lists = [CandidateList.unscored(query, (0,), negatives, (1.0, 0.0, 0.0, 0.0)) for query in range(count)]
    return ValidationLists(["q"] * count, ["a", "b", "c", "d"], lists)


def ranked(places: list[int]) -> list[np.ndarray]:
    """Scores by which the relevant document of each list stands at a place, counted from 1."""
    return [np.array([-place + 0.5, -1.0, -2.0, -3.0]) for place in places]


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        ([1] * 6, [2] * 6, "leads"),
        ([2] * 6, [1] * 6, "weak"),
        ([2] * 5, [1] * 5, "undecided"),  # five of five: 1 in 16 by chance
        ([1] * 30, [1] * 30, "undecided"),  # identical, 1.0 and 1.0
        ([3] * 30, [3] * 30, "undecided"),
        ([2] * 2 + [1] * 98, [1] * 100, "undecided"),  # lower, but not beyond chance
        ([2] * 12 + [1] * 88, [1] * 100, "weak"),
        ([1, 2, 3, 4] * 5, [2, 1, 4, 3] * 5, "undecided"),
    ],
)
def test_a_verdict_needs_an_interval_on_one_side_of_zero(teacher: list[int], student: list[int], expected: str) -> None:
    found = gate.judged(asked(len(teacher)), ranked(teacher), ranked(student), 0.95, seed=0)
    assert found.verdict == expected
    worth = {place: 1 / math.log2(place + 1) for place in range(1, 5)}
    mean = np.mean([worth[first] - worth[second] for first, second in zip(teacher, student, strict=True)])
    assert found.difference.value == pytest.approx(mean)
    assert found.difference.low <= found.difference.value <= found.difference.high


def test_a_higher_confidence_decides_less() -> None:
    teacher, student = ranked([2] * 5 + [1] * 45), ranked([1] * 50)
    verdicts = [gate.judged(asked(50), teacher, student, level, seed=0).verdict for level in (0.95, 0.9999)]
    assert verdicts == ["weak", "undecided"]


class Pretending:
    """Teachers and a base model in one that rank by rule, and count what they read."""

    members: tuple[Any, ...] = ()

    def __init__(self, teacher_place: int, student_place: int) -> None:
        self.places, self.read = (teacher_place, student_place), []

    def logits(self, _queries: Any, _documents: Any, pairs: np.ndarray, _description: str) -> Any:
        self.read.append(len(pairs))
        scores = np.concatenate(ranked([self.places[0]] * (len(pairs) // 4)))
        return Scored(scores, len(pairs), len(pairs))

    def encode_queries(self, texts: list[str]) -> np.ndarray:
        return np.ones((len(texts), 1))

    def encode_documents(self, texts: list[str], description: str) -> np.ndarray:
        scores = dict(zip("abcd", ranked([self.places[1]])[0], strict=True))
        return np.array([[scores[text]] for text in texts])


@pytest.mark.parametrize(
    ("places", "read", "verdict"),
    [((1, 3), [20], "leads"), ((3, 1), [20], "weak"), ((2, 2), [20, 20, 40, 80], "undecided")],
)
def test_queries_are_read_in_turn_until_the_interval_decides(
    places: tuple[int, int], read: list[int], verdict: str
) -> None:
    both, lists = Pretending(*places), asked(200)
    figures = gate.measure(
        both,  # type: ignore[arg-type]
        both,  # type: ignore[arg-type]
        Collection(lists, ["a", "b", "c", "d"]),  # type: ignore[arg-type]
        lists.lists,
        most=160,
        seed=1,
    )
    assert figures is not None
    assert [pairs // 4 for pairs in both.read] == read
    assert (figures["queries"], figures["pairs"], figures["verdict"]) == (sum(read), 4 * sum(read), verdict)
    assert figures["confidence"] == pytest.approx(1 - 0.05 / 4)


def figures_of(teacher: float, student: float, verdict: str) -> dict[str, Any]:
    return {
        "queries": 7,
        "teacher": {"rerank_ndcg_at_10": teacher, "auc": 0.9},
        "student": {"rerank_ndcg_at_10": student, "auc": 0.85},
        "difference": {"value": teacher - student, "low": teacher - student - 0.02, "high": teacher - student + 0.02},
        "confidence": 0.975,
        "verdict": verdict,
        "leads": verdict != "weak",
    }


def plain(**changes: Any) -> DistillationOptions:
    return DistillationOptions(teacher_path="t", output_dir="o", **changes)


@pytest.mark.parametrize("weak_teacher", ["labels", "teacher", "stop"])
@pytest.mark.parametrize(
    ("verdict", "said"), [("leads", "the teacher leads"), ("undecided", "undecided; the teacher ")]
)
def test_a_teacher_that_is_not_weak_passes(
    capsys: pytest.CaptureFixture[str], verdict: str, said: str, weak_teacher: Any
) -> None:
    assert gate.teaches(figures_of(0.8, 0.7, verdict), weak_teacher)
    line = capsys.readouterr().err
    assert "7 validation queries: teacher nDCG@10 0.8000, AUC 0.9000; base model nDCG@10 0.7000, AUC 0.8" in line
    assert f"difference of nDCG@10 +0.1000 (97.5%: +0.0800 to +0.1200): {said}" in line


def test_a_weak_teacher_stops_only_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    weak = figures_of(0.7, 0.8, "weak")
    with pytest.raises(ModelError) as caught:
        gate.teaches(weak, "stop")
    assert "ranks lower than the base model: teacher nDCG@10 0.7000, AUC 0.9000; base model" in str(caught.value)
    assert "`weak_teacher` stop" in caught.value.todo and "`model_name`" in caught.value.todo
    assert gate.teaches(weak, "teacher")
    assert "learns from it all the same" in capsys.readouterr().err
    for made in (plain(), plain(allow_weak_teacher=True)):
        assert not gate.teaches(weak, assembling.taught_by(made).weak)
        said = capsys.readouterr().err
        assert "teacher nDCG@10 0.7000, AUC 0.9000; base model nDCG@10 0.8000, AUC 0.8500" in said
        assert "so the labels alone teach" in said


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({}, ({"info_nce": 1.0}, "linear")),
        # the contract's literal recipe keeps its two other terms
        (
            {"info_nce_weight": 0.0, "contrastive_weight": 0.3, "negative_penalty_weight": 0.4},
            ({"contrastive_hinge": 0.3, "negative_penalty": 0.4}, "linear"),
        ),
        # nothing else: the labels take the place of the teacher's term
        ({"info_nce_weight": 0.0, "listwise_weight": 2.0}, ({"info_nce": 2.0}, "linear")),
        ({"score": "calibrated"}, ({"info_nce": 1.0}, "linear")),
        (
            {"score": "calibrated", "contrastive_weight": 0.3},
            ({"contrastive_hinge": 0.3, "info_nce": 1.0}, "calibrated"),
        ),
    ],
)
def test_labels_alone_always_have_something_to_learn(given: dict[str, Any], left: tuple[Any, ...]) -> None:
    asked = assembling.student_training(plain(max_negative_score=0.5, **given))
    made = asked.heard(lists=False, batch=False, limits=False)
    assert ({loss.name: loss.weight for loss in made.objective.losses}, made.objective.score) == left
    assert (made.candidates.limits.max_ratio, made.candidates.limits.max_score) == (None, None)


def weak(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Makes the gate find every teacher weak."""
    figures = figures_of(0.5, 0.9, "weak")
    monkeypatch.setattr(gate, "measure", lambda *_, **__: figures)
    return figures


def test_a_weak_teacher_stops_the_run_before_anything_is_trained(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = weak(monkeypatch)
    made = options(data_root, tiny_teacher, tiny_encoder, weak_teacher="stop")
    with pytest.raises(ModelError, match="ranks lower than the base model"):
        train(made)
    events = {item["event"]: item for item in read(Path(made.output_dir) / "journal.jsonl")}
    assert set(events) == {"start", "data", "gate", "end"} and events["end"]["status"] == "failed"
    assert events["gate"]["figures"] == figures
    assert not (Path(made.output_dir) / "model.safetensors").exists()


@pytest.mark.slow
def test_a_run_with_a_weak_teacher_learns_from_the_labels_and_filters_nothing(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak(monkeypatch)
    settings = {"weak_teacher": "labels", "max_negative_ratio": 1e-9, "irrelevant_below": 0.0, "epochs": 1}
    losses = {"contrastive_weight": 0.0, "negative_penalty_weight": 0.0, "info_nce_weight": 1.0}
    made = options(data_root, tiny_teacher, tiny_encoder, **settings, **losses)
    record = train(made)
    events = {item["event"]: item for item in read(Path(made.output_dir) / "journal.jsonl")}
    assert record["learned_from"] == "labels" and record["teacher_gate"]["verdict"] == "weak"
    assert record["options"]["listwise_weight"] == 1.0  # what was asked for stands there
    assert events["step"]["terms"].keys() == {"loss", "info_nce"}  # the teacher's term is not even computed
    assert events["step"]["terms"]["loss"] == pytest.approx(events["step"]["terms"]["info_nce"], abs=1e-6)
    assert (events["candidates"]["ratio"], events["candidates"]["lowest_kept"]) == (0, 0)
    again = train(dataclasses.replace(made, weak_teacher="teacher", overwrite=True))
    assert again["learned_from"] == "teacher"
    events = {item["event"]: item for item in read(Path(made.output_dir) / "journal.jsonl")}
    assert events["candidates"]["ratio"] > 0
    assert events["step"]["terms"]["loss"] > events["step"]["terms"]["info_nce"] + 1e-6


def test_the_gate_reads_a_tenth_of_the_lists_of_the_training(
    wide: Path, tiny_encoder: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def measure(*_: Any, most: int, **__: Any) -> None:
        asked.append(most)
        raise InterruptedError  # nothing needs to be trained

    monkeypatch.setattr(gate, "measure", measure)
    monkeypatch.setattr(hard, "LEAST_LISTS", 1)
    for size, count in ((16, None), (64, None), (64, 8)):
        with pytest.raises(InterruptedError):
            train(options(wide, tiny_teacher, tiny_encoder, K=size, max_samples=count))
    # 12 queries of 16 documents: 19 pairs, not one list of 20; of 64: 76 pairs; 8 queries of 64: 51 pairs.
    assert asked == [1, 3, 2]


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
