"""A student that learns from queries without labels, beside labelled ones and alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.app.commands.distill import train
from bistill.app.config import DistillationOptions
from bistill.errors import DataError, OptionError
from bistill.journal import read
from bistill.models.bi_encoder import BiEncoder
from bistill.training.student import gate
from tests.candidates.conftest import import_scores
from tests.candidates.test_building import logit
from tests.training.conftest import TOPICS
from tests.training.conftest import distillation_options as options

WEAK = {
    "queries": 4,
    "documents": 20,
    "pairs": 80,
    "teacher": {"rerank_ndcg_at_10": 0.1, "auc": 0.5},
    "student": {"rerank_ndcg_at_10": 0.9, "auc": 0.9},
    "difference": {"value": -0.8, "low": -0.9, "high": -0.7},
    "confidence": 0.95,
    "verdict": "weak",
    "leads": False,
}
Write = Callable[[Path, list[list[str]]], Path]
# The tiny teacher is random and finds nearly everything half relevant: its first document alone is a positive.
ASKED = {"unlabelled_reads": 6, "lexical_tokens": "words"}


@pytest.fixture
def logged(data_root: Path, write_csv: Write) -> Path:
    """The labelled version with ten queries without labels, one of them with a source."""
    words = ["json", "network", "socket", "blue"]
    write_csv(data_root / "tiny" / "corpus.csv", [["document"], *[[f"{words[n % 4]} thread {n}"] for n in range(20)]])
    rows = [["query", "source"], *[[f"{word} fast in a thread", ""] for word in TOPICS[:9]], ["the 3", "blue thread 3"]]
    write_csv(data_root / "tiny" / "queries.csv", rows)
    return data_root


@pytest.fixture
def without_labels(logged: Path, write_csv: Write) -> Path:
    """The same without any labelled file."""
    for split in ("train", "valid", "test"):
        (logged / "tiny" / f"{split}.csv").unlink()
    documents = [["document"], *[[f"returns the {word}"] for word in TOPICS], *[[f"thread {n}"] for n in range(10)]]
    write_csv(logged / "tiny" / "corpus.csv", documents)
    write_csv(logged / "tiny" / "valid_queries.csv", [["query"], *[[f"how to {word}"] for word in TOPICS[:8]]])
    return logged


def events(made: DistillationOptions, name: str) -> list[dict[str, Any]]:
    return [item for item in read(Path(made.output_dir) / "journal.jsonl") if item["event"] == name]


def weights(made: DistillationOptions) -> bytes:
    return (Path(made.output_dir) / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_queries_without_labels_are_learned_beside_labelled_ones(
    logged: Path, tiny_encoder: Path, tiny_teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = options(logged, tiny_teacher, tiny_encoder, **ASKED, info_nce_weight=1.0, source_rank=20)
    record = train(made)
    counts = events(made, "candidates")[-1]
    assert (counts["queries"], counts["unlabelled"]) == (22, 10) and counts["promoted"] >= 10
    assert len(events(made, "step")) == 2 * 6  # 22 lists in batches of four
    assert record["teacher_gate"]["queries"] == 4 and "judge" not in record
    assert "student: 12 of 12 queries, 12 of 12 rows; 10 of 10 queries without labels" in capsys.readouterr().err
    given = json.loads((Path(made.output_dir) / "bistill.json").read_text())["options"]
    assert (given["unlabelled"], given["unlabelled_reads"], given["source_rank"]) == (None, 6, 20)


@pytest.mark.slow
def test_what_a_query_was_taken_out_of_is_learned_without_it(
    without_labels: Path, tiny_encoder: Path, tiny_teacher: Path, write_csv: Write
) -> None:
    """The same queries and sources; the one that is taken out makes another training, and no place makes the same."""
    rows = [[f"{word} fast in a thread", f"returns the {word}", "8-11"] for word in TOPICS[:9]]
    header = ["query", "source", "taken_out"]

    def trained(name: str, table: list[list[str]]) -> DistillationOptions:
        write_csv(without_labels / "tiny" / "queries.csv", table)
        wanted = {"own_documents": 2} if name.startswith("shared") else {}
        out = str(without_labels / name)
        made = options(
            without_labels, tiny_teacher, tiny_encoder, **ASKED, source_rank=20, epochs=1, output_dir=out, **wanted
        )
        train(made)
        return made

    changed = trained("changed", [header, *rows])
    assert events(changed, "candidates")[-1]["taken_out"] == 9
    whole = trained("whole", [header[:2], *[row[:2] for row in rows]])
    empty = trained("empty", [header, *[[*row[:2], ""] for row in rows]])
    assert events(whole, "candidates")[-1]["taken_out"] == 0
    assert weights(whole) == weights(empty) != weights(changed)
    assert events(trained("shared", [header, *rows]), "candidates")[-1]["shared"]["pairs"] > 0


@pytest.mark.slow
def test_held_out_queries_without_labels_are_measured_beside_labels_and_decide_nothing(
    logged: Path, tiny_encoder: Path, tiny_teacher: Path, write_csv: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = options(logged, tiny_teacher, tiny_encoder, **ASKED, merge_with_start=(0.5,), output_dir=str(logged / "p"))
    assert "judged_queries" not in train(plain)
    held_out = [f"where is the {word} thread" for word in TOPICS[:8]]
    write_csv(logged / "tiny" / "valid_queries.csv", [["query"], *[[query] for query in held_out]])
    capsys.readouterr()
    made = options(logged, tiny_teacher, tiny_encoder, **ASKED, merge_with_start=(0.5,))
    record = train(made)
    assert record["judged_queries"] == 8
    assert (
        weights(made) == weights(plain)
        and record["best_step"] == json.loads((Path(plain.output_dir) / "bistill.json").read_text())["best_step"]
    )
    measured = events(made, "evaluation")
    assert [item["step"] for item in measured] == [item["step"] for item in events(plain, "evaluation")]
    for own, theirs in zip(measured, events(plain, "evaluation"), strict=True):
        judged = own["figures"].pop("judged_ndcg_at_10")
        assert 0 < judged <= 1 and own["figures"] == theirs["figures"]
    assert record["validation_untouched"]["judged_ndcg_at_10"] > 0 < record["validation"]["judged_ndcg_at_10"]
    assert all("judged_ndcg_at_10" in item for item in events(made, "merge")[-1]["measured"])
    said = capsys.readouterr().err
    assert "8 held-out queries without labels, judged by the teacher, are measured beside the validation" in said
    assert "on queries without labels, judged by the teacher (" in said
    none = options(logged, tiny_teacher, tiny_encoder, **ASKED, unlabelled=0, output_dir=str(logged / "none"))
    assert "judged_queries" not in train(none)


@pytest.mark.slow
def test_as_many_as_wanted_and_none_is_the_training_without_a_log(
    logged: Path, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    some = options(logged, tiny_teacher, tiny_encoder, **ASKED, unlabelled=3, output_dir=str(logged / "some"))
    train(some)
    assert events(some, "candidates")[-1]["unlabelled"] == 3
    none = options(logged, tiny_teacher, tiny_encoder, **ASKED, unlabelled=0, output_dir=str(logged / "none"))
    train(none)
    (logged / "tiny" / "queries.csv").unlink()
    without = options(logged, tiny_teacher, tiny_encoder, **ASKED, output_dir=str(logged / "without"))
    train(without)
    assert weights(none) == weights(without) != weights(some)


@pytest.mark.slow
def test_a_log_that_grew_is_another_training(logged: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    made = options(logged, tiny_teacher, tiny_encoder, **ASKED, epochs=1)
    train(made)
    assert train(made) == json.loads((Path(made.output_dir) / "bistill.json").read_text())  # kept
    with (logged / "tiny" / "queries.csv").open("a", encoding="utf-8") as file:
        file.write("another query,\n")
    with pytest.raises(OptionError, match="data_version"):
        train(made)


@pytest.mark.slow
def test_training_without_any_label_is_judged_by_the_teacher(
    without_labels: Path, tiny_encoder: Path, tiny_teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = options(without_labels, tiny_teacher, tiny_encoder, **ASKED, source_rank=20, merge_with_start=(0.5,))
    record = train(made)
    said = capsys.readouterr().err
    assert "the teacher is the judge: 8 validation queries have no labels" in said
    assert said.count("The teacher gate, which needs labels, is left out") == 1
    assert record["judge"] == "teacher" and record["teacher_gate"] is None and record["calibration"] is None
    assert record["learned_from"] == "teacher" and not events(made, "gate")
    assert not (Path(made.output_dir) / "calibration.json").exists()
    assert events(made, "candidates")[-1]["queries"] == 10 and events(made, "merge")[-1]["share"] in (0.5, 1)


@pytest.mark.slow
def test_of_a_training_that_made_queries_alone_judge_a_quarter_is_kept_at_most(
    without_labels: Path, tiny_encoder: Path, tiny_teacher: Path, write_csv: Write
) -> None:
    rows = [[f"how to {word}", f"returns the {word}"] for word in TOPICS[:8]]
    write_csv(without_labels / "tiny" / "valid_queries.csv", [["query", "source"], *rows])
    made = options(without_labels, tiny_teacher, tiny_encoder, **ASKED, source_rank=20, merge_with_start=(0.8, 0.4))
    train(made)
    [line] = events(made, "merge")
    assert [item["share"] for item in line["measured"]] == [1, 0.25, 0] and line["share"] in (0, 0.25)


@pytest.mark.slow
def test_the_figure_without_labels_is_ndcg_against_the_teachers_relevance(
    without_labels: Path, tiny_encoder: Path
) -> None:
    """The teacher has read all documents; the figure of the base model by the definition, gains to the percent and
    those below a tenth none."""
    corpus = [f"returns the {word}" for word in TOPICS] + [f"thread {n}" for n in range(10)]
    queries = [f"how to {word}" for word in TOPICS[:8]]
    relevance = np.random.default_rng(7).random((len(queries), len(corpus)))
    scores = {(query, text): relevance[row, n] for row, query in enumerate(queries) for n, text in enumerate(corpus)}
    asked = [f"{word} fast in a thread" for word in TOPICS[:9]]
    scores |= {(query, text): 0.5 + n / 100 for query in asked for n, text in enumerate(corpus)}
    teacher = import_scores("judge", {pair: logit(value) for pair, value in scores.items()})
    wanted = {**ASKED, "unlabelled_reads": 200, "teacher_path": teacher}
    record = train(options(without_labels, Path(teacher), tiny_encoder, **wanted, epochs=1))

    student = BiEncoder.load(str(tiny_encoder), max_len=32)
    cosines = student.encode_queries(queries) @ student.encode_documents(corpus).T
    gain = np.where(relevance >= 0.1, np.round(100 * relevance), 0)
    discount = 1 / np.log2(np.arange(10) + 2)
    ranked = np.take_along_axis(gain, np.argsort(-cosines, axis=1), axis=1)[:, :10]
    ideal = -np.sort(-gain, axis=1)[:, :10]
    expected = ((ranked @ discount) / (ideal @ discount)).mean()
    assert record["validation_untouched"]["ndcg_at_10"] == pytest.approx(expected, abs=1e-6)
    assert 0.3 < expected < 0.8


@pytest.mark.slow
def test_what_needs_labels_is_said(without_labels: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    made = options(without_labels, tiny_teacher, tiny_encoder, **ASKED, score="calibrated")
    with pytest.raises(OptionError, match="a calibrated score is learned from labels"):
        train(made)
    with pytest.raises(DataError, match=r"train\.csv|does not exist"):
        train(options(without_labels, tiny_teacher, tiny_encoder, **ASKED, unlabelled=0))
    (without_labels / "tiny" / "valid_queries.csv").unlink()
    with pytest.raises(DataError, match=r"has no valid_queries\.csv"):
        train(options(without_labels, tiny_teacher, tiny_encoder, **ASKED))


@pytest.mark.slow
def test_a_weak_teacher_judges_nothing(
    logged: Path, tiny_encoder: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "measure", lambda *_, **__: WEAK)
    made = options(logged, tiny_teacher, tiny_encoder, **ASKED, weak_teacher="labels", info_nce_weight=1.0)
    train(made)
    counts = events(made, "candidates")[-1]
    assert (counts["queries"], counts["unlabelled"]) == (12, 0)


@pytest.mark.slow
def test_an_embedding_teacher_alone_teaches_queries_without_labels(
    without_labels: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    teacher = tmp_path / "embedding"
    shutil.copytree(tiny_encoder, teacher)
    made = options(without_labels, teacher, tiny_encoder, **ASKED, epochs=1)
    record = train(made)
    assert set(events(made, "step")[0]["terms"]) >= {"loss", "embedding_kl"}
    assert events(made, "candidates")[-1]["scored"] == 0 and record["judge"] == "teacher"
