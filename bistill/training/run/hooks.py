"""What happens between updates: progress shown, journal written, leaps of the loss noticed, validation with the best
weights kept."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from bistill import console
from bistill import progress as display
from bistill.journal import Journal, finite
from bistill.training.loop.hook import Hook, Progress
from bistill.training.settings import Validation
from bistill.training.validation import Measured


class ShowProgress(Hook):
    """A bar or plain lines with every loss term by name."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._stack = ExitStack()
        self._advance: Callable[..., None] = lambda *_: None
        self._shown = 0

    def at_start(self, progress: Progress) -> None:
        """Open the display."""
        shown = display.progress(self._description, progress.total_steps, "steps", done=progress.step)
        self._advance, self._shown = self._stack.enter_context(shown), progress.step

    def after_step(self, progress: Progress) -> None:
        """Show the update; after a return to a checkpoint the display returns, too."""
        terms = "  ".join(f"{name} {value:.4f}" for name, value in progress.terms.items())
        self._advance(progress.step - self._shown, f"{terms}  lr {progress.lr:.2e}")
        self._shown = progress.step

    def close(self) -> None:
        """Close it."""
        self._stack.close()


class WriteJournal(Hook):
    """One journal line for each update, and how much is held at once: before the first one, and where it grew."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._held = 0

    def at_start(self, progress: Progress) -> None:
        """Write the token budget: an update for which it is too large may leave no line at all."""
        self._journal.write("memory", micro_batch_tokens=progress.micro_batch_tokens)
        self._held = progress.micro_batch_tokens

    def after_step(self, progress: Progress) -> None:
        """Write step, epoch, learning rate, loss terms, gradient norm, times, speed and memory."""
        self._journal.write(
            "step",
            step=progress.step,
            total_steps=progress.total_steps,
            epoch=progress.epoch,
            lr=progress.lr,
            terms={name: round(value, 6) for name, value in progress.terms.items()},
            grad_norm=round(progress.grad_norm, 6),
            seconds=round(progress.seconds, 4),
            waited=round(progress.waited, 4),
            tokens=progress.tokens,
            tokens_per_second=round(progress.tokens / progress.seconds),
            micro_batches=progress.micro_batches,
            memory_mib=progress.memory_mib,
        )
        held, self._held = self._held, progress.micro_batch_tokens
        if self._held > held:  # the next update holds more; where it may hold less stands among the troubles
            self._journal.write("memory", micro_batch_tokens=self._held)


class WatchLeaps(Hook):
    """Asks for the last checkpoint when the loss leaps out of all proportion.

    A leap is a loss above median + ``LIMIT`` * 1.4826 * MAD of the last ``WINDOW`` updates (the robust z-score of
    Iglewicz and Hoaglin 1993) that is also above ``FACTOR`` times their ninth decile and above ``LEAST``, what guessing
    between two costs: ordinary hard batches stay below, also those of a model that finds most batches easy.

    Args:
        limit: how often a run may go back.
    """

    name = "leaps"
    WINDOW, FIRST, LIMIT, FACTOR, LEAST = 50, 20, 12.0, 3.0, math.log(2)

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._losses: list[float] = []

    def after_step(self, progress: Progress) -> None:
        """Compare the update's loss with those before it."""
        loss = progress.terms["loss"]
        if len(self._losses) >= self.FIRST:
            median = statistics.median(self._losses)
            deviation = 1.4826 * statistics.median(abs(value - median) for value in self._losses)
            decile = statistics.quantiles(self._losses, n=10, method="inclusive")[-1]
            if loss > max(median + self.LIMIT * deviation, self.FACTOR * decile, self.LEAST):
                leap = f"the loss leapt to {loss:.4g} at step {progress.step} (median before: {median:.4g})"
                if progress.rollbacks < self._limit:
                    progress.go_back = leap
                else:
                    console.say(f"{leap}; the run goes on")
        self._losses = [*self._losses, loss][-self.WINDOW :]

    def state(self) -> dict[str, Any]:
        """Losses of the window."""
        return {"losses": self._losses}

    def restore(self, state: dict[str, Any], best: dict[str, Tensor]) -> None:
        """Take the window over."""
        self._losses = state["losses"]


