"""What happens between updates: progress shown, journal written, validation with the best weights kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from bistill import console
from bistill.journal import Journal
from bistill.training.engine import Hook, Progress


class ShowProgress(Hook):
    """A bar or plain lines with every loss term by name."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._stack = ExitStack()
        self._advance: Callable[..., None] = lambda *_: None

    def at_start(self, progress: Progress) -> None:
        """Open the display."""
        display = console.progress(self._description, progress.total_steps, "steps")
        self._advance = self._stack.enter_context(display)

    def after_step(self, progress: Progress) -> None:
        """Advance it by one update."""
        terms = "  ".join(f"{name} {value:.4f}" for name, value in progress.terms.items())
        self._advance(1, f"{terms}  lr {progress.lr:.2e}")

    def close(self) -> None:
        """Close it."""
        self._stack.close()


class WriteJournal(Hook):
    """One journal line for each update."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def after_step(self, progress: Progress) -> None:
        """Write step, epoch, learning rate, loss terms, gradient norm and wall time."""
        self._journal.write(
            "step",
            step=progress.step,
            total_steps=progress.total_steps,
            epoch=progress.epoch,
            lr=progress.lr,
            terms={name: round(value, 6) for name, value in progress.terms.items()},
            grad_norm=round(progress.grad_norm, 6),
            seconds=round(progress.seconds, 4),
        )


class Validate(Hook):
    """Measures at intervals, says what it found, keeps the best trainable weights and puts them back at the end.

    Args:
        model: whose trainable weights are kept.
        measure: gives figures by name; called without gradients, in evaluation mode.
        criteria: names of figures, higher is better; later ones decide ties.
        every: updates between measurements; 0: at the end of each epoch.
        journal: receives an ``evaluation`` line each time.
        at_first: also measure before the first update; those weights are never the best.
    """

    def __init__(
        self,
        model: nn.Module,
        measure: Callable[[], dict[str, float]],
        *,
        criteria: tuple[str, ...],
        every: int,
        journal: Journal,
        at_first: bool = False,
    ) -> None:
        self._model, self._measure, self._criteria = model, measure, criteria
        self._every, self._journal, self._at_first = every, journal, at_first
        self._weights: dict[str, Tensor] = {}
        self.first: dict[str, float] = {}
        self.best: dict[str, float] = {}
        self.best_step = 0

    def at_start(self, progress: Progress) -> None:
        """Measure the untouched weights if asked to."""
        if self._at_first:
            self.first = self._evaluate(progress)

    def after_step(self, progress: Progress) -> None:
        """Measure when it is time to."""
        last = progress.step == progress.total_steps
        due = progress.step % self._every == 0 if self._every else progress.epoch_ended
        if not (due or last):
            return
        figures = self._evaluate(progress)
        if not self.best or self._rank(figures) > self._rank(self.best):
            self.best, self.best_step = figures, progress.step
            self._weights = {name: value.detach().cpu().clone() for name, value in self._trainable()}

    def at_end(self, progress: Progress) -> None:
        """Put the best weights back."""
        with torch.no_grad():
            for name, value in self._trainable():
                value.copy_(self._weights[name])

    def _evaluate(self, progress: Progress) -> dict[str, float]:
        self._model.eval()
        with torch.no_grad():
            figures = self._measure()
        self._model.train()
        shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        console.say(f"validation at step {progress.step}/{progress.total_steps}: {shown}")
        self._journal.write("evaluation", step=progress.step, epoch=progress.epoch, figures=figures)
        return figures

    def _rank(self, figures: dict[str, float]) -> tuple[float, ...]:
        """Figures to compare by; one that does not exist (no negatives, scores that are no numbers) ranks last."""
        values = (figures[name] for name in self._criteria)
        return tuple(-math.inf if math.isnan(value) else value for value in values)

    def _trainable(self) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in self._model.named_parameters() if value.requires_grad]
