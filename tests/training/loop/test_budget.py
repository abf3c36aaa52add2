"""A token budget that memory lowered comes back step by step, the same way in a process that goes on."""

from __future__ import annotations

import copy
import json
import random

import pytest
import torch
import transformers
from torch import nn

from bistill.training.loop import budget as module
from bistill.training.loop.budget import REST, Budget
from bistill.training.loop.memory import UNLIMITED
from tests.conftest import bert_config


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return transformers.BertModel(bert_config())


def rest(budget: Budget, updates: int) -> list[int]:
    """The budget of each of so many updates that go well."""
    found = []
    for _ in range(updates):
        found.append(budget.tokens)
        budget.went_well()
    return found


def test_one_outlier_slows_few_updates(model: nn.Module) -> None:
    budget = Budget(model, 8000)
    rest(budget, 7)
    budget.halve(5000)
    assert budget.tokens == 2500
    budget.halve(2400)
    assert budget.tokens == 1200
    assert rest(budget, 3 * REST + 5) == [1200] * REST + [2400] * REST + [4800] * REST + [8000] * 5
    # Long after the last step back it is an outlier again, not a step that was too much.
    rest(budget, 10 * REST)
    budget.halve(8000)
    assert rest(budget, REST + 1) == [4000] * REST + [8000]


def test_where_a_step_back_was_too_much_the_next_waits_twice_as_long(model: nn.Module) -> None:
    """Texts of which 6,000 tokens fit, and each update has 8,000: of 10,000 updates nine are done twice."""
    budget, at = Budget(model, 8000), list[int]()
    for update in range(10_000):
        if budget.tokens == 8000:
            budget.halve(8000)
            at.append(update)
        budget.went_well()
    # The first shortage comes out of the blue; each further one says that a step back was too much.
    assert at == [0, 20, 60, 140, 300, 620, 1260, 2540, 5100]


def test_layers_keep_their_values_again_before_the_budget_grows(model: nn.Module) -> None:
    budget = Budget(model, 64)
    budget.halve(8)
    assert budget.compute_twice() and not budget.compute_twice()
    assert model.is_gradient_checkpointing
    rest(budget, REST - 1)
    assert model.is_gradient_checkpointing and budget.tokens == 4
    rest(budget, 1)
    assert not model.is_gradient_checkpointing and budget.tokens == 4
    assert rest(budget, REST + 1)[-1] == 8
    assert budget.compute_twice()


def test_a_model_that_cannot_compute_twice_says_so() -> None:
    assert not Budget(nn.Linear(1, 1), 64).compute_twice()


def test_a_run_that_goes_on_divides_its_updates_as_one_that_never_stopped(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shortages by chance; at every update a second budget is made anew from what the first one saved."""
    monkeypatch.setattr(module, "REST", 3)
    draw, start = random.Random(4), copy.deepcopy(model)
    budget, seen = Budget(model, UNLIMITED), set()
    for _ in range(100):
        saved = json.loads(json.dumps(budget.state()))
        copied = copy.deepcopy(start)
        other = Budget(copied, UNLIMITED)
        other.restore(saved)
        assert other.state() == budget.state()
        assert copied.is_gradient_checkpointing is model.is_gradient_checkpointing
        if draw.random() < 0.15:
            for one in (budget, other):
                one.halve(1000)
            if draw.random() < 0.5:
                assert budget.compute_twice() is other.compute_twice()
        budget.went_well()
        other.went_well()
        assert other.state() == budget.state()
        seen.add((budget.tokens, model.is_gradient_checkpointing))
    assert len(seen) > 8


def test_what_memory_never_lowered_says_nothing_to_a_process_with_more_or_less_of_it(model: nn.Module) -> None:
    saved = Budget(model, 4096).state()
    for tokens in (1024, 65_536):
        budget = Budget(model, tokens)
        budget.restore(saved)
        assert budget.tokens == tokens
    lowered = Budget(model, 4096)
    lowered.halve(4096)
    for tokens, expected in ((1024, 1024), (65_536, 2048)):
        budget = Budget(model, tokens)
        budget.restore(lowered.state())
        assert budget.tokens == expected
    older = Budget(model, 4096)
    older.restore({"tokens": 512})  # as releases before this one wrote it
    assert older.tokens == 512


def test_going_back_to_a_checkpoint_gives_nothing_back(model: nn.Module) -> None:
    """An optimizer without memory breaks an update off whatever the budget is: its run must end, not go round."""
    budget = Budget(model, 4096)
    saved, rounds = budget.state(), 0
    while budget.tokens > 1:
        budget.halve(4096)
        budget.distrust()
        budget.restore(saved)
        rest(budget, 10 * REST)  # updates from the checkpoint to the one that breaks off
        rounds += 1
        assert rounds < 40


def test_what_was_given_up_in_vain_comes_back(model: nn.Module) -> None:
    budget = Budget(model, 4096)
    before = budget.state()
    budget.halve(4096)
    budget.compute_twice()
    budget.undo(before)
    assert budget.state() == before and not model.is_gradient_checkpointing
