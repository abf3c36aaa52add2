"""The line from cosines to probabilities: where it begins, how it learns, and what is written at the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bistill.app import assembling
from bistill.app.commands.distill import train
from bistill.app.config import DistillationOptions
from bistill.candidates.lists import random_negatives
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.opening import load_split
from bistill.data.store.version import Version
from bistill.models import calibration
from bistill.models.bi_encoder import BiEncoder
from bistill.models.calibration import Calibration
from bistill.models.files import calibration_file
from bistill.training.student.calibrated import LabelledPairs, ScoreLine, first_line
from tests.assembled import built, list_task, opened
from tests.losses.contract import distillation
from tests.training.conftest import distillation_options

COSINES = np.array([0.9, 0.7, 0.75, 0.2, 0.1, 0.72, -0.3])
RELEVANT = np.array([True, True, True, False, False, False, False])


def options(data_root: Path, teacher: Path, student: Path, **changes: object) -> DistillationOptions:
    return distillation_options(data_root, teacher, student, **{"precision": "fp32", "score": "calibrated", **changes})


def test_the_line_gives_the_logits_of_the_calibration_that_it_begins_with() -> None:
    line = ScoreLine(Calibration(a=12.5, b=-7.25), mean=0.4, deviation=0.3)
    cosines = torch.tensor([-1.0, 0.1, 0.58, 1.0])
    np.testing.assert_allclose(line(cosines).detach(), 12.5 * cosines.numpy() - 7.25, rtol=1e-5, atol=1e-5)


def test_training_begins_with_the_likeliest_line() -> None:
    found, wanted = first_line(COSINES, RELEVANT), calibration.fit(COSINES, RELEVANT)
    probabilities = torch.sigmoid(found(torch.tensor(COSINES, dtype=torch.float32))).detach().numpy()
    np.testing.assert_allclose(probabilities, wanted.apply(COSINES), rtol=1e-4)


def test_where_no_line_rises_training_begins_with_slope_one_in_standard_units() -> None:
    line = first_line(COSINES, ~RELEVANT)
    standard = (COSINES - COSINES.mean()) / COSINES.std()
    np.testing.assert_allclose(line(torch.tensor(COSINES, dtype=torch.float32)).detach(), standard, atol=1e-5)


def test_labelled_pairs_are_positives_labelled_negatives_and_random_documents(data_root: Path) -> None:
    valid = load_split(data_root / "tiny" / "valid.csv")
    corpus = Version(data_root, "tiny").corpus(valid)
    made = LabelledPairs.of(Collection(valid, corpus), count=100, seed=3)
    assert made.relevant.sum() == len(valid) == len(made.queries)
    for query, text in enumerate(made.queries):
        record = next(valid[row] for row in range(len(valid)) if valid[row].query == text)
        own = made.pairs[:, 0] == query
        irrelevant = {made.documents[row] for row in made.pairs[own & ~made.relevant, 1]}
        expected = {*record.negatives, *random_negatives(record, corpus, 3)}
        assert irrelevant == {corpus[document] for document in expected}
        assert [made.documents[row] for row in made.pairs[own & made.relevant, 1]] == list(
            corpus.take(record.positives)
        )


def test_labelled_pairs_of_queries_without_a_positive_count_without_random_ones(
    tmp_path: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [["query", "passage", "label"], *[[f"a{n}", f"b{n}", "1"] for n in range(8)]]
    rows += [[f"x{n}", f"{text}{n}", "0"] for n in range(4) for text in ("y", "z")]
    valid = load_split(write_csv(tmp_path / "valid.csv", rows))
    for count, alone in ((100, 4), (4, 2)):
        made = LabelledPairs.of(Collection(valid, Corpus(valid.documents)), count=count, seed=3)
        asked = [made.queries[query] for query in made.pairs[:, 0]]
        pairs = [(query, made.documents[number]) for query, number in zip(asked, made.pairs[:, 1], strict=True)]
        zero = [pair for pair in pairs if pair[0].startswith("x")]
        assert len(zero) == 2 * alone == 2 * len({query for query, _ in zero})
        assert all(document[1:] == query[1:] for query, document in zero)
        assert made.relevant.sum() == min(count, 8) and len(pairs) == min(count, 8) * 5 + len(zero)


def test_losses_and_gradients_act_on_the_probability(data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder)
    dataset = load_split(data_root / "tiny" / "train.csv")
    corpus = assembling.version(made).corpus(dataset)
    with opened(made.teacher_path, made) as teachers:
        pools = built(made, dataset, corpus, np.arange(12), teachers)
    encoder = BiEncoder.load(str(tiny_encoder), max_len=32, precision="fp32")
    line = ScoreLine(Calibration(a=7.0, b=-3.0), mean=0.2, deviation=0.5)
    task = list_task(made, encoder, Collection(dataset, corpus), pools, line=line)
    samples = np.array([7, 2, 9])
    batch = task.batch(samples, epoch=0)
    rows = batch.forward(batch.places).detach()
    terms = batch.terms(rows, batch.places)
    terms["loss"].backward()

    lists = task.lists(samples, 0)
    documents = np.unique(np.concatenate([item.documents for item in lists]))
    teacher, positive, mask = task.targets(lists, documents)
    slope = torch.tensor(7.0, requires_grad=True)
    probability = torch.sigmoid(slope * (rows[:3] @ rows[3:].T) - 3.0)
    expected = distillation(teacher, probability, positive, mask)
    for name, value in expected.items():
        assert float(terms[name].detach()) == pytest.approx(float(value.detach()), rel=1e-4, abs=1e-7)
    # d/d log_slope = a * d/da where the intercept in standard units stays: logit = a (c - mean) + const.
    shifted = distillation(
        teacher,
        torch.sigmoid(slope * (rows[:3] @ rows[3:].T - 0.2) + (7.0 * 0.2 - 3.0)),
        positive,
        mask,
    )["loss"]
    (by_slope,) = torch.autograd.grad(shifted, slope)
    assert line.log_slope.grad is not None
    assert float(line.log_slope.grad) == pytest.approx(7.0 * float(by_slope), rel=1e-3)
    assert task.line_parameters() == {"line.log_slope", "line.intercept"}
    assert task.line_parameters() < dict(task.model.named_parameters()).keys()


def test_the_line_is_where_the_student_is(data_root: Path, tiny_encoder: Path, tiny_teacher: Path) -> None:
    """On a device that computes nothing: all that is trained together must lie on the same one."""
    made = options(data_root, tiny_teacher, tiny_encoder)
    dataset = load_split(data_root / "tiny" / "train.csv")
    corpus = assembling.version(made).corpus(dataset)
    with opened(made.teacher_path, made) as teachers:
        pools = built(made, dataset, corpus, np.arange(12), teachers)
    encoder = BiEncoder.load(str(tiny_encoder), max_len=32, precision="fp32")
    encoder.model.to("meta")
    line = ScoreLine(Calibration(a=7.0, b=-3.0), mean=0.2, deviation=0.5)
    task = list_task(made, encoder, Collection(dataset, corpus), pools, line=line)
    tensors = [*task.model.parameters(), *task.model.buffers()]
    assert {value.device.type for value in tensors} == {"meta"} and len(tensors) > 4
    batch = task.batch(np.array([7, 2, 9]), epoch=0)
    vectors = torch.empty(len(batch.lengths), encoder.dim, device="meta", requires_grad=True)
    batch.terms(vectors, batch.places)["loss"].backward()
    for value in (vectors, line.log_slope, line.intercept):
        assert value.grad is not None and value.grad.device.type == "meta"


@pytest.mark.parametrize("score", ["linear", "calibrated"])
def test_the_calibration_is_that_of_the_saved_student(
    score: str, data_root: Path, tiny_encoder: Path, tiny_teacher: Path
) -> None:
    made = options(data_root, tiny_teacher, tiny_encoder, score=score)
    record = train(made)
    valid = load_split(data_root / "tiny" / "valid.csv")
    pairs = LabelledPairs.of(assembling.version(made).collection(valid), count=made.valid_samples, seed=made.seed)
    encoder = BiEncoder.load(made.output_dir, precision="fp32")
    expected = calibration.fit(pairs.cosines(encoder), pairs.relevant)
    found = calibration_file.read(made.output_dir)
    assert found is not None
    np.testing.assert_allclose([found.a, found.b], [expected.a, expected.b], rtol=1e-3)
    assert (record["calibration"]["a"], record["calibration"]["b"]) == (found.a, found.b)
    assert record["calibration"]["data"] == {"valid": valid.fingerprint}
    assert record["calibration"]["relevant"] == int(pairs.relevant.sum())
    assert not [name for name in (Path(made.output_dir)).glob("*") if "line" in name.name]
