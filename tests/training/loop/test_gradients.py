"""The gradient of an update is the same in pieces of any size: compared with one plain pass over all texts.

In double precision to 1e-12. In single precision sums in another order differ by some units of 1e-7 in each layer, so
two ways of padding the same texts differ by up to 3e-6 of the largest gradient; 5e-6 is asked for. Of the same task in
one piece and in many, in single precision, no number differs by 1e-6.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bistill.models.compute.dropout import text_dropout
from bistill.training.loop.gradients import Gradients
from tests.conftest import WORDS
from tests.training.plain_batches import ALL, Case, Numbers, student_case, teacher_case

CPU = torch.device("cpu")
SEEDS = (0, 2**61 + 3)


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
    return teacher_case(data_root, tiny_encoder, use_lora=request.param == "lora")


@pytest.fixture(scope="module", params=["all weights", "lora", "in-batch, lora"])
def student(
    request: pytest.FixtureRequest,
    data_root: Path,
    tiny_encoder: Path,
    tiny_teacher: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Case:
    kind = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BISTILL_CACHE", str(tmp_path_factory.mktemp("cache")))
        return student_case(data_root, tiny_encoder, tiny_teacher, use_lora="lora" in kind, in_batch="in-batch" in kind)


def gradients_of(model: nn.Module, run: Callable[[], Any]) -> tuple[dict[str, float], Numbers]:
    """Loss terms and gradients by parameter."""
    model.zero_grad(set_to_none=True)
    terms = {name: float(value.detach()) for name, value in run().items()}
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_students_gradient_is_that_of_the_undivided_batch(student: Case, seed: int) -> None:
    check(student, seed)


@pytest.mark.slow
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
