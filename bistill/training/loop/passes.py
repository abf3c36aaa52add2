"""Forward and backward of texts in groups, of which as many as fit keep their graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from bistill.arrays import Ints
from bistill.models.compute.dropout import text_dropout


class Passes:
    """One forward of each group, and a backward once the gradient of the rows is known; groups that kept no graph are
    run forward a second time, with the same dropout.

    Args:
        forward: rows of the texts at some places.
        groups: places of the texts that are run together.
        sizes: tokens of each group.
        budget: tokens whose activations are held at once.
        seed: of this update's dropout.

    Attributes:
        at: places in work, None between them; after an exception, those at which it was raised.
    """

    def __init__(
        self, forward: Callable[[Ints], Tensor], groups: Sequence[Ints], sizes: Sequence[int], *, budget: int, seed: int
    ) -> None:
        self._run, self._groups, self._seed = forward, list(groups), seed
        kept = int(np.searchsorted(np.cumsum(sizes), budget, side="right"))
        self._kept = kept if kept < len(self._groups) else len(self._groups)
        self._pieces: list[Tensor] = []
        self.at: Ints | None = None

    @property
    def places(self) -> Ints:
        """Places of all texts in the order of the rows, int64 of shape (n,)."""
        return np.concatenate(self._groups)

    def rows(self) -> Tensor:
        """Rows of all texts, detached: (n, ...)."""
        for number, group in enumerate(self._groups):
            with self._working(group), torch.set_grad_enabled(number < self._kept):
                self._pieces.append(self._forward(group))
        return torch.cat([piece.detach() for piece in self._pieces])

    def carry(self, gradient: Tensor) -> None:
        """Add the gradient of the parameters, from that of the rows: (n, ...)."""
        parts = gradient.split([len(group) for group in self._groups])
        for group, piece, part in zip(self._groups[: self._kept], self._pieces, parts, strict=False):
            with self._working(group):
                piece.backward(part)
        self._pieces.clear()
        for group, part in zip(self._groups[self._kept :], parts[self._kept :], strict=True):
            with self._working(group):
                self._forward(group).backward(part)

    def _forward(self, group: Ints) -> Tensor:
        with text_dropout(self._seed, group):
            return self._run(group)

    @contextmanager
    def _working(self, group: Ints) -> Iterator[None]:
        self.at = group
        yield
        self.at = None
