"""Everything that another process needs to go on with a run: taken at one place, put back at another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bistill.training.loop import optimizer
from bistill.training.loop.budget import Budget
from bistill.training.loop.hook import Hook, Progress
from bistill.training.run.checkpoint import State


class States:
    """Takes and puts back the state of one run.

    Args:
        model: whose trained parameters and buffers are the weights.
        used: the optimizer.
        scaler: of the gradients in fp16, else None.
        budget: how much is held at once.
        progress: where the run is.
        hooks: whose states belong to it.
    """

    def __init__(
        self,
        model: nn.Module,
        used: torch.optim.Optimizer,
        scaler: Any,
        budget: Budget,
        progress: Progress,
        hooks: Sequence[Hook],
    ) -> None:
        self._model, self._optimizer, self._scaler = model, used, scaler
        self._budget, self._progress, self._hooks = budget, progress, hooks

    def take(self, run: dict[str, Any], *, copied: bool) -> State:
        """The state at this moment, on the CPU.

        Args:
            run: what the run is, by part, as ``Saving`` has it.
            copied: whether the tensors are copies that later updates do not touch, also where they are on the CPU.
        """
        best_step, best = max((hook.best() for hook in self._hooks), key=lambda found: found[0], default=(0, {}))
        return State(
            step=self._progress.step,
            run=run,
            weights={name: value.detach().to("cpu", copy=copied) for name, value in self._tensors()},
            best=best,
            best_step=best_step,
            optimizer=optimizer.state(self._model, self._optimizer, copied=copied),
            schedule={
                "lr_factor": self._progress.lr_factor,
                "rollbacks": self._progress.rollbacks,
                "stop": self._progress.stop,
                "micro_batch_tokens": self._budget.tokens,
                "budget": self._budget.state(),
                "loss_scale": None if self._scaler is None else self._scaler.state_dict(),
            },
            hooks={hook.name: found for hook in self._hooks if (found := hook.state())},
        )

    def size(self) -> int:
        """Bytes of a state: weights, best weights and the optimizer's two moments."""
        return 4 * sum(value.numel() * value.element_size() for _, value in self._tensors())

    def put_back(self, state: State, *, lr_factor: float) -> None:
        """Go to the place of a state; its epoch is left to who knows how many updates one has.

        Args:
            state: as ``take`` gave it, in this process or another.
            lr_factor: of the options; what a run has lowered it to stays.
        """
        with torch.no_grad():
            for name, value in self._tensors():
                value.copy_(state.weights[name])
        optimizer.restore(self._model, self._optimizer, state.optimizer)
        progress, schedule = self._progress, state.schedule
        progress.step, progress.stop = state.step, schedule["stop"]
        progress.lr_factor = min(schedule["lr_factor"], lr_factor)
        progress.rollbacks = schedule["rollbacks"]
        self._budget.restore(schedule.get("budget") or {"tokens": schedule["micro_batch_tokens"]})
        if self._scaler is not None and schedule["loss_scale"]:
            self._scaler.load_state_dict(schedule["loss_scale"])
        for hook in self._hooks:
            if hook.name in state.hooks:
                hook.restore(state.hooks[hook.name], state.best)

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Trained parameters and the buffers that belong to the weights."""
        yield from ((name, value) for name, value in self._model.named_parameters() if value.requires_grad)
        kept = self._model.state_dict().keys()
        yield from ((name, value) for name, value in self._model.named_buffers() if name in kept)
