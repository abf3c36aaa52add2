"""What the engine tells those that act between updates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        total_steps: updates of the whole run.
        step: updates done.
        epoch: 0-based epoch of the last update.
        epoch_ended: whether the last update was the last of its epoch.
        lr: learning rate of the last update.
        terms: loss terms of the last update.
        grad_norm: norm of the gradient before clipping.
        seconds: wall time of the last update.
        waited: seconds of it for which the batch was waited.
        tokens: tokens of the texts of the last update, padding not counted.
        micro_batches: groups of texts that the last update ran one after the other.
        micro_batch_tokens: tokens whose activations are held at once.
        memory_mib: memory held after the last update.
        figures: of the validation after the last update, {} where there was none.
        lr_factor: multiplies the learning rate of the options.
        rollbacks: returns to a checkpoint because the loss leapt.
        stop: why the run ends before its last update; "" while it does not.
        go_back: why the state is to be taken from the last checkpoint; "" while it is not.
    """

    total_steps: int
    step: int = 0
    epoch: int = 0
    epoch_ended: bool = False
    lr: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    grad_norm: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0
    tokens: int = 0
    micro_batches: int = 0
    micro_batch_tokens: int = 0
    memory_mib: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    lr_factor: float = 1.0
    rollbacks: int = 0
    stop: str = ""
    go_back: str = ""


class Hook:
    """Something that acts between updates; every method may be overridden.

    Attributes:
        name: under which its state stands in a checkpoint.
    """

    name = ""

    def at_start(self, progress: Progress) -> None:
        """Before the first update of this process."""

    def after_step(self, progress: Progress) -> None:
        """After each update."""

    def at_end(self, progress: Progress) -> None:
        """After the last update."""

    def close(self) -> None:
        """Always, also when the run failed."""

    def state(self) -> dict[str, Any]:
        """What a later process must know, as JSON; {}: nothing."""
        return {}

    def restore(self, state: dict[str, Any], best: dict[str, Tensor]) -> None:
        """Take over what ``state`` gave earlier, and the best weights of that moment."""

    def best(self) -> tuple[int, dict[str, Tensor]]:
        """Step and weights of the best model so far, of the one hook that keeps them."""
        return 0, {}
