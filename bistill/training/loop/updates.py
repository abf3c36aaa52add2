"""The updates of a run by number: samples, seed and learning rate of each, and its batch, made ahead.

All of it is a function of the number alone, so that any update can be done again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from bistill.arrays import Ints
from bistill.data.sampling import generator
from bistill.training.loop import memory
from bistill.training.loop.gradients import Batch
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

    def __init__(self, order: Callable[[int, int], Ints], samples: int, loop: Loop) -> None:
        self.of_an_epoch = math.ceil(samples / loop.batch_size)
        self._order, self._loop = order, loop
        self._newest: tuple[int, Ints] | None = None

    def __len__(self) -> int:
        return self.of_an_epoch * self._loop.epochs

    def __iter__(self) -> Iterator[tuple[int, Ints]]:
        return (self[step] for step in range(len(self)))

    def __getitem__(self, step: int) -> tuple[int, Ints]:
        """0-based epoch and sample ids of an update; asked for by two threads, so an order is taken over as a whole."""
        assert 0 <= step < len(self), step
        epoch, number = divmod(step, self.of_an_epoch)
        newest = self._newest
        if newest is None or newest[0] != epoch:
            newest = self._newest = (epoch, self._order(self._loop.seed, epoch))
        start = number * self._loop.batch_size
        return epoch, newest[1][start : start + self._loop.batch_size]

    def seed(self, step: int) -> int:
        """The seed of all random numbers of an update."""
        return int(generator(self._loop.seed, "step", step).integers(2**62))

    def rate(self, step: int) -> float:
        """Share of the peak learning rate of an update."""
        return warmup_decay_factor(step, len(self), self._loop.warmup_ratio)


class Prefetch:
    """Batches of updates by number, made in a background thread: when one is taken, that of the next begins to be made.

    What is made ahead changes nothing but the time: a batch is a function of its update alone, what was made for
    another update than the one asked for (after a return to a checkpoint) is thrown away, and what went wrong is raised
    at the update that needs the batch. All batches are made in one thread, so ``make`` is never entered twice at once.
    It must leave torch's global generator alone, which the update at work draws from.

    Leaving the context ends the thread, once the batch at work is done.

    Args:
        make: gives the batch of a 0-based update, the same each time.
        updates: of the whole run; nothing is made ahead behind the last.

    Attributes:
        waited: seconds for which the last batch was waited.
    """

    def __init__(self, make: Callable[[int], Batch], updates: int) -> None:
        self.make, self._updates = make, updates
        self.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
        self._ahead: tuple[int, Future[Batch]] | None = None
        self.waited = 0.0

    def batch(self, step: int) -> Batch:
        """The batch of a 0-based update.

        Raises:
            Exception: whatever ``make`` raised for this update.
        """
        started = time.perf_counter()
        try:
            batch = self._made_ahead(step) or self.thread.submit(self.make, step).result()
        finally:
            self.waited = time.perf_counter() - started
        if step + 1 < self._updates:
            self._ahead = (step + 1, self.thread.submit(self.make, step + 1))
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ahead = None
        self.thread.shutdown(cancel_futures=True)

    def _made_ahead(self, step: int) -> Batch | None:
        """The batch that was made ahead; None where that was for another update, or there was no memory for it."""
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return None
        if ahead[0] != step:
            ahead[1].cancel()
            return None
        try:
            return ahead[1].result()
        except Exception as error:
            if not memory.is_out_of_memory(error):
                raise
            return None  # the update before held memory at the time: this one tries again, alone


def warmup_decay_factor(step: int, total_steps: int, warmup_ratio: float) -> float:
    """Share of the peak learning rate at a 0-based update: rises linearly to 1, then falls linearly to 0.

    With w = round(total_steps * warmup_ratio): (step + 1) / (w + 1) below w, then
    (total_steps - step) / (total_steps - w).
    """
    warmup = round(total_steps * warmup_ratio)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(total_steps - step, 0) / max(total_steps - warmup, 1)
