"""One training loop for every stage.

The engine knows batches, a step function and hooks; nothing of teachers, students or texts. What a step sees is a
function of (seed, step) alone: the order of samples is counted out from (seed, epoch), and the random numbers of
dropout are set from (seed, step) before each step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from bistill.config import LoraOptions, Precision, TrainingOptions
from bistill.data.sampling import generator
from bistill.encoders.products import fast_products
from bistill.errors import OptionError, TrainingError
from bistill.training.schedule import linear_warmup_decay, parameter_groups


class Task(Protocol):
    """What a stage supplies.

    Attributes:
        model: module whose parameters with ``requires_grad`` are trained.
        samples: samples of one epoch.
    """

    @property
    def model(self) -> nn.Module:
        """Module whose parameters with ``requires_grad`` are trained."""

    @property
    def samples(self) -> int:
        """Samples of one epoch."""

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Ids of all samples in the order in which an epoch sees them: a function of seed and epoch alone."""

    def losses(self, samples: np.ndarray, epoch: int) -> dict[str, Tensor]:
        """Loss terms of a batch by name; ``loss`` is the one to minimise."""


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        step: updates done.
        total_steps: updates of the whole run.
        epoch: 0-based epoch of the last update.
        epoch_ended: whether the last update was the last of its epoch.
        lr: learning rate of the last update.
        terms: loss terms of the last update.
        grad_norm: norm of the gradient before clipping.
        seconds: wall time of the last update.
    """

    total_steps: int
    step: int = 0
    epoch: int = 0
    epoch_ended: bool = False
    lr: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    grad_norm: float = 0.0
    seconds: float = 0.0


class Hook:
    """Something that acts between updates; every method may be overridden."""

    def at_start(self, progress: Progress) -> None:
        """Before the first update."""

    def after_step(self, progress: Progress) -> None:
        """After each update."""

    def at_end(self, progress: Progress) -> None:
        """After the last update."""

    def close(self) -> None:
        """Always, also when the run failed."""


class Engine:
    """Runs a task to its end.

    Args:
        task: model, samples and losses.
        options: epochs, batch size, learning rate, schedule, seed.
        precision: a concrete one (not ``auto``).
        hooks: called in order.
        head: names of parameters that learn at ``head_lr_factor`` times the learning rate.
        head_lr_factor: see ``head``.
    """

    def __init__(
        self,
        task: Task,
        options: TrainingOptions,
        *,
        precision: Precision,
        hooks: Sequence[Hook] = (),
        head: Collection[str] = (),
        head_lr_factor: float = 1.0,
    ) -> None:
        self.task, self.options, self.hooks = task, options, list(hooks)
        AcceleratorState._reset_state()  # one process may train stages of different precision
        self.accelerator = Accelerator(mixed_precision="no" if precision == "fp32" else precision)
        if self.accelerator.num_processes > 1:
            raise OptionError(
                "training runs in one process",
                where="torchrun",
                found=self.accelerator.num_processes,
                todo="start the command with plain python; it uses the first GPU",
            )
        self.steps_per_epoch = math.ceil(task.samples / options.batch_size)
        self.progress = Progress(total_steps=self.steps_per_epoch * options.epochs)
        lr = peak_lr(options)
        groups = parameter_groups(
            task.model, lr=lr, weight_decay=options.weight_decay, head=head, head_lr=lr * head_lr_factor
        )
        optimizer = torch.optim.AdamW(groups)
        self.optimizer = self.accelerator.prepare_optimizer(optimizer)
        self.schedule = linear_warmup_decay(optimizer, self.progress.total_steps, options.warmup_ratio)

    def run(self) -> Progress:
        """Do every update; hooks see each."""
        try:
            self._tell("at_start")
            self.task.model.train()
            for epoch, samples in self.batches():
                self._step(epoch, samples)
                self._tell("after_step")
            self.task.model.eval()
            self._tell("at_end")
        finally:
            for hook in self.hooks:
                hook.close()
        return self.progress

    def batches(self) -> Iterator[tuple[int, np.ndarray]]:
        """(epoch, sample ids) of each update in order; the last batch of an epoch may be smaller."""
        yield from batches(self.task.order, self.options)

    def _tell(self, moment: str) -> None:
        for hook in self.hooks:
            getattr(hook, moment)(self.progress)

    def _step(self, epoch: int, samples: np.ndarray) -> None:
        started = time.perf_counter()
        progress = self.progress
        torch.manual_seed(int(generator(self.options.seed, "step", progress.step).integers(2**62)))
        with fast_products(self.accelerator.device):
            terms = self.task.losses(samples, epoch)
        if not torch.isfinite(terms["loss"]):
            raise TrainingError(
                "the loss is no number; the weights are not saved",
                where=f"step {progress.step + 1}, samples {samples.tolist()}",
                found={name: float(value.detach()) for name, value in terms.items()},
                todo="lower --lr, or train with --precision fp32",
            )
        self.accelerator.backward(terms["loss"])
        limit = self.options.max_grad_norm or math.inf
        norm = self.accelerator.clip_grad_norm_(self.task.model.parameters(), limit)
        progress.lr = min(self.schedule.get_last_lr())  # the body's; a head learns no slower
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        progress.step += 1
        progress.epoch = epoch
        progress.epoch_ended = progress.step % self.steps_per_epoch == 0
        progress.terms = {name: float(value.detach()) for name, value in terms.items()}
        progress.grad_norm = float(norm) if norm is not None else 0.0
        progress.seconds = time.perf_counter() - started


def batches(order: Callable[[int, int], np.ndarray], options: TrainingOptions) -> Iterator[tuple[int, np.ndarray]]:
    """(epoch, sample ids) of each update, from the order of the samples by (seed, epoch)."""
    for epoch in range(options.epochs):
        samples = order(options.seed, epoch)
        for start in range(0, len(samples), options.batch_size):
            yield epoch, samples[start : start + options.batch_size]


def peak_lr(options: TrainingOptions) -> float:
    """The learning rate of the options, or the usual one: 2e-5 for all weights, 2e-4 for LoRA (Hu et al., 2021)."""
    if options.lr is not None:
        return options.lr
    return 2e-4 if isinstance(options, LoraOptions) and options.use_lora else 2e-5
