"""Bi-Encoders as teachers: which are heard, what a batch learns of them, and runs that go on, are recorded, refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bistill.app import assembling, flags
from bistill.app.commands.distill import train
from bistill.app.config import DistillationOptions
from bistill.candidates.mining import dense
from bistill.candidates.mining.miner import Search
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import Dense
from bistill.candidates.teacher_vectors import TeacherVectors
from bistill.data.store.collection import Collection
from bistill.data.store.opening import load_split
from bistill.errors import ModelError, OptionError
from bistill.journal import read
from bistill.losses import EmbeddingKL, embedding_kl
from bistill.models.bi_encoder import BiEncoder
from bistill.models.settings import EncoderStart
from bistill.training.loop.gradients import Batch, Gradients
from bistill.training.student import teaching
from bistill.training.student.list_task import ListTask
from tests.assembled import built, opened
from tests.conftest import bert_config, write_tokenizer
from tests.training.conftest import distillation_options as options
from tests.training.student.runs import event, going_on_gives_the_same
from tests.training.student.test_gate import figures_of


@pytest.fixture(scope="session")
def wide_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Bi-Encoder whose vectors lie far apart, unlike those of a fresh tiny model."""
    from transformers import BertModel

    folder = tmp_path_factory.mktemp("wide-teacher")
    torch.manual_seed(7)
    BertModel(bert_config(initializer_range=0.5)).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def batch_of(
    data_root: Path, teacher: Path, student: BiEncoder, **changes: Any
) -> tuple[Batch, ListTask, Collection, np.ndarray]:
    made = options(data_root, teacher, Path("none"), in_batch="floor", **changes)
    dataset = load_split(data_root / "tiny" / "train.csv")
    collection = Collection(dataset, assembling.version(made).corpus(dataset))
    with opened(made.teacher_path, made) as teachers:
        pools = built(made, *collection, np.arange(12), teachers)
    vectors = [TeacherVectors(EncoderStart(str(teacher), precision="fp32"), collection, pools)]
    training = assembling.student_training(made).heard(lists=False, batch=True, limits=True)
    lists, objective = training.candidates.lists, training.objective
    task = ListTask(student, collection, pools, lists, objective, seed=42, vectors=vectors)
    return task.batch(np.array([7, 2, 9]), 1), task, collection, np.array([7, 2, 9])


@pytest.mark.parametrize("labels", [0.0, 0.5])
def test_a_batch_learns_the_teachers_cosines_of_all_its_pairs(
    data_root: Path, tiny_encoder: Path, wide_teacher: Path, labels: float
) -> None:
    student = BiEncoder.load(str(tiny_encoder), max_len=32, precision="fp32")
    how = {"embedding_weight": 2.0, "embedding_tau": 0.1, "embedding_teacher_tau": 0.2, "info_nce_weight": labels}
    how |= {"contrastive_weight": 0.0, "negative_penalty_weight": 0.0}
    batch, task, collection, rows = batch_of(data_root, wide_teacher, student, **how)
    terms = batch.terms(batch.forward(batch.places), batch.places)
    documents = np.unique(np.concatenate([item.documents for item in task.lists(rows, 1)]))
    cosines = []
    for folder, max_len in ((wide_teacher, None), (tiny_encoder, 32)):
        model = BiEncoder.load(str(folder), max_len=max_len, precision="fp32")
        queries = model.encode_queries([collection.dataset.queries[int(row)] for row in rows])
        cosines.append(torch.tensor(queries @ model.encode_documents(collection.corpus.take(documents)).T))
    expected = embedding_kl(*cosines, 0.2, 0.1)
    torch.testing.assert_close(terms["embedding_kl"], expected, atol=1e-5, rtol=1e-4)
    assert terms.keys() == {"loss", "embedding_kl"} | ({"info_nce"} if labels else set())
    rest = labels * terms["info_nce"] if labels else 0
    torch.testing.assert_close(terms["loss"], 2 * terms["embedding_kl"] + rest)


@pytest.mark.slow
def test_the_gradient_does_not_depend_on_the_pieces_and_prefixes_are_learned(
    data_root: Path, tiny_encoder: Path, wide_teacher: Path
) -> None:
    found = []
    for budget, sizes in ((10**6, ()), (16, ()), (10**6, (16,))):
        student = BiEncoder.load(str(tiny_encoder), max_len=32, precision="fp32")
        batch, *_ = batch_of(data_root, wide_teacher, student, matryoshka=sizes)
        terms = Gradients(batch, budget=budget, seed=0, device=student.device).run()
        found.append((terms, {name: value.grad for name, value in student.model.named_parameters()}))
    (whole, gradient), (pieces, same), (shorter, _) = found
    torch.testing.assert_close(pieces, whole)
    torch.testing.assert_close(same, gradient, atol=1e-6, rtol=1e-4)
    assert shorter["embedding_kl"] == whole["embedding_kl"] and shorter["full_loss"] == whole["loss"]
    assert shorter["loss"] != whole["loss"]


