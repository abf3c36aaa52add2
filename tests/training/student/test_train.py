"""A student trained: what is written, learned and told, and that the same is the same."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from bistill.app import assembling
from bistill.app.commands.distill import train
from bistill.data.queries import choice
from bistill.data.store.opening import load_split
from bistill.errors import OptionError
from bistill.journal import read
from bistill.models import calibration
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.settings import EncoderStart, Lora
from bistill.training.settings import Loop
from bistill.training.student import gate
from bistill.training.student.settings import StudentTraining
from bistill.training.student.train import student_lr
from tests.assembled import built, opened
from tests.training.conftest import as_pairs
from tests.training.conftest import distillation_options as options
from tests.training.student.runs import event

# Trains a finished model once more.
AGAIN = {"overwrite": True, "restart": True}


@pytest.mark.parametrize("use_lora", [False, True])
def test_training_writes_a_stock_directory_and_its_record(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, use_lora: bool
) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, use_lora=use_lora, lora_r=4, query_prompt="query ")
    record = train(made)
    folder = Path(made.output_dir)
    vectors = SentenceTransformer(str(folder), device="cpu").encode_query(["how to sort"])
    np.testing.assert_allclose(vectors, BiEncoder.load(str(folder)).encode_queries(["how to sort"]), atol=1e-6)
    assert json.loads((folder / "bistill.json").read_text()) == record
    assert (record["base_model"], record["teacher_path"]) == (str(tiny_encoder), str(tiny_teacher))
    assert set(record["validation_untouched"]) == {"ndcg_at_10", "auc", "margin"}
    assert (folder / "adapter" / "adapter_model.safetensors").exists() is use_lora
    steps = [item for item in read(folder / "journal.jsonl") if item["event"] == "step"]
    assert len(steps) == 2 * 3
    assert set(steps[0]["terms"]) == {"loss", "listwise_kl", "contrastive_hinge", "negative_penalty"}


def test_the_student_comes_nearer_to_its_teacher(data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    made = options(
        data_root,
        tiny_teacher,
        tiny_encoder,
        epochs=10,
        contrastive_weight=0.0,
        negative_penalty_weight=0.0,
        tau=0.02,
        K=4,
        lr=2e-3,
    )
    train(made)
    steps = [item for item in read(Path(made.output_dir) / "journal.jsonl") if item["event"] == "step"]
    divergence = [item["terms"]["listwise_kl"] for item in steps]
    assert np.mean(divergence[-6:]) < 0.7 * np.mean(divergence[:6])


@pytest.mark.slow
def test_teacher_scores_are_computed_once_for_all_epochs(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    score = CrossEncoder.score
    monkeypatch.setattr(
        CrossEncoder, "score", lambda self, pairs, **settings: asked.extend(pairs) or score(self, pairs, **settings)
    )
    made = options(data_root, tiny_teacher, tiny_encoder, epochs=3)
    train(made)
    assert len(asked) == len(set(asked))
    counted = event(made, "candidates")
    # A positive, a labelled negative and for each of 3 epochs the K - 2 random documents that a list has places for;
    # beside them only the gate asks.
    assert (counted["queries"], counted["pairs"], counted["scored"]) == (12, 12 * (1 + 1 + 9), 12 * 11)
    training = {query for query, _ in asked if query in load_split(data_root / "tiny" / "train.csv").queries}
    assert len(training) == 12 and sum(query in training for query, _ in asked) == 12 * 11
    asked.clear()
    train(dataclasses.replace(made, **AGAIN))
    assert asked == [] and event(made, "candidates")["scored"] == 0


@pytest.mark.slow
def test_the_same_command_gives_the_same_weights(data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    folders = [data_root.parent / name for name in ("one", "two")]
    for folder in folders:
        train(options(data_root, tiny_teacher, tiny_encoder, output_dir=str(folder), use_lora=True))
    first, second = ((folder / "model.safetensors").read_bytes() for folder in folders)
    assert first == second


@pytest.mark.slow
def test_queries_without_a_positive_change_nothing_where_their_documents_are_there_anyway(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [
        options(data_root, tiny_teacher, tiny_encoder, epochs=1, max_samples=7, valid_samples=3, output_dir=str(folder))
        for folder in (data_root.parent / "plain", data_root.parent / "more")
    ]
    plain = train(made[0])
    for split, word in (("train", "key"), ("valid", "json")):
        as_pairs(data_root, split, [[f"why {place}", f"returns the {word}", "0"] for place in range(9)])
    capsys.readouterr()
    more = train(made[1])
    assert "student: 7 of 21 queries, 14 of 33 rows; no lists are made for the 9 queries" in capsys.readouterr().err
    weights = [(Path(own.output_dir) / "model.safetensors").read_bytes() for own in made]
    assert weights[0] == weights[1]
    assert plain["validation"] == more["validation"] and plain["teacher_gate"] == more["teacher_gate"]
    assert [event(own, "candidates")["queries"] for own in made] == [7, 7]


def test_documents_of_queries_without_a_positive_are_candidates(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    as_pairs(data_root, "train", [[f"why {place}", f"thread of {place}", "0"] for place in range(9)])
    made = options(data_root, tiny_teacher, tiny_encoder, miners=("lexical:5", "random:20"))
    dataset = load_split(data_root / "tiny" / "train.csv")
    corpus = assembling.version(made).corpus(dataset)
    with opened(made.teacher_path, made) as teachers:
        pools = built(made, dataset, corpus, choice.with_positive(dataset, 0, "train", None), teachers)
    assert pools.query_ids.tolist() == list(range(12))
    drawn = {corpus[int(document)] for document in pools.document_ids()}
    assert {f"thread of {place}" for place in range(9)} <= drawn


@pytest.mark.slow
def test_a_student_of_fewer_layers_stands_beside_the_whole_model(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    untouched: list[int] = []
    monkeypatch.setattr(
        gate, "measure", lambda _, encoder, *__, **___: untouched.append(encoder.model.config.num_hidden_layers)
    )
    made = options(data_root, tiny_teacher, tiny_encoder, student_layers=1, epochs=1)
    record = train(made)
    assert untouched == [1]  # the gate is about what is trained, the evaluation about the whole model
    assert (record["base_model"], record["start_layers"]) == (str(tiny_encoder), [0])
    assert json.loads((Path(made.output_dir) / "bistill.json").read_text()) == record
    assert BiEncoder.load(made.output_dir).model.config.num_hidden_layers == 1
    assert train(options(data_root, tiny_teacher, tiny_encoder, epochs=1, overwrite=True))["start_layers"] is None
    with pytest.raises(OptionError, match="the model has fewer layers"):
        train(options(data_root, tiny_teacher, tiny_encoder, student_layers=3, overwrite=True))


@pytest.mark.slow
def test_documents_of_the_batch_are_learned_as_negatives(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, in_batch="floor", info_nce_weight=1.0, epochs=1)
    train(made)
    first = event(made, "step")["terms"]
    train(dataclasses.replace(made, **AGAIN))
    assert event(made, "step")["terms"] == first
    assert event(made, "candidates")["scored"] == 0  # the batch costs the teacher nothing
    train(dataclasses.replace(made, **AGAIN, in_batch="never"))
    assert event(made, "candidates")["scored"] == 0
    # The positive stands among the other lists' documents, too: its share is smaller.
    assert first["info_nce"] > event(made, "step")["terms"]["info_nce"] > 0


def test_small_students_learn_faster_unless_told_otherwise() -> None:
    plain = StudentTraining(EncoderStart("m"))
    assert [student_lr(plain, dimensions) for dimensions in (384, 385, 1024)] == [1e-4, 2e-5, 2e-5]
    adapters = dataclasses.replace(plain, lora=Lora())
    assert [student_lr(adapters, dimensions) for dimensions in (384, 385, 1024)] == [1e-3, 2e-4, 2e-4]
    assert student_lr(dataclasses.replace(plain, loop=Loop(lr=3e-5)), 384) == 3e-5


@pytest.mark.slow
def test_shared_documents_cost_no_more_teacher_pairs_than_own_ones(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, own_documents=2)
    train(made)
    counted, steps = event(made, "candidates"), event(made, "step")["terms"]
    # A positive, a labelled negative and one random document for each epoch; then K - 2 shared ones for each epoch.
    assert (counted["pairs"], counted["scored"]) == (12 * (1 + 1 + 2), 12 * 4)
    shared = counted["shared"]
    assert (shared["unscored"], shared["removed"], shared["short"]) == (0, 0, 0)
    assert 0 < shared["scored"] <= shared["pairs"] <= 12 * 2 * (5 - 2)
    train(dataclasses.replace(made, **AGAIN))
    again = event(made, "candidates")
    assert (again["scored"], again["shared"]) == (0, shared | {"scored": 0})
    assert event(made, "step")["terms"] == steps


def test_a_list_of_the_positive_and_shared_documents_needs_no_miner(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, own_documents=1, K=4, miners=("random",), epochs=1)
    train(made)
    counted = event(made, "candidates")
    assert (counted["queries"], counted["pairs"], counted["left_out"]) == (12, 12, 0)
    # Each batch of four holds three positives of others: all lists are these, of 4 * 3 pairs a batch.
    assert counted["shared"] == {"pairs": 36, "scored": 36, "unscored": 0, "removed": 0, "short": 0}


def test_several_teachers_are_recorded_with_weight_and_calibration(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = iter(
        [calibration.Calibration(1.0, 0.0), calibration.Calibration(0.5, 0.25), calibration.Calibration(9.0, -1.0)]
    )
    monkeypatch.setattr(calibration, "fit", lambda *_: next(lines))
    changes = {"more_teachers": (str(tiny_teacher),), "teacher_weights": (1.0, 3.0), "epochs": 1}
    record = train(options(data_root, tiny_teacher, tiny_encoder, **changes))
    assert [item["path"] for item in record["teachers"]] == [str(tiny_teacher)] * 2
    assert [item["weight"] for item in record["teachers"]] == [0.25, 0.75]
    assert (record["calibration"]["a"], record["calibration"]["b"]) == (9.0, -1.0)
    assert [item["calibration"] for item in record["teachers"]] == [{"a": 1.0, "b": 0.0}, {"a": 0.5, "b": 0.25}]
