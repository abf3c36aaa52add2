"""Vectors of a Bi-Encoder teacher as targets: the map between two spaces, when there is none, and runs with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.linalg import orthogonal_procrustes

from bistill.app import assembling
from bistill.app.commands.distill import train
from bistill.app.config import DistillationOptions
from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import Counts, ScoredPools
from bistill.candidates.teacher_vectors import TeacherVectors
from bistill.data.store.collection import Collection
from bistill.data.store.opening import load_split
from bistill.data.store.version import Version
from bistill.errors import OptionError
from bistill.journal import read
from bistill.models.bi_encoder import BiEncoder
from bistill.models.settings import EncoderStart
from bistill.training.loop.gradients import Batch, Gradients
from bistill.training.student.list_task import ListTask
from bistill.training.student.vector_targets import VectorMap, VectorTarget, own_cosines, procrustes, target_of
from tests.assembled import built, opened
from tests.conftest import bert_config, write_tokenizer
from tests.training.conftest import distillation_options
from tests.training.student.runs import event, going_on_gives_the_same

SAMPLES = np.array([7, 2, 9])


@pytest.fixture(scope="session")
def larger_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Bi-Encoder of 48 numbers, whose vectors lie far apart, unlike those of a fresh tiny model."""
    from transformers import BertModel

    folder = tmp_path_factory.mktemp("larger-teacher")
    torch.manual_seed(7)
    BertModel(bert_config(initializer_range=0.5, hidden_size=48)).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def options(data_root: Path, teacher: Path, student: Path, **changes: Any) -> DistillationOptions:
    """A distillation whose only term is the distance of the vectors."""
    settings = {"contrastive_weight": 0.0, "negative_penalty_weight": 0.0, "in_batch": "floor", "lr": 2e-3}
    settings |= {"embedding_weight": 0.0, "vector_weight": 1.0, "miners": ("dense", "random"), "precision": "fp32"}
    return distillation_options(data_root, teacher, student, **{**settings, **changes})


def unit(rows: int, size: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_map_is_scipys_where_both_are_of_one_size() -> None:
    student, teacher = unit(40, 12), unit(40, 12, seed=1)
    expected, _ = orthogonal_procrustes(student, teacher)  # student @ expected is near teacher
    np.testing.assert_allclose(procrustes(student, teacher), expected.T, atol=1e-5)


@pytest.mark.parametrize("sizes", [(8, 12), (12, 8), (12, 12)])
def test_the_map_keeps_lengths_and_no_other_such_is_nearer(sizes: tuple[int, int]) -> None:
    student, teacher = unit(60, sizes[0]), unit(60, sizes[1], seed=1)
    found = procrustes(student, teacher)
    assert found.shape == sizes[::-1] and found.dtype == np.float32
    shorter = min(sizes)
    kept = found.T @ found if sizes[1] >= sizes[0] else found @ found.T
    np.testing.assert_allclose(kept, np.eye(shorter), atol=1e-5)
    agreement = (teacher * (student @ found.T)).sum()
    for seed in range(20):
        drawn = np.random.default_rng(seed).normal(size=sizes[::-1])
        other = found.astype(np.float64) + 0.1 * drawn
        left, _, right = np.linalg.svd(other, full_matrices=False)
        assert (teacher * (student @ (left @ right).T)).sum() < agreement


def test_a_student_that_is_its_teacher_turned_is_turned_back() -> None:
    teacher = unit(50, 12)
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(12, 12)))
    student = (teacher @ turn).astype(np.float32)
    cosines = own_cosines(*map(torch.from_numpy, (student, teacher)), VectorMap(procrustes(student, teacher)))
    np.testing.assert_allclose(cosines.detach(), 1, atol=1e-5)


def test_prefixes_are_compared_with_prefixes_or_mapped_by_the_first_columns() -> None:
    vectors, targets, weight = torch.from_numpy(unit(5, 6)), torch.from_numpy(unit(5, 8, seed=1)), unit(8, 6, seed=2)
    alone = targets[:, :6].numpy()
    expected = (vectors.numpy() * alone).sum(1) / np.linalg.norm(alone, axis=1)
    np.testing.assert_allclose(own_cosines(vectors, targets, None), expected, rtol=1e-5)
    short = torch.nn.functional.normalize(vectors[:, :4], dim=1)
    mapped = short.numpy() @ weight[:, :4].T
    expected = (mapped * targets.numpy()).sum(1) / np.linalg.norm(mapped, axis=1)
    np.testing.assert_allclose(own_cosines(short, targets, VectorMap(weight)).detach(), expected, rtol=1e-4, atol=1e-6)


