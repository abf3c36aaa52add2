"""One update, done again until it is whole: after memory ran out, and once after NaN or infinite values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import nn
from torch.autograd.graph import increment_version

from bistill.arrays import Ints
from bistill.training.loop import diagnosis, memory
from bistill.training.loop.budget import Budget
from bistill.training.loop.gradients import Batch, Gradients
from bistill.training.loop.shared import MakeGradients
from bistill.training.loop.shortage import Held, Shortage
from bistill.training.settings import Loop

# Halvings of the loss scale of fp16 before a gradient counts as no number.
SCALE_TRIES = 20

Trouble = Callable[..., None]


@dataclass(frozen=True)
class Done:
    """Figures of an update.

    Attributes:
        terms: loss terms by name.
        grad_norm: norm of the gradient before clipping.
        tokens: tokens of the texts, padding not counted.
        micro_batches: groups of texts that were run one after the other.
    """

    terms: dict[str, float]
    grad_norm: float
    tokens: int
    micro_batches: int


class _NonFiniteError(Exception):
    """The loss or the gradient holds NaN or infinite values; the weights are as before."""

    def __init__(self, terms: dict[str, float], grad_norm: float | None) -> None:
        self.terms, self.grad_norm = terms, grad_norm
        super().__init__("the loss is NaN or infinite" if grad_norm is None else "the gradient is NaN or infinite")


class Update:
    """Changes the weights by one batch, or not at all.

    Args:
        model: whose trainable parameters are changed.
        optimizer: of these parameters.
        accelerator: precision, gradient scaling and clipping.
        loop: micro-batch budget and limit of the gradient's norm.
        trouble: is told of what went wrong: (kind, message, **facts).
        held: what a user can change where memory does not suffice.
        gradients: makes those of a batch.

    Attributes:
        budget: how much is held at once.
        broken: whether the last update was broken off with some weights changed.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        accelerator: Accelerator,
        loop: Loop,
        trouble: Trouble,
        held: Held,
        gradients: MakeGradients = Gradients,
    ) -> None:
        self._model, self._accelerator, self._trouble = model, accelerator, trouble
        self._make_gradients = gradients
        self._plain, self._optimizer = optimizer, accelerator.prepare_optimizer(optimizer)
        self._limit = loop.max_grad_norm or math.inf
        self.budget = Budget(model, loop.micro_batch_tokens or memory.first_budget(model, accelerator.device))
        self._shortage = Shortage(self.budget, held, accelerator.mixed_precision)
        self.broken = False
        self._gradients: Gradients | None = None

    def run(self, make: Callable[[], Batch], samples: Ints, seed: int, step: int) -> Done | None:
        """Do one update.

        Args:
            make: gives the batch, the same each time.
            samples: ids, for messages.
            seed: of all random numbers of the update.
            step: 1-based number of the update, for messages.

        Returns:
            Its figures; None if it is ``broken``, so that the state must be taken from a checkpoint.

        Raises:
            MemoryShortageError: one text alone does not fit into memory, or the batch itself.
            TrainingError: the numbers were none twice.
        """
        where = f"step {step}, samples {samples.tolist()}"
        scaler, scale_tries, second = self._accelerator.scaler, 0, False
        first_budget = self.budget.state()
        batch: Batch | None = None
        before: int | None = None
        self.broken = without_batch = False
        while True:
            try:
                before = updates_done(self._plain) if before is None else before
                batch = batch or make()
                done = self._attempt(batch, seed)
                self.budget.went_well()
                return done
            except _NonFiniteError as found:
                failure = found
            except Exception as error:
                if not memory.is_out_of_memory(error):
                    raise
                failure = None
                said = str(error).strip().split("\n")[0] or type(error).__name__
            # Outside the handlers, whose tracebacks hold every tensor of the failed attempt.
            self._undo()
            overflowed = failure is not None and failure.grad_norm is not None
            if overflowed and scaler is not None and scale_tries < SCALE_TRIES:
                scale_tries += 1
                scaler.update()  # halves it; a loss that is NaN or infinite is so at any scale
                continue
            self._keep_scale()
            if failure is None:
                self.broken = before is not None and updates_done(self._plain) != before
                if batch is None:
                    answer = self._shortage.before_the_batch(without_batch, said, where)
                    without_batch = True
                else:
                    answer = self._shortage.with_a_batch(batch, self._gradients, said, where, first_budget)
                self._trouble(
                    "out_of_memory",
                    f"{where}: memory ran out ({said}){answer}",
                    step=step,
                    samples=samples.tolist(),
                    micro_batch_tokens=self.budget.tokens,
                )
                if self.broken:
                    self.budget.distrust()
                    return None
            elif second:
                assert batch is not None
                raise diagnosis.error(self._model, batch, failure.terms, str(failure), seed=seed, where=where)
            else:
                second = True
                self._trouble(
                    "non_finite",
                    f"{where}: {failure}; the update is undone and done once more",
                    step=step,
                    samples=samples.tolist(),
                    terms=failure.terms,
                    grad_norm=failure.grad_norm,
                )

    def _attempt(self, batch: Batch, seed: int) -> Done:
        self._gradients = None  # where seeding fails, those of the update before are not at fault
        torch.manual_seed(seed)
        self._gradients = gradients = self._make_gradients(
            batch,
            budget=self.budget.tokens,
            seed=seed,
            device=self._accelerator.device,
            backward=self._accelerator.backward,
        )
        terms = {name: float(value) for name, value in gradients.run().items()}
        if not all(map(math.isfinite, terms.values())):
            raise _NonFiniteError(terms, None)
        parameters = [value for value in self._model.parameters() if value.requires_grad]
        norm = float(self._accelerator.clip_grad_norm_(parameters, self._limit))
        if not math.isfinite(norm):
            raise _NonFiniteError(terms, norm)
        self._optimizer.step()
        increment_version(parameters)  # the fused kernel does not say that it wrote, by which other processes know it
        self._optimizer.zero_grad()
        return Done(terms, norm, int(batch.lengths.sum()), len(gradients.groups))

    def _undo(self) -> None:
        """Forget the gradients of a failed attempt; the weights were not touched."""
        self._plain.zero_grad(set_to_none=True)
        memory.release()

    def _keep_scale(self) -> None:
        """Have the gradient scaler of fp16 forget what it saw of a failed attempt; it refuses to unscale twice."""
        scaler = self._accelerator.scaler
        if scaler is not None:
            scaler.scale(torch.zeros((), device=self._accelerator.device))  # it has no scale before the first loss
            scaler.update(scaler.get_scale())


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Set each group's rate to ``factor`` times its peak; returns the lowest (the body's: a head learns no slower)."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    rates: list[float] = [group["lr"] for group in optimizer.param_groups]
    return min(rates)


def updates_done(optimizer: torch.optim.Optimizer) -> int:
    """Updates of all parameters together: tells an update that was broken off from one that never began."""
    counts = [state["step"] for state in optimizer.state.values()]
    try:
        return int(torch.stack(counts).sum())  # read from the device once
    except RuntimeError as error:
        if not memory.is_out_of_memory(error):
            raise
    return sum(int(count) for count in counts)  # each by itself needs no memory of the device
