"""One update, done again until it is whole: after memory ran out, and once after numbers that are none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from bistill.config import TrainingOptions
from bistill.encoders.recomputing import recompute
from bistill.errors import MemoryShortageError
from bistill.training import diagnosis, memory, optimizer
from bistill.training.batch import Batch
from bistill.training.micro_batches import Gradients

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
    """The loss or the gradient holds values that are no numbers; the weights are as before."""

    def __init__(self, terms: dict[str, float], grad_norm: float | None) -> None:
        self.terms, self.grad_norm = terms, grad_norm
        super().__init__("the loss is no number" if grad_norm is None else "the gradient is no number")


class Update:
    """Changes the weights by one batch, or not at all.

    Args:
        model: whose trainable parameters are changed.
        optimizer: of these parameters.
        accelerator: precision, gradient scaling and clipping.
        options: micro-batch budget and limit of the gradient's norm.
        trouble: is told of what went wrong: (kind, message, **facts).

    Attributes:
        budget: tokens whose activations are held at once.
        broken: whether the last update was broken off with some weights changed.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        accelerator: Accelerator,
        options: TrainingOptions,
        trouble: Trouble,
    ) -> None:
        self._model, self._accelerator, self._trouble = model, accelerator, trouble
        self._plain, self._optimizer = optimizer, accelerator.prepare_optimizer(optimizer)
        self._limit = options.max_grad_norm or math.inf
        self.budget = options.micro_batch_tokens or memory.first_budget(model, accelerator.device)
        self.broken = False
        self._gradients: Gradients | None = None

    def run(self, make: Callable[[], Batch], samples: np.ndarray, seed: int, step: int) -> Done | None:
        """Do one update.

        Args:
            make: gives the batch, the same each time.
            samples: ids, for messages.
            seed: of all random numbers of the update.
            step: 1-based number of the update, for messages.

        Returns:
            Its figures; None if it is ``broken``, so that the state must be taken from a checkpoint.

        Raises:
            MemoryShortageError: one text alone does not fit into memory.
            TrainingError: the numbers were none twice.
        """
        where = f"step {step}, samples {samples.tolist()}"
        scaler, scale_tries, second = self._accelerator.scaler, 0, False
        first_budget = self.budget
        batch: Batch | None = None
        self.broken = False
        before = optimizer.updates(self._plain)
        while True:
            try:
                batch = batch or make()
                return self._attempt(batch, seed)
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
                scaler.update()  # halves it; a loss that is no number is none at any scale
                continue
            self._keep_scale()
            if failure is None:
                self.broken = optimizer.updates(self._plain) != before
                self._shrink(batch, said, where, samples, step, first_budget)
                if self.broken:
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
        torch.manual_seed(seed)
        self._gradients = gradients = Gradients(
            batch,
            budget=self.budget,
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

    def _shrink(
        self, batch: Batch | None, said: str, where: str, samples: np.ndarray, step: int, first_budget: int
    ) -> None:
        """Halve the budget; where texts are run one by one already, have layers compute twice.

        Where both are in vain the budget is what it was before this update, for a run that goes on later.

        Raises:
            MemoryShortageError: one text alone does not fit.
        """
        gradients, self._gradients = self._gradients, None
        if batch is None or gradients is None:
            raise MemoryShortageError("memory ran out before the first text", where=where, found=said)
        at = gradients.at
        place = int(batch.lengths.argmax() if at is None else at[batch.lengths[at].argmax()])
        # A budget of more than the text at work needs can still shrink: the text is in company, or others are held.
        if self.budget > int(batch.lengths[place]):
            self.budget = max(min(self.budget, sum(gradients.sizes())) // 2, 1)
            answer = f"; the update is undone and done again with at most {self.budget} tokens at once"
        elif at is not None and recompute(self._model):
            answer = f" with {batch.describe(place)} alone; from now on layers are computed twice instead of being kept"
        else:
            part = "the loss or the optimizer" if at is None else batch.describe(place)
            self.budget = first_budget
            raise MemoryShortageError(
                f"memory does not suffice for {part} alone ({int(batch.lengths[place])} tokens)",
                where=where,
                found=said,
                todo="lower --max_len, train with --use_lora or --precision bf16, or use a machine with more memory",
            )
        self._trouble(
            "out_of_memory",
            f"{where}: memory ran out ({said}){answer}",
            step=step,
            samples=samples.tolist(),
            micro_batch_tokens=self.budget,
        )