def texts_of(data_root: Path, teacher: Path) -> tuple[DistillationOptions, Collection, ScoredPools, TeacherVectors]:
    made = options(data_root, teacher, Path("none"))
    dataset = load_split(data_root / "tiny" / "train.csv")
    collection = Collection(dataset, assembling.version(made).corpus(dataset))
    with opened(made.teacher_path, made) as teachers:
        pools = built(made, *collection, np.arange(12), teachers)
    return made, collection, pools, TeacherVectors(EncoderStart(str(teacher), precision="fp32"), collection, pools)


def found_target(data_root: Path, teacher: Path, student: BiEncoder) -> VectorTarget:
    _, collection, pools, vectors = texts_of(data_root, teacher)
    start = EncoderStart(str(teacher), precision="fp32")
    return target_of(start, vectors, student, collection, pools, seed=42)


def test_a_map_is_fitted_to_documents_without_their_query_too(
    data_root: Path, tiny_encoder: Path, larger_teacher: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [[f"thread {n}", f"how to open thread {n} in a loop", "4-11"] for n in range(6)]
    write_csv(data_root / "tiny" / "queries.csv", [["query", "source", "taken_out"], *rows])
    version = Version(data_root, "tiny")
    train, _ = version.training(rejected_to=data_root)
    collection = version.collection(version.unlabelled(train, rejected_to=data_root))
    texts, queries = collection.documents, collection.dataset.unlabelled
    lists = [
        CandidateList.unscored(int(query), (int(changed),), {0: 4})
        for query, changed in zip(queries, texts.changed(queries), strict=True)
    ]
    assert texts[int(lists[0].documents[0])] == "how thread 0 in a loop"
    pools = ScoredPools(lists, Counts())
    start = EncoderStart(str(larger_teacher), precision="fp32")
    student = BiEncoder.load(str(tiny_encoder), max_len=32, precision="fp32")
    _, facts = target_of(start, TeacherVectors(start, collection, pools), student, collection, pools, seed=42)
    assert (facts["map"], facts["texts"]) == ([32, 48], 6 + 7)


def test_a_student_of_its_teachers_layers_needs_no_map_and_every_other_one_does(
    data_root: Path, tiny_encoder: Path, larger_teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = BiEncoder.load(str(tiny_encoder), layer_count=1, precision="fp32")
    assert found_target(data_root, tiny_encoder, cut) == (None, {"teacher": str(tiny_encoder), "map": None})
    assert "met as they are, the student is made of its layers" in capsys.readouterr().err
    otherwise = BiEncoder.load(str(tiny_encoder), layer_count=1, precision="fp32", pooling_name="cls")
    assert found_target(data_root, tiny_encoder, otherwise).facts["map"] == [32, 32]
    whole = BiEncoder.load(str(tiny_encoder), max_len=32, precision="fp32")
    through, facts = found_target(data_root, larger_teacher, whole)
    assert through is not None and through.weight.shape == (48, 32) and facts["map"] == [32, 48]
    assert "a linear map from 32 to 48 numbers, fitted to 36 texts" in capsys.readouterr().err

    _, collection, pools, vectors = texts_of(data_root, larger_teacher)
    ids = pools.document_ids()
    queries = whole.encode_queries([collection.dataset.queries[int(query)] for query in pools.query_ids])
    student = np.concatenate([queries, whole.encode_documents(collection.corpus.take(ids))])
    teacher = vectors.of(np.arange(12), ids)
    assert facts["texts"] == len(student) == len(teacher)
    mapped = student @ procrustes(student, teacher).T
    assert facts["distance"] == pytest.approx(((mapped - teacher) ** 2).sum(1).mean(), abs=1e-3)
    np.testing.assert_allclose(through.weight.detach(), procrustes(student, teacher), atol=1e-4)


def batch_of(data_root: Path, teacher: Path, student: BiEncoder, through: VectorMap | None) -> tuple[Batch, ListTask]:
    made, collection, pools, vectors = texts_of(data_root, teacher)
    training = assembling.student_training(made).heard(lists=False, batch=True, limits=True)
    target = VectorTarget(through, {})
    lists, objective = training.candidates.lists, training.objective
    task = ListTask(student, collection, pools, lists, objective, seed=42, vectors=[vectors], targets=[target])
    return task.batch(SAMPLES, 1), task


@pytest.mark.parametrize("mapped", [True, False])
def test_a_batch_learns_the_distance_of_all_its_vectors(data_root: Path, larger_teacher: Path, mapped: bool) -> None:
    student = BiEncoder.load(str(larger_teacher), max_len=32, layer_count=1, precision="fp32")
    weight = unit(48, 48, seed=5)
    batch, task = batch_of(data_root, larger_teacher, student, VectorMap(weight) if mapped else None)
    terms = batch.terms(batch.forward(batch.places), batch.places)
    *_, collection, _, _ = texts_of(data_root, larger_teacher)
    documents = np.unique(np.concatenate([item.documents for item in task.lists(SAMPLES, 1)]))
    sides = []
    for model in (student, BiEncoder.load(str(larger_teacher), precision="fp32")):
        queries = model.encode_queries([collection.dataset.queries[int(row)] for row in SAMPLES])
        sides.append(np.concatenate([queries, model.encode_documents(collection.corpus.take(documents))]))
    if mapped:
        sides[0] = sides[0] @ weight.T
        sides[0] /= np.linalg.norm(sides[0], axis=1, keepdims=True)
    squared = ((sides[0] - sides[1]) ** 2).sum(axis=1)
    expected = (squared[:3].mean() + squared[3:].mean()) / 2
    assert terms.keys() == {"loss", "vector_distance"}
    assert float(terms["vector_distance"].detach()) == pytest.approx(expected, rel=1e-4)
    names = {name for name, _ in task.model.named_parameters() if name.startswith("maps.")}
    assert names == ({"maps.0.weight"} if mapped else set())
    assert (task.model is student.model) is not mapped


def test_the_gradient_reaches_map_and_student_whatever_the_pieces_are(
    data_root: Path, tiny_encoder: Path, larger_teacher: Path
) -> None:
    found = []
    for budget in (10**6, 16):
        student = BiEncoder.load(str(tiny_encoder), max_len=32, precision="fp32")
        batch, task = batch_of(data_root, larger_teacher, student, VectorMap(unit(48, 32, seed=5)))
        Gradients(batch, budget=budget, seed=0, device=student.device).run()
        found.append({name: value.grad for name, value in task.model.named_parameters() if value.grad is not None})
    whole, pieces = found
    assert whole["maps.0.weight"].abs().sum() > 0 and len(whole) > 10
    torch.testing.assert_close(pieces, whole, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("cut", [True, False])
def test_the_student_comes_nearer_to_its_teachers_vectors_and_is_saved_without_a_map(
    data_root: Path, tiny_encoder: Path, larger_teacher: Path, cut: bool
) -> None:
    changes = {"student_layers": 1} if cut else {}
    made = options(data_root, larger_teacher, larger_teacher if cut else tiny_encoder, epochs=8, **changes)
    record = train(made)
    steps = [item["terms"] for item in read(Path(made.output_dir) / "journal.jsonl") if item["event"] == "step"]
    distance = [terms["vector_distance"] for terms in steps]
    assert len(steps) == 24 and np.mean(distance[-3:]) < 0.7 * np.mean(distance[:3])
    assert all(terms.keys() == {"loss", "vector_distance"} for terms in steps)
    (said,) = event(made, "candidates")["vectors"]
    assert said["map"] == (None if cut else [32, 48]) and said["teacher"] == str(larger_teacher)
    assert (record["learned_from"], record["options"]["vector_weight"]) == ("teacher", 1.0)
    saved = load_file(Path(made.output_dir) / "model.safetensors")
    assert saved.keys() == load_file(Path(made.student_name) / "model.safetensors").keys() - {
        name for name in load_file(larger_teacher / "model.safetensors") if cut and ".layer.1." in name
    }


@pytest.mark.slow
def test_a_run_through_a_map_goes_on_to_the_same_weights(
    data_root: Path, tiny_encoder: Path, larger_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = (
        options(data_root, larger_teacher, tiny_encoder, save_steps=2, output_dir=str(data_root / name))
        for name in ("whole", "cut")
    )
    going_on_gives_the_same(whole, cut, monkeypatch)


@pytest.mark.slow
def test_beside_the_divergence_with_adapters_prefixes_and_a_calibrated_score(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path, larger_teacher: Path
) -> None:
    how = {"embedding_weight": 1.0, "vector_weight": 5.0, "use_lora": True, "matryoshka": (16,), "score": "calibrated"}
    made = options(
        data_root, tiny_teacher, tiny_encoder, embedding_teacher=(str(larger_teacher), str(tiny_encoder)), **how
    )
    train(made)
    terms = event(made, "step")["terms"]
    assert terms["full_loss"] == pytest.approx(
        terms["listwise_kl"] + terms["embedding_kl"] + 5 * terms["vector_distance"], rel=1e-5
    )
    assert [said["map"] for said in event(made, "candidates")["vectors"]] == [[32, 48], None]
    assert BiEncoder.load(made.output_dir).dim == 32


def test_without_a_bi_encoder_there_are_no_vectors_to_learn(
    data_root: Path, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, vector_weight=5.0)
    with pytest.raises(OptionError, match=r"`VectorDistance\.weight`: no teacher is a Bi-Encoder.*\n  found: 5.0"):
        train(made)
    assert not Path(made.output_dir).exists()