class Validate(Hook):
    """Measures at intervals, says what it found, keeps the best trainable weights and puts them back at the end.

    Args:
        model: whose trainable weights are kept.
        measure: gives figures and histograms; called without gradients, in evaluation mode.
        criteria: names of figures, higher is better; later ones decide ties.
        settings: when it measures, and when the run ends early.
        journal: receives an ``evaluation`` line each time.
        at_first: also measure before the first update; those weights are never the best.
    """

    name = "validation"

    def __init__(
        self,
        model: nn.Module,
        measure: Callable[[], Measured],
        *,
        criteria: tuple[str, ...],
        settings: Validation,
        journal: Journal,
        at_first: bool = False,
    ) -> None:
        self._model, self._measure, self.criteria = model, measure, criteria
        self._every, self._patience = settings.every, settings.patience
        self._journal, self._at_first = journal, at_first
        self._weights: dict[str, Tensor] = {}
        self.first: dict[str, float] = {}
        self.figures: dict[str, float] = {}
        self.best_step = 0
        # With what each query adds to the figures; None where a checkpoint brought the figures alone.
        self.measured_first: Measured | None = None
        self.measured_best: Measured | None = None
        self._without_better = 0

    def at_start(self, progress: Progress) -> None:
        """Measure the base model's weights if asked to."""
        if self._at_first and not self.first:
            self.measured_first = self._evaluate(progress)
            self.first = self.measured_first.figures

    def after_step(self, progress: Progress) -> None:
        """Measure when it is time to."""
        last = progress.step == progress.total_steps
        due = progress.step % self._every == 0 if self._every else progress.epoch_ended
        if progress.go_back or not (due or last):
            return
        measured = self._evaluate(progress)
        figures = progress.figures = measured.figures
        self._without_better += 1
        if not self.figures or self._rank(figures) > self._rank(self.figures):
            self.figures, self.best_step, self._without_better = figures, progress.step, 0
            self.measured_best = measured
            self._weights = {name: value.detach().to("cpu", copy=True) for name, value in self._trainable()}
        if self._patience and self._without_better >= self._patience:
            progress.stop = f"{self._patience} validations without a better one"
            console.say(f"stopped at step {progress.step}: {progress.stop} than at step {self.best_step}")

    def at_end(self, progress: Progress) -> None:
        """Put the best weights back."""
        with torch.no_grad():
            for name, value in self._trainable():
                value.copy_(self._weights[name])

    def state(self) -> dict[str, Any]:
        """Figures of the base model and of the best weights; a figure that is NaN or infinite stands as null."""
        state: dict[str, Any] = finite(
            {
                "first": self.first,
                "figures": self.figures,
                "best_step": self.best_step,
                "without_better": self._without_better,
            }
        )
        return state

    def restore(self, state: dict[str, Any], best: dict[str, Tensor]) -> None:
        """Take figures and best weights over."""
        if state["best_step"] != self.best_step:
            self.measured_best = None
        self.first, self.figures = (_numbers(state[name]) for name in ("first", "figures"))
        self.best_step, self._without_better, self._weights = state["best_step"], state["without_better"], best

    def best(self) -> tuple[int, dict[str, Tensor]]:
        """The best weights; they are replaced, never changed."""
        return self.best_step, self._weights

    def _evaluate(self, progress: Progress) -> Measured:
        self._model.eval()
        with torch.no_grad():
            measured = self._measure()
        self._model.train()
        shown = ", ".join(f"{name} {value:.4f}" for name, value in measured.figures.items())
        console.say(f"validation at step {progress.step}/{progress.total_steps}: {shown}")
        self._journal.write(
            "evaluation",
            step=progress.step,
            epoch=progress.epoch,
            figures=measured.figures,
            histograms=measured.histograms,
        )
        return measured

    def _rank(self, figures: dict[str, float]) -> tuple[float, ...]:
        """Figures to compare by; one that does not exist (no negatives, scores that are NaN or infinite) ranks last."""
        values = (figures[name] for name in self.criteria)
        return tuple(-math.inf if math.isnan(value) else value for value in values)

    def _trainable(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self._model.named_parameters() if value.requires_grad]


def _numbers(figures: dict[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in figures.items()}
