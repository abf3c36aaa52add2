"""Which samples each update of a run sees: a function of its number alone, so that any of them can be done again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from bistill.training.settings import Loop


class Updates:
    """The updates of a run, by their 0-based number.

    Args:
        order: ids of all samples in the order in which an epoch sees them, by (seed, epoch).
        samples: samples of one epoch.
        loop: epochs, samples of an update, seed. The last update of an epoch has what is left.

    Attributes:
        of_an_epoch: updates of one epoch.
    """

    def __init__(self, order: Callable[[int, int], np.ndarray], samples: int, loop: Loop) -> None:
        self.of_an_epoch = math.ceil(samples / loop.batch_size)
        self._order, self._loop = order, loop
        self._newest: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return self.of_an_epoch * self._loop.epochs

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        return (self[step] for step in range(len(self)))

    def __getitem__(self, step: int) -> tuple[int, np.ndarray]:
        """0-based epoch and sample ids of an update; asked for by two threads, so an order is taken over as a whole."""
        assert 0 <= step < len(self), step
        epoch, number = divmod(step, self.of_an_epoch)
        newest = self._newest
        if newest is None or newest[0] != epoch:
            newest = self._newest = (epoch, self._order(self._loop.seed, epoch))
        start = number * self._loop.batch_size
        return epoch, newest[1][start : start + self._loop.batch_size]
