"""The engine on a model small enough to check by an independent loop."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bistill.data.sampling import permutation
from bistill.errors import TrainingError
from bistill.journal import Journal, read
from bistill.models.compute.precision import float32_products
from bistill.training.loop import engine, memory
from bistill.training.loop.engine import Engine
from bistill.training.loop.gradients import Batch
from bistill.training.loop.hook import Hook, Progress
from bistill.training.run.hooks import Validate, WriteJournal
from bistill.training.settings import Loop, Validation
from bistill.training.validation import Measured

INPUTS = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
TARGETS = torch.randn(10, 1, generator=torch.Generator().manual_seed(1))
LOOP = Loop(epochs=3, batch_size=4, lr=0.05, warmup_ratio=0.0, seed=5)


class Regression:
    """Least squares with dropout, so that random numbers matter."""

    samples = 10

    def __init__(self, dropout: float = 0.0) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 1), nn.Dropout(dropout))
        self.seen: list[tuple[int, list[int]]] = []

    def order(self, seed: int, epoch: int) -> np.ndarray:
        return permutation(seed, epoch, self.samples)

    def batch(self, samples: np.ndarray, epoch: int) -> Batch:
        self.seen.append((epoch, samples.tolist()))
        return Batch(
            lengths=np.ones(len(samples), dtype=np.int64),
            forward=lambda places: self.model(INPUTS[samples[places]]),
            terms=lambda rows, places: self.terms(rows, samples[places]),
            separable=False,
            packed=False,
            describe=lambda place: f"sample {samples[place]}",
        )

    def terms(self, rows: Tensor, samples: np.ndarray) -> dict[str, Tensor]:
        error = (rows - TARGETS[samples]).square().mean()
        return {"loss": error, "square": error}


def weights(task: Regression) -> list[float]:
    return task.model[0].weight.detach().flatten().tolist()


def test_the_backward_pass_has_the_arithmetic_of_the_run_and_the_process_its_own_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, seen = torch.get_float32_matmul_precision(), []
    monkeypatch.setattr(engine, "float32_products", lambda name, _: float32_products(name, torch.device("cuda")))
    for name in ("tf32", "fp32"):
        task = Regression()
        task.model[0].weight.register_hook(lambda _: seen.append(torch.get_float32_matmul_precision()))
        Engine(task, LOOP, precision=name).run()
    assert seen == ["high"] * 9 + ["highest"] * 9
    assert torch.get_float32_matmul_precision() == before


def test_updates_equal_an_independent_loop() -> None:
    task = Regression()
    progress = Engine(task, LOOP, precision="fp32").run()
    assert progress.step == progress.total_steps == 9

    reference = Regression()
    linear = reference.model[0]
    optimizer = torch.optim.AdamW(
        [{"params": [linear.weight], "weight_decay": 0.01}, {"params": [linear.bias], "weight_decay": 0}], lr=0.05
    )
    step = 0
    for epoch in range(3):
        order = permutation(5, epoch, 10)
        for batch in (order[:4], order[4:8], order[8:]):
            for group in optimizer.param_groups:
                group["lr"] = 0.05 * (9 - step) / 9
            optimizer.zero_grad()
            (linear(INPUTS[batch]) - TARGETS[batch]).square().mean().backward()
            nn.utils.clip_grad_norm_(linear.parameters(), 1.0)
            optimizer.step()
            step += 1
    assert weights(task) == pytest.approx(weights(reference), abs=1e-7)


def test_every_sample_once_an_epoch_in_the_order_of_seed_and_epoch() -> None:
    task = Regression()
    Engine(task, LOOP, precision="fp32").run()
    for epoch in range(3):
        seen = [sample for number, batch in task.seen if number == epoch for sample in batch]
        assert seen == permutation(5, epoch, 10).tolist()
        assert sorted(seen) == list(range(10))
    assert task.seen[0] != task.seen[3]


def test_dropout_depends_on_seed_and_step_not_on_what_ran_before() -> None:
    first, second = Regression(0.5), Regression(0.5)
    Engine(first, LOOP, precision="fp32").run()
    torch.manual_seed(999)
    torch.rand(7)
    Engine(second, LOOP, precision="fp32").run()
    assert weights(first) == weights(second)


def test_journal_has_every_step_with_its_terms(tmp_path: object) -> None:
    path = tmp_path / "journal.jsonl"  # type: ignore[operator]
    Engine(Regression(), LOOP, precision="fp32", hooks=[WriteJournal(Journal(path))]).run()
    before, *records = read(path)
    assert before["event"] == "memory" and before["micro_batch_tokens"] > 0
    assert [record["step"] for record in records] == list(range(1, 10))
    assert [record["epoch"] for record in records] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert all(set(record["terms"]) == {"loss", "square"} for record in records)
    assert records[0]["lr"] == pytest.approx(0.05)
    assert all(0 <= record["waited"] <= record["seconds"] for record in records)


def test_best_weights_come_back_and_ties_are_decided_by_the_second_figure(tmp_path: object) -> None:
    task = Regression()
    kept: list[list[float]] = []
    figures = iter([{"a": 0.5, "b": 0.9}, {"a": 0.7, "b": 0.1}, {"a": 0.7, "b": 0.2}, {"a": 0.6, "b": 0.9}])

    def measure() -> Measured:
        kept.append(weights(task))
        return Measured(next(figures))

    journal = Journal(tmp_path / "journal.jsonl")  # type: ignore[operator]
    hook = Validate(task.model, measure, criteria=("a", "b"), settings=Validation(), journal=journal, at_first=True)
    Engine(task, LOOP, precision="fp32", hooks=[hook]).run()
    assert hook.first == {"a": 0.5, "b": 0.9}
    assert (hook.figures, hook.best_step) == ({"a": 0.7, "b": 0.2}, 6)
    assert weights(task) == kept[2] != kept[3]


def test_validation_every_few_steps_and_after_the_last(tmp_path: object) -> None:
    task = Regression()
    journal = Journal(tmp_path / "journal.jsonl")  # type: ignore[operator]
    measured = Measured({"a": 1.0}, {"positive": [0, 3]})
    hook = Validate(task.model, lambda: measured, criteria=("a",), settings=Validation(every=4), journal=journal)
    Engine(task, LOOP, precision="fp32", hooks=[hook]).run()
    records = list(read(tmp_path / "journal.jsonl"))  # type: ignore[operator]
    assert [record["step"] for record in records] == [4, 8, 9]
    assert all((record["figures"], record["histograms"]) == ({"a": 1.0}, {"positive": [0, 3]}) for record in records)
    assert hook.best_step == 4


def test_a_loss_that_is_no_number_stops_with_its_samples() -> None:
    class Diverging(Regression):
        def terms(self, rows: Tensor, samples: np.ndarray) -> dict[str, Tensor]:
            terms = super().terms(rows, samples)
            bad = samples.tolist() == permutation(5, 0, 10)[4:8].tolist()
            return {name: value * float("nan") if bad else value for name, value in terms.items()}

    task = Diverging()
    with pytest.raises(TrainingError) as error:
        Engine(task, LOOP, precision="fp32").run()
    assert f"step 2, samples {permutation(5, 0, 10)[4:8].tolist()}: the loss is NaN or infinite twice" in str(
        error.value
    )
    assert "the loss term square" in str(error.value)
    assert np.isfinite(weights(task)).all()


def test_clipping_limits_the_update_and_zero_turns_it_off() -> None:
    def first_norms(limit: float) -> tuple[float, float]:
        task = Regression()
        engine = Engine(task, dataclasses.replace(LOOP, max_grad_norm=limit), precision="fp32")
        norms: list[float] = []
        parameters = list(task.model.parameters())
        engine.optimizer.register_step_pre_hook(  # what the optimizer is given
            lambda *_: norms.append(float(torch.cat([p.grad.flatten() for p in parameters]).norm()))
        )
        engine.run()
        return norms[0], engine.progress.grad_norm

    clipped, measured = first_norms(0.1)
    assert clipped == pytest.approx(0.1, rel=1e-4)
    assert measured > 0.1
    assert first_norms(0)[0] > 0.1


def test_hooks_are_closed_when_a_step_fails() -> None:
    class Failing(Regression):
        def batch(self, samples: np.ndarray, epoch: int) -> Batch:
            raise RuntimeError("broken")

    class Closing(Hook):
        closed = ended = False

        def at_end(self, progress: Progress) -> None:
            self.ended = True

        def close(self) -> None:
            self.closed = True

    hook = Closing()
    with pytest.raises(RuntimeError, match="broken"):
        Engine(Failing(), LOOP, precision="fp32", hooks=[hook]).run()
    assert hook.closed
    assert not hook.ended


def test_the_heap_is_trimmed_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    task, trimmed = Regression(), list[int]()
    monkeypatch.setattr(memory, "TRIM_EVERY", 4)
    run = Engine(task, LOOP, precision="fp32")
    monkeypatch.setattr(memory, "trim_heap", lambda: trimmed.append(run.progress.step))
    run.run()
    assert trimmed == [4, 8]