def test_a_query_without_a_positive_has_a_row_without_one(data_root: Path, tiny_encoder: Path) -> None:
    student = BiEncoder.load(str(tiny_encoder), max_len=32, precision="fp32")
    _, task, _, rows = batch_of(data_root, tiny_encoder, student)
    lists = task.lists(rows, 1)
    lists[1] = lists[1].candidates
    documents = np.unique(np.concatenate([item.documents for item in lists]))
    _, positive, mask = task.targets(lists, documents)
    assert positive.sum(dim=1).tolist() == [1, 0, 1] and mask.any(dim=1).all()


def by_vectors(data_root: Path, teacher: Path, student: Path, **changes: Any) -> DistillationOptions:
    """A distillation from a Bi-Encoder alone, without a label in the loss."""
    settings = {"contrastive_weight": 0.0, "negative_penalty_weight": 0.0, "in_batch": "floor", "epochs": 8, "lr": 2e-3}
    return options(data_root, teacher, student, **{**settings, **changes})


def test_the_student_comes_nearer_to_its_embedding_teacher_without_labels(data_root: Path, wide_teacher: Path) -> None:
    # Cut from its teacher, as the larger models of a family are.
    made = by_vectors(data_root, wide_teacher, wide_teacher, student_layers=1, miners=("dense", "random"))
    record = train(made)
    steps = [item["terms"] for item in read(Path(made.output_dir) / "journal.jsonl") if item["event"] == "step"]
    divergence = [terms["embedding_kl"] for terms in steps]
    assert len(steps) == 24 and np.mean(divergence[-3:]) < 0.6 * np.mean(divergence[:3])
    assert all(terms.keys() == {"loss", "embedding_kl"} for terms in steps)
    assert (event(made, "candidates")["scored"], record["learned_from"]) == (0, "teacher")
    (teacher,) = record["teachers"]
    assert (teacher["path"], teacher["kind"]) == (str(wide_teacher), "bi_encoder")
    assert "embedding_teachers" not in record and record["options"]["listwise_weight"] == 1.0


