"""How much of an update is held at once: less after memory ran out, and step by step as much as before.

The budget says how an update is divided, not what it computes (``gradients.py``), so it may change at any update.
One text out of the ordinary must not slow the rest of a run. So after ``REST`` updates that went well a step is taken
back: first layers keep their values again, then the budget doubles, up to what the run began with. Where a step taken
back is soon followed by another shortage, the next one waits twice as long, like the loss scale of mixed precision that
grows back after an overflow (Micikevicius et al. 2018, "Mixed Precision Training"): of n updates about log2(n / REST)
are done twice in vain. All of it is a function of the updates so far and is saved with them, so that a run that goes on
from a checkpoint divides its updates as one that never stopped.
"""

from __future__ import annotations

from typing import Any, Final

import psutil
import torch
from torch import nn

from bistill.models.compute import recomputing
from bistill.training.loop.memory import UNLIMITED

# Updates that must go well before a step is taken back.
REST: Final = 20


class Budget:
    """Tokens whose activations are held at once, and whether layers compute twice instead of keeping their values.

    Args:
        model: whose layers may compute twice.
        tokens: to begin with, and never more.

    Attributes:
        tokens: at most so many at once, a single longer text alone.
    """

    def __init__(self, model: nn.Module, tokens: int) -> None:
        self._model, self._most = model, tokens
        self.tokens = tokens
        self._twice = False  # whether layers compute twice
        self._calm, self._rest = 0, REST  # updates since the last change; how many there must be
        self._tried = False  # whether the last change was a step back

    def halve(self, held: int) -> None:
        """After memory ran out with so many tokens held: half of them, or of the budget if that is less."""
        self._disturbed()
        self.tokens = max(min(self.tokens, held) // 2, 1)

    def compute_twice(self) -> bool:
        """After memory ran out with one text: have layers compute twice; False where they do, or cannot."""
        if self._twice or not recomputing.recompute(self._model):
            return False
        self._disturbed()
        self._twice = True
        return True

    def went_well(self) -> None:
        """After a whole update: perhaps take a step back to where the run began."""
        self._calm += 1
        if self._calm < self._rest:
            return
        whole = self.tokens >= self._most and not self._twice
        self._calm, self._tried = 0, not whole
        if self._twice:
            recomputing.keep(self._model)
            self._twice = False
        elif not whole:
            self.tokens = min(2 * self.tokens, self._most)

    def state(self) -> dict[str, Any]:
        """What a later process must know, as JSON."""
        return {
            "tokens": self.tokens,
            "most": self._most,
            "twice": self._twice,
            "calm": self._calm,
            "rest": self._rest,
            "tried": self._tried,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as a checkpoint says, but hold no more than now: what made a run go back may come again.

        A budget that memory never lowered says nothing: then that of this process counts. Checkpoints of older
        releases hold ``tokens`` alone.
        """
        if state["tokens"] < state.get("most", UNLIMITED):
            self.tokens = min(self.tokens, state["tokens"])
        self._calm, self._tried = state.get("calm", 0), state.get("tried", False)
        self._rest = max(self._rest, state.get("rest", REST))
        if state.get("twice") and not self._twice:
            self._twice = recomputing.recompute(self._model)

    def undo(self, state: dict[str, Any]) -> None:
        """Be as a state of this process says: what was given up since then was given up in vain."""
        self.tokens, self._calm, self._rest, self._tried = (state[name] for name in ("tokens", "calm", "rest", "tried"))
        if self._twice and not state["twice"]:
            recomputing.keep(self._model)
            self._twice = False

    def distrust(self) -> None:
        """An update was broken off with some weights changed, at the price of all updates since the last checkpoint."""
        self._rest *= 2

    def _disturbed(self) -> None:
        """Memory ran out: where that was soon after a step back, the next one waits longer."""
        if self._tried:
            self._rest *= 2
        self._calm, self._tried = 0, False


def held_mib(device: torch.device) -> int:
    """MiB that the process holds at the moment: of the GPU its highest since the start, of a CPU the resident set."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device) >> 20)
    return int(psutil.Process().memory_info().rss >> 20)
