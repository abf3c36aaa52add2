"""The gradient of an update is the same in pieces of any size: compared with one plain pass over all texts.

In double precision to 1e-12. In single precision sums in another order differ by some units of 1e-7 in each layer, so
two ways of padding the same texts differ by up to 3e-6 of the largest gradient; 5e-6 is asked for. Of the same task in
one piece and in many, in single precision, no number differs by 1e-6.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bistill.candidates.building import build
from bistill.candidates.in_batch import InBatchNegatives
from bistill.candidates.teacher_scores.teachers import Teachers
from bistill.config import DistillationOptions, TeacherOptions
from bistill.data.dataset import Dataset
from bistill.data.store import load_split
from bistill.data.version import corpus_of
from bistill.encoders import lora
from bistill.encoders.bi_encoder import BiEncoder
from bistill.encoders.cross_encoder import CrossEncoder
from bistill.encoders.dropout import text_dropout
from bistill.training.batch import Batch
from bistill.training.list_task import ListTask
from bistill.training.micro_batches import Gradients
from bistill.training.teacher import PairTask
from tests.conftest import WORDS

CPU = torch.device("cpu")
ALL = 10**6
QUERIES = np.array([7, 2, 9])
SEEDS = (0, 2**61 + 3)

Numbers = dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class Case:
    """A batch, its model, and the same written plainly.

    Attributes:
        batch: as the task makes it.
        model: of the task.
        rows: rows of the texts at some places by a copy of the model, in the type of its numbers.
        terms: loss terms of these rows by their definitions.
    """

    batch: Batch
    model: nn.Module
    rows: Callable[[nn.Module, np.ndarray], Tensor]
    terms: Callable[[Tensor, np.ndarray], Numbers]

    def budgets(self) -> list[int]:
        """From all texts at once down to one by one."""
        total, longest = int(self.batch.lengths.sum()), int(self.batch.lengths.max())
        return [ALL, total // 2, longest, 1]

    def alone(self, name: str) -> Case:
        """With one of the terms as the loss."""
        batch = dataclasses.replace(
            self.batch, terms=lambda rows, places: {"loss": self.batch.terms(rows, places)[name]}
        )
        return dataclasses.replace(
            self, batch=batch, terms=lambda rows, places: {"loss": self.terms(rows, places)[name]}
        )

    def double(self) -> Case:
        """Model and batch in double precision, by the plain rows and terms."""
        model = copy.deepcopy(self.model).double()
        for module in model.modules():
            module._forward_pre_hooks.clear()  # of a head that computes in float32
            module._forward_hooks.clear()
        batch = dataclasses.replace(self.batch, forward=lambda places: self.rows(model, places), terms=self.terms)
        return dataclasses.replace(self, batch=batch, model=model)


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts of 3 to 29 tokens, so that groups differ."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "tiny"
    folder.mkdir()
    random = np.random.default_rng(0)
    rows = ["query,positive,negative"]
    for number in range(12):
        words = [" ".join(random.choice(WORDS, size)) for size in (1 + number, 27 - 2 * number, 3 + 2 * number)]
        rows.append(",".join(words))
    for split in ("train", "valid"):
        (folder / f"{split}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module", params=["all weights", "lora"])
def teacher(request: pytest.FixtureRequest, data_root: Path, tiny_encoder: Path) -> Case:
    use_lora = request.param == "lora"
    options = TeacherOptions(data_version="tiny", data_root=str(data_root), use_lora=use_lora, lora_r=4)
    dataset = load_split(data_root / "tiny" / "train.csv")
    encoder = CrossEncoder.start(str(tiny_encoder), max_len=64, precision="fp32", seed=0)
    prepare(encoder, options)
    task = PairTask(encoder, dataset, np.arange(12), options)
    samples = task.order(3, 1)[:11]
    pairs = [task.pair(int(sample), 1) for sample in samples]

    def rows(model: nn.Module, places: np.ndarray) -> Tensor:
        texts = [pairs[place][0] for place in places]
        return model(**encoder.tokenizer(texts, padding=True, return_tensors="pt")).logits[:, 0]

    def terms(logits: Tensor, places: np.ndarray) -> Numbers:
        labels = torch.tensor([pairs[place][1] for place in places], dtype=logits.dtype)
        likelihood = labels * functional.logsigmoid(logits) + (1 - labels) * functional.logsigmoid(-logits)
        return {"loss": -likelihood.sum() / len(pairs)}

    return Case(task.batch(samples, 1), encoder.model, rows, terms)


@pytest.fixture(scope="module", params=["all weights", "lora", "in-batch, lora"])
def student(
    request: pytest.FixtureRequest,
    data_root: Path,
    tiny_encoder: Path,
    tiny_teacher: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Case:
    options = DistillationOptions(
        data_version="tiny",
        data_root=str(data_root),
        teacher_path=str(tiny_teacher),
        output_dir="nowhere",
        student_name=str(tiny_encoder),
        K=5,
        epochs=2,
        max_negative_ratio=None,
        tau=0.2,
        contrastive_weight=0.3,
        negative_penalty_weight=0.4,
        use_lora="lora" in request.param,
        lora_r=4,
        in_batch="in-batch" in request.param,
        in_batch_unscored="score",
    )
    dataset = load_split(data_root / "tiny" / "train.csv")
    corpus = corpus_of(options, dataset)
    encoder = BiEncoder.load(str(tiny_encoder), max_len=64, precision="fp32")
    prepare(encoder, options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BISTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        with Teachers.open(options.teacher_path, options, "fp32") as teachers:
            pools = build(options, dataset, corpus, np.arange(12), teachers)
            task = ListTask(encoder, dataset, corpus, pools, options)
            if options.in_batch:
                own = task.lists(QUERIES, 1)
                in_batch = InBatchNegatives(dataset, corpus, pools, options, [(1, own)], teachers)
                task = ListTask(encoder, dataset, corpus, pools, options, in_batch)

                pairs = zip(own, task.lists(QUERIES, 1), strict=True)
                assert all(len(extended.documents) > len(item.documents) for item, extended in pairs)

    texts = plain_texts(task, dataset)

    def rows(model: nn.Module, places: np.ndarray) -> Tensor:
        words = [texts.words[place] for place in places]
        inputs = encoder.tokenizer(words, padding=True, return_tensors="pt")
        real = inputs["attention_mask"].unsqueeze(-1)
        vectors = (model(**inputs).last_hidden_state * real).sum(1) / real.sum(1)
        return vectors / vectors.norm(dim=1, keepdim=True)

    def terms(vectors: Tensor, _places: np.ndarray) -> Numbers:
        return plain_losses(texts.relevance, vectors, options.tau)

    return Case(task.batch(QUERIES, 1), encoder.model, rows, terms)


def prepare(encoder: Any, options: TeacherOptions | DistillationOptions) -> None:
    """Training mode, and weights that tell texts apart: in a fresh tiny model all vectors are nearly parallel, so that
    gradients are small differences of large numbers. Adapters are as after some updates (the gradients of untouched
    ones are half zero)."""
    random = torch.Generator().manual_seed(0)
    if options.use_lora:
        encoder.model = lora.apply(encoder.model, options, new_keys=getattr(encoder, "new_keys", []), seed=0)
    with torch.no_grad():
        for name, value in encoder.model.named_parameters():
            if "lora_B" in name:
                value.copy_(torch.randn(value.shape, generator=random) * 0.1)
            elif value.ndim > 1 and "lora_A" not in name:
                value.mul_(5)
    encoder.model.train()
    config = encoder.model.config
    assert config.hidden_dropout_prob == 0.1 == options.lora_dropout


@dataclasses.dataclass(frozen=True)
class Texts:
    """Words of the queries, then of the documents; teacher's relevance by document place of each query, positive
    first."""

    words: list[str]
    relevance: list[dict[int, float]]


def plain_texts(task: ListTask, dataset: Dataset) -> Texts:
    lists = task.lists(QUERIES, 1)
    documents = sorted({number for item in lists for number in item.documents})
    words = [dataset.queries[item.query_id] for item in lists] + [dataset.documents[number] for number in documents]
    relevance = []
    for item in lists:
        known = dict(zip(item.documents, item.relevance.tolist(), strict=True))
        relevance.append({len(lists) + documents.index(number): value for number, value in known.items()})
    return Texts(words, relevance)


def plain_losses(relevance: list[dict[int, float]], vectors: Tensor, tau: float) -> Numbers:
    """The three losses by their definitions: query by query, sums over what is there."""
    divergences, hinges, means, negatives = [], [], [], []
    for row, known in enumerate(relevance):
        scores = (vectors[list(known)] @ vectors[row] + 1) / 2
        target = torch.tensor(list(known.values()), dtype=scores.dtype).div(tau).softmax(0)
        divergences.append((target * (target.log() - (scores / tau).log_softmax(0))).sum())
        hinges.append((0.7 - (scores[0] - scores[1:].mean())).clamp(min=0))
        means.append((scores[1:].mean() - 0.15).clamp(min=0))
        negatives.append((scores[1:] - 0.15).clamp(min=0))
    divergence, hinge = torch.stack(divergences).mean(), torch.stack(hinges).mean()
    penalty = 0.5 * torch.cat(negatives).mean() + 0.5 * torch.stack(means).mean()
    return {
        "loss": divergence + 0.3 * hinge + 0.4 * penalty,
        "listwise_kl": divergence,
        "contrastive_hinge": hinge,
        "negative_penalty": penalty,
    }


def gradients_of(model: nn.Module, run: Callable[[], Any]) -> tuple[dict[str, float], Numbers]:
    """Loss terms and gradients by parameter."""
    model.zero_grad(set_to_none=True)
    terms = {name: float(value) for name, value in run().items()}
    found = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    model.zero_grad(set_to_none=True)
    return terms, found


def undivided(case: Case, seed: int) -> tuple[dict[str, float], Numbers]:
    """By plain autograd over all texts in one padded batch, in double precision."""
    double, places = case.double(), case.batch.places

    def run() -> Numbers:
        with text_dropout(seed, places):
            rows = case.rows(double.model, places)
        terms = case.terms(rows, places)
        terms["loss"].backward()
        return terms

    return gradients_of(double.model, run)


def divided(case: Case, seed: int, budget: int) -> tuple[dict[str, float], Numbers]:
    return gradients_of(case.model, Gradients(case.batch, budget=budget, seed=seed, device=CPU).run)


def largest_error(found: Numbers, expected: Numbers) -> float:
    """Largest difference of any number of any gradient, relative to the largest number of all."""
    assert found.keys() == expected.keys()
    largest = max(float(value.abs().max()) for value in expected.values())
    return max(float((found[name] - value).abs().max()) for name, value in expected.items()) / largest


def check(case: Case, seed: int, *, single: bool = True) -> None:
    """In double precision, and in single as the task makes its batches."""
    terms, expected = undivided(case, seed)
    trained = {name for name, value in case.model.named_parameters() if value.requires_grad}
    # A student's pooler is not used; a teacher's and every adapter are.
    assert {name for name in trained if "pooler" not in name} <= expected.keys()
    double = case.double()
    _, whole = divided(case, seed, ALL)
    for budget in case.budgets():
        found, gradients = divided(double, seed, budget)
        assert found == pytest.approx(terms, rel=1e-12), budget
        assert largest_error(gradients, expected) < 1e-12, budget
        if single:
            found, gradients = divided(case, seed, budget)
            assert found == pytest.approx(terms, abs=1e-6), budget
            assert largest_error(gradients, expected) < 5e-6, budget
            assert all(float((gradients[name] - value).abs().max()) < 1e-6 for name, value in whole.items()), budget


@pytest.mark.parametrize("seed", SEEDS)
def test_a_teachers_gradient_is_that_of_the_undivided_batch(teacher: Case, seed: int) -> None:
    check(teacher, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_students_gradient_is_that_of_the_undivided_batch(student: Case, seed: int) -> None:
    check(student, seed)


@pytest.mark.parametrize("name", ["listwise_kl", "contrastive_hinge", "negative_penalty"])
def test_the_gradient_of_each_loss_alone(student: Case, name: str) -> None:
    check(student.alone(name), 5, single=False)


def check_dropout(case: Case) -> None:
    _, first = divided(case, 0, ALL)
    assert largest_error(divided(case, 1, ALL)[1], first) > 0.01
    case.model.eval()
    assert largest_error(divided(case, 0, ALL)[1], first) > 0.01
    case.model.train()


def test_a_teachers_dropout_acts_and_hangs_on_the_seed(teacher: Case) -> None:
    check_dropout(teacher)


def test_a_students_dropout_acts_and_hangs_on_the_seed(student: Case) -> None:
    check_dropout(student)


def counted(case: Case) -> tuple[Case, np.ndarray, list[bool]]:
    """The case with a count of forwards by place, and whether each forward kept a graph."""
    counts, graphs = np.zeros(len(case.batch.lengths), dtype=int), list[bool]()

    def forward(places: np.ndarray) -> Tensor:
        counts[places] += 1
        graphs.append(torch.is_grad_enabled())
        return case.batch.forward(places)

    return dataclasses.replace(case, batch=dataclasses.replace(case.batch, forward=forward)), counts, graphs


def test_a_teachers_texts_are_run_once_whatever_the_budget(teacher: Case) -> None:
    for budget in teacher.budgets():
        case, counts, graphs = counted(teacher)
        divided(case, 0, budget)
        assert (counts == 1).all() and all(graphs)


def test_a_students_texts_are_run_once_if_they_fit_and_else_those_that_do_not_twice(student: Case) -> None:
    lengths = student.batch.lengths
    for budget in (ALL, int(lengths.sum()) // 2, int(lengths.max()), 1):
        case, counts, graphs = counted(student)
        gradients = Gradients(case.batch, budget=budget, seed=0, device=CPU)
        gradients_of(case.model, gradients.run)
        held, kept = 0, 0
        for group in gradients.groups:
            held += int(lengths[group].sum())  # texts share a row
            if held > budget:
                break
            kept += 1
        expected = np.full(len(lengths), 2)
        for group in gradients.groups[:kept]:
            expected[group] = 1
        assert counts.tolist() == expected.tolist()
        replayed = len(gradients.groups) - kept
        assert graphs == [True] * kept + [False] * replayed + [True] * replayed
        assert (kept == len(gradients.groups)) is (budget == ALL)
        assert (kept == 0) is (budget == 1)
        assert 0 < (counts == 1).sum() < len(counts) or budget in (ALL, 1)


def test_a_budget_that_just_holds_all_keeps_all(student: Case) -> None:
    groups = Gradients(student.batch, budget=ALL, seed=0, device=CPU).groups
    assert student.batch.packed and len(groups) == 1
    size = int(student.batch.lengths.sum())
    for budget, runs in ((size, 1), (size - 1, 2)):
        case, counts, _ = counted(student)
        divided(case, 0, budget)
        assert counts.max() == runs


class RefusedError(RuntimeError):
    pass


class RefusingGradient(torch.autograd.Function):
    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(_context: Any, _gradient: Tensor) -> Tensor:  # type: ignore[override]
        raise RefusedError


def check_places(case: Case, when: str, place: int) -> None:
    def forward(places: np.ndarray) -> Tensor:
        rows = case.batch.forward(places)
        if place not in places:
            return rows
        if when == "forward":
            raise RefusedError
        return RefusingGradient.apply(rows) if rows.requires_grad else rows

    for budget in (ALL, 60, 1):
        gradients = Gradients(dataclasses.replace(case.batch, forward=forward), budget=budget, seed=0, device=CPU)
        with pytest.raises(RefusedError):
            gradients.run()
        (group,) = (group for group in gradients.groups if place in group)
        assert gradients.at is not None and gradients.at.tolist() == group.tolist()
        assert len(group) == 1 or budget > 1
        case.model.zero_grad(set_to_none=True)


@pytest.mark.parametrize("when", ["forward", "backward"])
@pytest.mark.parametrize("place", [0, 6])
def test_a_teachers_places_at_work_are_named_after_an_exception(teacher: Case, when: str, place: int) -> None:
    check_places(teacher, when, place)


@pytest.mark.parametrize("when", ["forward", "backward"])
@pytest.mark.parametrize("place", [0, 6])
def test_a_students_places_at_work_are_named_after_an_exception(student: Case, when: str, place: int) -> None:
    check_places(student, when, place)


def test_no_place_is_named_when_the_loss_fails_or_nothing_does(student: Case) -> None:
    def terms(_rows: Tensor, _places: np.ndarray) -> Numbers:
        raise RefusedError

    gradients = Gradients(dataclasses.replace(student.batch, terms=terms), budget=60, seed=0, device=CPU)
    with pytest.raises(RefusedError):
        gradients.run()
    assert gradients.at is None
    whole = Gradients(student.batch, budget=60, seed=0, device=CPU)
    gradients_of(student.model, whole.run)
    assert whole.at is None
