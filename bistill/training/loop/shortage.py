"""The answer to memory that ran out in an update: what becomes of it, or what a user can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bistill.errors import MemoryShortageError
from bistill.training.loop.budget import Budget
from bistill.training.loop.gradients import Batch, Gradients


@dataclass(frozen=True)
class Held:
    """What a user can change so that an update holds less, for the message where nothing else is left.

    Attributes:
        sizes: by parameter, such as ``Lists.size``: its value, and the smallest that makes sense; what helps most where
            one text alone is too long comes first.
        lora: whether adapters are trained instead of all weights.
    """

    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    lora: bool = False


class Shortage:
    """What is done where memory ran out, so that the update is done again with less.

    Args:
        budget: how much is held at once; it is lowered.
        held: what a user can change where nothing else is left.
        mixed_precision: of the run, as accelerate names it.
    """

    def __init__(self, budget: Budget, held: Held, mixed_precision: str) -> None:
        self._budget, self._held, self._mixed_precision = budget, held, mixed_precision

    def before_the_batch(self, second: bool, said: str, where: str) -> str:
        """What the update before held is given back now, and the batch is made once more.

        Args:
            second: whether it happened for the second time.
            said: by the library that found no memory.
            where: step and samples.

        Returns:
            What is done, for the message.

        Raises:
            MemoryShortageError: it happened for the second time.
        """
        if second:
            raise MemoryShortageError(
                "memory does not suffice to make the batch",
                where=where,
                found=said,
                todo=self._todo(text_alone=False),
            )
        return " before the batch was made; it is made once more"

    def with_a_batch(
        self, batch: Batch, gradients: Gradients | None, said: str, where: str, first_budget: dict[str, Any]
    ) -> str:
        """Halve the budget; where texts are run one by one already, have layers compute twice.

        Where both are in vain the budget is what it was before this update, for a run that goes on later.

        Args:
            batch: of the update.
            gradients: at work when memory ran out; None: nothing was computed yet.
            said: by the library that found no memory.
            where: step and samples.
            first_budget: state of the budget before the update.

        Returns:
            What was done, for the message.

        Raises:
            MemoryShortageError: one text alone does not fit.
        """
        at = None if gradients is None else gradients.at
        held = int(batch.lengths.sum()) if gradients is None else sum(gradients.sizes())
        place = int(batch.lengths.argmax() if at is None else at[batch.lengths[at].argmax()])
        # A budget of more than the text at work needs can still shrink: the text is in company, or others are held.
        if self._budget.tokens > int(batch.lengths[place]):
            self._budget.halve(held)
            return f"; the update is undone and done again with at most {self._budget.tokens} tokens at once"
        if at is not None and self._budget.compute_twice():
            return f" with {batch.describe(place)} alone; from now on layers are computed twice instead of being kept"
        self._budget.undo(first_budget)
        if at is None:
            part, todo = "the loss or the optimizer alone", self._todo(text_alone=False)
        else:
            part = f"{batch.describe(place)} alone ({int(batch.lengths[place])} tokens)"
            todo = self._todo(text_alone=True)
        raise MemoryShortageError(f"memory does not suffice for {part}", where=where, found=said, todo=todo)

    def _todo(self, *, text_alone: bool) -> str:
        """What a user can do, with numbers; what helps most comes first: of one text its length, else the others."""
        sizes = list(self._held.sizes.items())
        if not text_alone:
            sizes = [*sizes[1:], *sizes[:1]]
        lower = [f"`{name}` to {value // 2} (it is {value})" for name, (value, least) in sizes if value // 2 >= least]
        ways = [f"lower {', '.join(lower)}"] if lower else []
        ways += [] if self._held.lora else ["train with `lora`"]
        ways += [] if self._mixed_precision == "bf16" else ["give `precision` bf16"]
        return f"{', '.join(ways)}, or use a machine with more memory; other values than before need `restart`"
