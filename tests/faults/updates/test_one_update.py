"""Faults within one update of a model of two weights, also in fp16 (9 to 11 on the scoreboard of faults)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from bistill.app import flags
from bistill.errors import MemoryShortageError, TrainingError
from bistill.training.loop import optimizer, update
from bistill.training.loop.budget import REST
from bistill.training.loop.gradients import Batch
from bistill.training.loop.shortage import Held
from bistill.training.loop.update import Update
from bistill.training.settings import Loop
from tests.faults.updates.bench import Backward, out_of_memory

NAN, INFINITY = float("nan"), float("inf")


class Line:
    """A model of one weight in each of two groups, and faults by attempt."""

    def __init__(self, scaled: bool = False, **options: Any) -> None:
        self.model = nn.Linear(1, 1)
        self.accelerator = Accelerator()
        if scaled:  # as for fp16 on a GPU
            self.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
            self.accelerator.native_amp = True
            self.accelerator.state._mixed_precision = "fp16"
        self.attempt, self.troubles = 0, list[str]()
        groups = [{"params": [self.model.weight], "lr": 0.1}, {"params": [self.model.bias], "lr": 0.1}]
        self.optimizer = optimizer.adamw(groups)
        self.update = Update(
            self.model, self.optimizer, self.accelerator, Loop(**options), self.note, Held({"Loop.batch_size": (6, 1)})
        )

    def run(
        self,
        fault: Callable[[int, Tensor], Tensor] = lambda _attempt, loss: loss,
        *,
        lengths: Sequence[int] = (3, 3),
        too_large: int | None = None,
    ) -> Any:
        """One update.

        Args:
            fault: changes the loss of each attempt, 1-based.
            lengths: of the texts.
            too_large: place of a text that never fits.
        """

        def forward(places: np.ndarray) -> Tensor:
            if too_large in places:
                raise out_of_memory()
            rows: Tensor = self.model(torch.ones(len(places), 1))
            return rows

        def terms(rows: Tensor, _places: np.ndarray) -> dict[str, Tensor]:
            self.attempt += 1
            return {"loss": fault(self.attempt, rows.sum())}

        batch = Batch(
            lengths=np.array(lengths),
            forward=forward,
            terms=terms,
            separable=True,
            packed=False,
            describe=lambda place: f"text {place}",
        )
        return self.update.run(lambda: batch, np.arange(2), 1, 1)

    def note(self, kind: str, _message: str, **_facts: Any) -> None:
        self.troubles.append(kind)


@pytest.mark.parametrize(("place", "tokens"), [(0, 10), (1, 4), (2, 4), (3, 3)])
def test_of_texts_at_work_together_the_one_that_does_not_fit_is_named(place: int, tokens: int) -> None:
    """10: a short text has company while the longest one of the batch is alone already."""
    line = Line(micro_batch_tokens=10)
    with pytest.raises(TrainingError, match=rf"memory does not suffice for text {place} alone \({tokens} tokens\)"):
        line.run(lengths=(10, 4, 4, 3), too_large=place)
    assert line.run(lengths=(10, 4, 4, 3)).tokens == 21


def test_a_loss_of_fp16_that_is_no_number_is_no_matter_of_its_scale() -> None:
    """11: in fp16 a bad loss is done once more, at the same scale."""
    line = Line(scaled=True)
    done = line.run(lambda attempt, loss: loss * (NAN if attempt == 1 else 1))
    assert done is not None and line.troubles == ["non_finite"] and line.attempt == 2
    assert line.accelerator.scaler.get_scale() == 2**10
    with pytest.raises(TrainingError, match="the loss term loss"):
        line.run(lambda _attempt, loss: loss * NAN)


def test_a_gradient_of_fp16_that_overflows_is_tried_at_half_the_scale() -> None:
    """11: 2^10, 2^9, 2^8: then it fits; nothing is told, as it belongs to fp16."""
    line = Line(scaled=True)

    def overflow(attempt: int, loss: Tensor) -> Tensor:
        return Backward.apply(loss, lambda gradient: gradient * (INFINITY if attempt <= 2 else 1))

    assert line.run(overflow) is not None
    assert (line.attempt, line.troubles) == (3, [])
    assert line.accelerator.scaler.get_scale() == 2**8
    assert line.run(lambda _attempt, loss: loss) is not None


def test_memory_of_fp16_that_runs_out_in_the_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """9: gradients that were unscaled already are forgotten with the attempt."""
    line = Line(scaled=True)
    plain, calls = line.accelerator.clip_grad_norm_, []

    def clip(*arguments: Any) -> Any:
        norm = plain(*arguments)
        calls.append(norm)
        if len(calls) == 1:
            raise out_of_memory()
        return norm

    monkeypatch.setattr(line.accelerator, "clip_grad_norm_", clip)
    done = line.run(lambda _attempt, loss: loss)
    assert done is not None and line.troubles == ["out_of_memory"]
    assert done.grad_norm == pytest.approx(2 * 2**0.5)  # two texts: 2 for the weight, 2 for the bias


def raising(times: int, plain: Callable[..., Any]) -> Callable[..., Any]:
    """The function, out of memory for so many calls."""
    calls: list[int] = []

    def call(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) <= times:
            raise out_of_memory()
        return plain(*arguments)

    return call


def test_memory_that_runs_out_before_the_update_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """9: while the optimizer's counters are read, or random numbers are seeded."""
    line = Line()
    monkeypatch.setattr(update, "updates_done", raising(1, update.updates_done))
    assert line.run() is not None and line.troubles == ["out_of_memory"] and not line.update.broken
    monkeypatch.setattr(torch, "manual_seed", raising(1, torch.manual_seed))
    assert line.run() is not None and line.troubles == ["out_of_memory"] * 2
    expected = Line()
    assert expected.run() is not None and expected.run() is not None
    assert torch.equal(line.model.weight, expected.model.weight)


