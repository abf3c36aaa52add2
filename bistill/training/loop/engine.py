"""One training loop for every stage.

The engine knows batches, updates and hooks; nothing of teachers, students or texts. What an update sees is a function
of (seed, step) alone: the order of samples is counted out from (seed, epoch), dropout is drawn from (seed, step, text).
So an update can be done again: after memory ran out, after a number that is none, in another process that goes on
from a checkpoint.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any, Protocol

from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from bistill.arrays import Ints
from bistill.errors import ProcessError, TrainingError
from bistill.models.compute.precision import float32_products
from bistill.models.compute.products import fast_products
from bistill.models.settings import Precision
from bistill.training.loop import memory, optimizer
from bistill.training.loop.budget import held_mib
from bistill.training.loop.gradients import Batch, Gradients
from bistill.training.loop.hook import Hook, Progress
from bistill.training.loop.shared import MakeGradients
from bistill.training.loop.shortage import Held
from bistill.training.loop.states import States
from bistill.training.loop.update import Update, set_rate
from bistill.training.loop.updates import Prefetch, Updates
from bistill.training.run import signals
from bistill.training.run.checkpoint import State
from bistill.training.run.saving import Saving
from bistill.training.settings import Loop


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

    def order(self, seed: int, epoch: int) -> Ints:
        """Ids of all samples in the order in which an epoch sees them: a function of seed and epoch alone."""

    def batch(self, samples: Ints, epoch: int) -> Batch:
        """Texts and loss of an update over these samples: a function of samples and epoch alone.

        Called in another thread than the rest, while the model computes: it makes tensors on the CPU and draws from no
        global generator.
        """


class Engine:
    """Runs a task to its end.

    Args:
        task: model, samples and batches.
        loop: epochs, batch size, learning rate, schedule, seed.
        precision: a concrete one (not ``auto``).
        hooks: called in order.
        saving: writes and reads checkpoints, and reports trouble; None: the run cannot be continued.
        rates: peak learning rates; None: that of the loop, or the usual one, for all parameters.
        held: what a user can change where memory does not suffice, for the message.
        gradients: makes those of a batch.
    """

    def __init__(
        self,
        task: Task,
        loop: Loop,
        *,
        precision: Precision,
        hooks: Sequence[Hook] = (),
        saving: Saving | None = None,
        rates: optimizer.Rates | None = None,
        held: Held | None = None,
        gradients: MakeGradients = Gradients,
    ) -> None:
        self.task, self.loop, self.hooks, self.saving = task, loop, list(hooks), saving
        AcceleratorState._reset_state()  # one process may train stages of different precision
        self.accelerator = Accelerator(mixed_precision=precision if precision in ("bf16", "fp16") else "no")
        self._precision = precision
        self._updates = Updates(task.order, task.samples, loop)
        self.progress = Progress(total_steps=len(self._updates))
        rates = rates or optimizer.Rates(optimizer.peak_lr(loop.lr))
        groups = optimizer.parameter_groups(task.model, rates, weight_decay=loop.weight_decay)
        self.optimizer = optimizer.adamw(groups)
        self.update = Update(
            task.model, self.optimizer, self.accelerator, loop, self._trouble, held or Held(), gradients
        )
        self._states = States(
            task.model, self.optimizer, self.accelerator.scaler, self.update.budget, self.progress, self.hooks
        )
        self._batches = Prefetch(self._batch, self.progress.total_steps)
        self._saved_at = time.monotonic()
        self._leapt_to = -1  # step of the checkpoint that the last leap led back to

    def run(self) -> Progress:
        """Do every update that is not done yet; hooks see each.

        Raises:
            TrainingError: the loss or the gradient is NaN or infinite, or memory does not suffice for one text.
            Stopped: SIGINT or SIGTERM came; the state is saved.
        """
        try:
            device = self.accelerator.device
            arithmetic = float32_products(self._precision, device)
            with signals.deferred() as requests, self._batches, arithmetic, fast_products(device):
                self._begin()
                self.task.model.train()
                while self.progress.step < self.progress.total_steps and not self.progress.stop:
                    self._advance()
                    if requests.received is not None:
                        self._save()
                        requests.raise_if_received()
                self._save()
                self.task.model.eval()
                self._tell("at_end")
                requests.raise_if_received()
        finally:
            for hook in self.hooks:
                hook.close()
            if self.saving:
                self.saving.close()
        return self.progress

    def state(self, copied: bool = True) -> State:
        """Everything that another process needs to go on from here, on the CPU.

        Args:
            copied: whether the tensors are copies that later updates do not touch, also where they are on the CPU.
        """
        return self._states.take(self.saving.run if self.saving else {}, copied=copied)

    def state_bytes(self) -> int:
        """Size of a state: weights, best weights and the optimizer's two moments."""
        return self._states.size()

    def restore(self, state: State) -> None:
        """Go to the place of a state."""
        self._states.put_back(state, lr_factor=self.saving.settings.lr_factor if self.saving else 1.0)
        self.progress.epoch = max(state.step - 1, 0) // self._updates.of_an_epoch

    def _begin(self) -> None:
        """Go on from the newest checkpoint, or write the one from which everything can be done again."""
        state = self.saving.resume() if self.saving else None
        if state is not None:
            self.restore(state)
        self.progress.micro_batch_tokens = self.update.budget.tokens
        self._tell("at_start")
        if state is None:
            self._save()

    def _advance(self) -> None:
        """One update and what follows it."""
        progress = self.progress
        started = time.perf_counter()
        step = progress.step
        epoch, samples = self._updates[step]
        progress.lr = set_rate(self.optimizer, self._updates.rate(step) * progress.lr_factor)
        try:
            done = self.update.run(lambda: self._batches.batch(step), samples, self._updates.seed(step), step + 1)
        except (TrainingError, ProcessError):
            if not self.update.broken:  # the weights are those before the update, and nothing done so far is lost
                with contextlib.suppress(TrainingError):  # of weights that are NaN or infinite: the diagnosis says more
                    self._save()
            raise
        if done is None:
            self._go_back("an update was broken off in the optimizer")
            return
        progress.step += 1
        progress.epoch = epoch
        progress.epoch_ended = progress.step % self._updates.of_an_epoch == 0
        progress.terms, progress.grad_norm = done.terms, done.grad_norm
        progress.tokens, progress.micro_batches = done.tokens, done.micro_batches
        progress.micro_batch_tokens = self.update.budget.tokens
        progress.figures = {}
        progress.memory_mib = held_mib(self.accelerator.device)
        progress.seconds, progress.waited = time.perf_counter() - started, self._batches.waited
        self._tell("after_step")
        if progress.step % memory.TRIM_EVERY == 0:
            memory.trim_heap()
        if progress.go_back:
            self._leap_back()
        elif self._due():
            self._save()

    def _batch(self, step: int) -> Batch:
        """Batch of a 0-based update."""
        epoch, samples = self._updates[step]
        return self.task.batch(samples, epoch)

    def _leap_back(self) -> None:
        """Answer a leap of the loss: the first time by doing the same again, later with half the learning rate.

        Where the same checkpoint did not help before, the leap may have begun in it: then the one before is taken.
        """
        progress = self.progress
        reason, progress.go_back = progress.go_back, ""
        rollbacks, factor = progress.rollbacks + 1, progress.lr_factor * (0.5 if progress.rollbacks else 1.0)
        self._go_back(f"{reason}; the learning rate is {factor:g} times that of the options", self._leapt_to)
        progress.rollbacks, progress.lr_factor, self._leapt_to = rollbacks, factor, progress.step

    def _go_back(self, reason: str, doubted: int = -1) -> None:
        """Take the state of the last checkpoint, or of the one before a doubted one."""
        assert self.saving is not None, reason
        broken, state = self.progress.step, self.saving.read(doubted)
        self.restore(state)
        self._trouble("rollback", f"{reason}; back at step {state.step}", step=broken, to_step=state.step)

    def _due(self) -> bool:
        """Whether a checkpoint is to be written after an update: by the number of updates, or by the time."""
        if self.saving is None:
            return False
        settings = self.saving.settings
        by_step = settings.steps and self.progress.step % settings.steps == 0
        by_time = settings.minutes and time.monotonic() - self._saved_at >= settings.minutes * 60
        return bool(by_step or by_time)

    def _save(self) -> None:
        if self.saving:
            self.saving.save(self.progress.step, self.state_bytes(), self.state)
            self._saved_at = time.monotonic()

    def _trouble(self, kind: str, message: str, **facts: Any) -> None:
        if self.saving:
            self.saving.trouble(kind, message, **facts)

    def _tell(self, moment: str) -> None:
        for hook in self.hooks:
            getattr(hook, moment)(self.progress)