@pytest.mark.slow
def test_beside_a_reranker_both_are_learned_and_recorded(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, wide_teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = (str(wide_teacher), str(tiny_encoder))
    made = options(data_root, tiny_teacher, tiny_encoder, epochs=1, embedding_teacher=both, info_nce_weight=1.0)
    record = train(made)
    terms = event(made, "step")["terms"]
    assert {"listwise_kl", "info_nce", "embedding_kl"} < terms.keys()
    assert [item["path"] for item in record["embedding_teachers"]] == list(both)
    gates = [item for item in read(Path(made.output_dir) / "journal.jsonl") if item["event"] == "gate"]
    assert [item.get("embedding_teacher") for item in gates] == [None, *both]
    assert [item["figures"] for item in gates] == [record["teacher_gate"], *record["embedding_gates"]]
    assert list(record["options"]["embedding_teacher"]) == list(both)
    assert set(record["inputs"]) >= {"teacher_path", "embedding_teacher"}
    assert [found["queries"] for found in (*record["embedding_gates"], record["teacher_gate"])] == [4] * 3
    said = capsys.readouterr().err
    assert all(f"embedding teacher {name} gate, 4 validation queries: " in said for name in both)
    plain = train(dataclasses.replace(made, embedding_teacher=(), output_dir=str(data_root / "plain")))
    assert "embedding_teacher" not in plain["inputs"]
    with pytest.raises(OptionError, match="`embedding_teacher` was "):
        train(dataclasses.replace(made, embedding_teacher=()))


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_weights(
    data_root: Path, tiny_encoder: Path, wide_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = (
        by_vectors(data_root, wide_teacher, tiny_encoder, epochs=2, save_steps=2, output_dir=str(data_root / name))
        for name in ("whole", "cut")
    )
    going_on_gives_the_same(whole, cut, monkeypatch)
    assert len(event(cut, "inputs")["candidates"]["vectors"]) == 64


Verdicts = dict[str, str | None]


def heard(made: DistillationOptions, verdicts: Verdicts) -> teaching.Heard:
    """What is learned where the gate says of ``scoring`` and ``beside`` what ``verdicts`` hold."""
    training = assembling.student_training(made)
    with teaching.opened(assembling.taught_by(made)) as teachers:

        def measure(some: Teachers) -> dict[str, Any] | None:
            verdict = verdicts["scoring" if some is teachers.scoring else "beside"]
            return None if verdict is None else figures_of(0.8, 0.7, verdict)

        return teaching.heard(teachers, training, measure, made.weak_teacher)


@pytest.mark.parametrize(
    ("alone", "verdicts", "terms", "limits", "encoders"),
    [
        (True, {"scoring": "leads"}, {"info_nce", "embedding_kl"}, True, ["wide"]),
        (True, {"scoring": "undecided"}, {"info_nce", "embedding_kl"}, True, ["wide"]),
        (True, {"scoring": "weak"}, {"info_nce"}, False, []),
        (False, {"scoring": "leads", "beside": "leads"}, {"listwise_kl", "info_nce", "embedding_kl"}, True, ["wide"]),
        (False, {"scoring": None, "beside": "leads"}, {"listwise_kl", "info_nce", "embedding_kl"}, True, ["wide"]),
        (False, {"scoring": "weak", "beside": "leads"}, {"info_nce", "embedding_kl"}, False, ["wide"]),
        (False, {"scoring": "leads", "beside": "weak"}, {"listwise_kl", "info_nce"}, True, []),
        (False, {"scoring": "weak", "beside": "weak"}, {"info_nce"}, False, []),
    ],
)
def test_a_weak_teacher_is_left_out_and_the_others_are_heard(
    data_root: Path,
    tiny_teacher: Path,
    wide_teacher: Path,
    alone: bool,
    verdicts: Verdicts,
    terms: set[str],
    limits: bool,
    encoders: list[str],
) -> None:
    changes: dict[str, Any] = {"contrastive_weight": 0.0, "negative_penalty_weight": 0.0, "info_nce_weight": 1.0}
    changes |= {"weak_teacher": "labels", "max_negative_ratio": 0.95, "precision": "fp32"}
    changes |= {} if alone else {"embedding_teacher": (str(wide_teacher),)}
    found = heard(options(data_root, wide_teacher if alone else tiny_teacher, Path("none"), **changes), verdicts)
    assert {loss.name for loss in found.training.objective.losses} == terms
    assert (found.training.candidates.limits.max_ratio is not None) is limits
    assert ["wide" for model in found.encoders if model.name == str(wide_teacher)] == encoders
    assert found.teaches is (len(terms) > 1)


def test_without_its_weight_a_bi_encoder_teaches_over_lists_as_a_reranker_does(
    data_root: Path, wide_teacher: Path
) -> None:
    made = options(data_root, wide_teacher, Path("none"), embedding_weight=0.0)
    found = heard(made, {"scoring": "leads"})
    assert found.encoders == [] and found.training == assembling.student_training(made)


def test_a_bi_encoder_of_which_nothing_would_be_learned_is_refused(data_root: Path, tmp_path: Path) -> None:
    """Before any model is looked for."""
    output = tmp_path / "out" / "student"
    changes = {"embedding_teacher": ("wide",), "embedding_weight": 0.0, "output_dir": str(output)}
    made = options(data_root, Path("none"), Path("none"), **changes)
    with pytest.raises(OptionError) as caught:
        train(made)
    said = flags.spoken(str(caught.value))
    assert said.startswith("--embedding_teacher, --embedding_weight, --vector_weight: ") and "found: ('wide',)" in said
    assert "do: name them in --more_teachers, where they teach over lists" in said
    assert not output.parent.exists()
    vectors = dataclasses.replace(made, vector_weight=1.0)  # are something to be learned
    assembling.student_training(vectors).refuse_unheard(assembling.taught_by(vectors))


def test_a_weak_embedding_teacher_stops_the_run_where_asked(
    data_root: Path, tiny_teacher: Path, wide_teacher: Path
) -> None:
    made = options(data_root, tiny_teacher, Path("none"), embedding_teacher=(str(wide_teacher),), weak_teacher="stop")
    with pytest.raises(ModelError, match=r"embedding teacher \S+ gate: the embedding teacher \S+ ranks lower"):
        heard(made, {"scoring": "leads", "beside": "weak"})


def test_what_an_embedding_teacher_cannot_be_is_said(data_root: Path, tiny_teacher: Path, tiny_encoder: Path) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, embedding_teacher=(str(tiny_teacher),))
    with pytest.raises(ModelError, match="no Bi-Encoder, so it has no vectors"):
        train(made)
    made = options(data_root, tiny_teacher, tiny_encoder, embedding_teacher=(str(tiny_encoder),))
    with pytest.raises(OptionError, match="the student would overwrite its teacher"):
        train(dataclasses.replace(made, output_dir=str(tiny_encoder)))
    assert EmbeddingKL().weight == made.embedding_weight == 1.0


@pytest.mark.slow
def test_the_dense_miner_searches_with_the_bi_encoder_that_teaches_alone(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, wide_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[str] = []
    made_by_settings = dense.made

    def made_miner(settings: Dense, search: Search) -> dense.DenseMiner:
        searched.append((settings.model or made_by_settings(settings, search).model).name)
        return made_by_settings(settings, search)

    monkeypatch.setattr(dense, "made", made_miner)
    dataset = load_split(data_root / "tiny" / "train.csv")
    for teacher, miner_model in ((wide_teacher, None), (tiny_teacher, None), (wide_teacher, str(tiny_encoder))):
        made = options(data_root, teacher, tiny_encoder, miners=("dense",), miner_model=miner_model)
        with opened(made.teacher_path, made) as teachers:
            built(made, dataset, assembling.version(made).corpus(dataset), np.arange(12), teachers)
    assert searched == [str(wide_teacher), str(tiny_encoder), str(tiny_encoder)]