def test_counters_are_read_one_by_one_where_there_is_no_memory_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """9: on a GPU they lie there, and a tensor of them needs memory."""
    line = Line()
    line.run()
    monkeypatch.setattr(torch, "stack", raising(1, torch.stack))
    assert update.updates_done(line.optimizer) == 2

    def broken(*_arguments: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch, "stack", broken)
    with pytest.raises(RuntimeError, match="device-side assert"):
        update.updates_done(line.optimizer)


def test_memory_that_runs_out_while_the_batch_is_made() -> None:
    """9: made once more; where that fails, too, the message says what makes batches smaller."""
    line = Line(batch_size=6)
    batches: list[Any] = []
    line.update.run = lambda make, *others: batches.append(make()) or Update.run(line.update, make, *others)
    assert line.run() is not None
    make = raising(1, lambda: batches[0])
    assert Update.run(line.update, make, np.arange(2), 1, 2) is not None and line.troubles == ["out_of_memory"]
    with pytest.raises(MemoryShortageError, match="memory does not suffice to make the batch") as caught:
        Update.run(line.update, raising(2, make), np.arange(2), 1, 3)
    assert "do: lower `Loop.batch_size` to 3 (it is 6), train with `lora`" in str(caught.value)


def test_a_budget_that_was_lowered_grows_back() -> None:
    """9: an update of 6 tokens that once failed is whole again after ``REST`` updates, and the journal can say so."""
    line = Line(micro_batch_tokens=6)
    failing = raising(1, lambda loss: loss)
    done = [line.run(lambda _attempt, loss: failing(loss)) for _ in range(REST + 1)]
    assert [made.micro_batches for made in done] == [2] * REST + [1]
    assert (line.troubles, line.update.budget.tokens) == (["out_of_memory"], 6)


@pytest.mark.parametrize(
    ("held", "where", "expected"),
    [
        (
            Held({"EncoderStart.max_len": (256, 8), "Loop.batch_size": (16, 1), "Lists.size": (8, 2)}),
            "loss",
            "lower --batch_size to 8 (it is 16), --K to 4 (it is 8), --max_len to 128 (it is 256), train with "
            "--use_lora, give --precision bf16, or use a machine with more memory; other values than before need "
            "--restart",
        ),
        (
            Held({"RerankerStart.max_len": (12, 8), "Loop.batch_size": (1, 1)}, lora=True),
            "text",
            "give --precision bf16, or use a machine with more memory; other values than before need --restart",
        ),
        (
            Held({"EncoderStart.max_len": (64, 8), "Loop.batch_size": (2, 1), "Lists.size": (3, 2)}),
            "text",
            "lower --max_len to 32 (it is 64), --batch_size to 1 (it is 2), train with --use_lora",
        ),
    ],
)
def test_where_nothing_can_shrink_the_message_says_what_to_give(
    monkeypatch: pytest.MonkeyPatch, held: Held, where: str, expected: str
) -> None:
    """10: with the values of the run, what helps most first."""
    line = Line()
    line.update = Update(line.model, line.optimizer, line.accelerator, Loop(), line.note, held)
    line.update.budget.tokens = 1
    with pytest.raises(MemoryShortageError) as caught:
        if where == "text":
            line.run(too_large=0)
        else:
            monkeypatch.setattr(line.accelerator, "clip_grad_norm_", raising(1, line.accelerator.clip_grad_norm_))
            line.run()
    assert f"do: {expected}" in flags.spoken(str(caught.value))
