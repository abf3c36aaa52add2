"""A teacher that has learned nothing yet, said while there is time to change something."""

from __future__ import annotations

from typing import Any, Final

from torch import Tensor

from bistill import console
from bistill.journal import Journal
from bistill.models import logistic
from bistill.training.loop.hook import Hook, Progress
from bistill.training.teacher.pairs import PairTask

# Of the updates, those after which it is looked at; in a short run more, since single batches differ.
SHARE_OF_RUN: Final = 0.1
LEAST_UPDATES: Final = 5
# A loss below this part of the labels' entropy says more than their share.
PART: Final = 0.98
# Pairs whose labels give the share of relevant ones.
PAIRS: Final = 2500


class WatchUnlearned(Hook):
    """Says once, after a tenth of the updates, that the loss stays at the labels' own entropy: the loss of a model that
    gives every pair the share of relevant ones. What is compared is the mean of the later half of these updates.

    Args:
        task: gives the labels.
        lr: the peak learning rate that was taken.
        lora: whether adapters alone are trained.
        journal: receives an ``unlearned`` line.
    """

    name = "unlearned"

    def __init__(self, task: PairTask, *, lr: float, lora: bool, journal: Journal) -> None:
        self._task, self._lr, self._lora, self._journal = task, lr, lora, journal
        self._losses: list[float] = []

    def after_step(self, progress: Progress) -> None:
        """Keep the loss while it counts, and compare."""
        due = max(int(progress.total_steps * SHARE_OF_RUN), LEAST_UPDATES)
        if progress.step > due or due >= progress.total_steps or progress.go_back:
            return
        if progress.step > due // 2:
            self._losses.append(progress.terms.get("pointwise_bce", progress.terms["loss"]))
        if progress.step == due:
            self._compare(progress, sum(self._losses) / len(self._losses))

    def state(self) -> dict[str, Any]:
        """The losses that count."""
        return {"losses": [*self._losses]}  # a checkpoint may be written while updates go on

    def restore(self, state: dict[str, Any], best: dict[str, Tensor]) -> None:
        """Take them over."""
        self._losses = list(state["losses"])

    def _compare(self, progress: Progress, loss: float) -> None:
        share = float(self._task.drawn(PAIRS)[1].mean())
        entropy = logistic.entropy(share)
        if loss < PART * entropy:
            return
        message = (
            f"after {progress.step} of {progress.total_steps} updates the loss is {loss:.3f}, and giving every pair "
            f"the share of relevant ones, {share:.2f}, has {entropy:.3f}: nothing is learned yet. If it stays so: a "
            f"higher `Loop.lr` than {self._lr:g}, {'no `lora`, ' if self._lora else ''}or more `Loop.epochs`"
        )
        console.say(message)
        self._journal.write("unlearned", message=message, step=progress.step, loss=loss, entropy=entropy, share=share)
