"""The next update's batch, made in a background thread while the current update computes."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from bistill.training.loop import memory
from bistill.training.loop.batch import Batch


class Prefetch:
    """Batches of updates by number; when one is taken, that of the next update begins to be made.

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
        self._make, self._updates = make, updates
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
        self._ahead: tuple[int, Future[Batch]] | None = None
        self.waited = 0.0

    def batch(self, step: int) -> Batch:
        """The batch of a 0-based update.

        Raises:
            Exception: whatever ``make`` raised for this update.
        """
        started = time.perf_counter()
        try:
            batch = self._made_ahead(step) or self._thread.submit(self._make, step).result()
        finally:
            self.waited = time.perf_counter() - started
        if step + 1 < self._updates:
            self._ahead = (step + 1, self._thread.submit(self._make, step + 1))
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ahead = None
        self._thread.shutdown(cancel_futures=True)

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
