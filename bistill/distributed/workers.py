"""One worker of a crew: an actor of Ray in a process of its own, and how the driver holds it."""

from __future__ import annotations

import os
import platform
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from bistill.distributed.blocks import Answer, Block, Work, answered

# Seconds between two questions whether a worker lives, which it answers while it computes, and how long an answer may
# take.
ASKED_EVERY: Final = 5.0
SILENCE: Final = 60.0
# Blocks of a worker: one at work and one that waits, so that it need not wait for the driver.
AHEAD: Final = 2


class Hand:
    """The worker's side, an actor: it does one block at a time, and says meanwhile that it lives.

    Args:
        threads: that its arithmetic takes.
    """

    def __init__(self, threads: int) -> None:
        # Before a library that reads them is loaded.
        os.environ["RAYON_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
        import torch

        torch.set_num_threads(threads)
        self._tool: Any = None

    def alive(self) -> str:
        """Which process this is."""
        return f"pid {os.getpid()} on {platform.node()}"

    def prepare(self, make: Callable[..., Any] | None, *shared: Any) -> Answer:
        """Make the tool of the coming blocks; the one before is let go first."""
        self._tool = None
        answer = Answer(None) if make is None else answered(make, *shared)
        self._tool = answer.result
        return answer._replace(result=None)

    def do(self, function: Callable[..., Any], content: tuple[Any, ...]) -> Answer:
        """The result of a block."""
        return answered(function, self._tool, *content)


class Flight(NamedTuple):
    """A block on its way: its place among all, and how often it was tried before."""

    place: int
    block: Block
    tries: int = 0


class Worker:
    """The driver's hold on a worker. Its process is asked for at once and may begin later.

    Args:
        threads: processors that it has, and threads that it computes with.
        gpus: GPUs that it has.

    Attributes:
        name: of its process, once it has begun.
        ready: whether its tool is made.
        flights: its blocks, the one at work first.
        since: when that one was begun, by ``time.monotonic``.
    """

    def __init__(self, threads: int, gpus: int) -> None:
        import ray

        # Its annotations do not know groups.
        groups: dict[str, Any] = {"concurrency_groups": {"alive": 1}}
        actor: Any = ray.remote(num_cpus=threads, num_gpus=gpus, max_restarts=0, **groups)(_hand())
        self._actor: Any = actor.remote(threads)
        self.name, self.ready = "", False
        self.flights: deque[tuple[Any, Flight]] = deque()
        self.since = time.monotonic()
        self._preparing: Any = None
        self._asked_at, self._question = time.monotonic(), self._actor.alive.remote()

    def prepare(self, work: Work) -> None:
        """Have it make its tool, of what is shared through Ray's object store; ``ready`` says when that is done."""
        self.ready, self._preparing = False, self._actor.prepare.remote(work.make, *work.shared)

    def send(self, work: Work, flight: Flight) -> None:
        """Give it a block."""
        if not self.flights:
            self.since = time.monotonic()
        self.flights.append((self._actor.do.remote(work.do, flight.block.content), flight))

    def has_room(self) -> bool:
        """Whether it takes a further block: none beside one that was tried before, which may end it."""
        return self.ready and len(self.flights) < AHEAD and not any(flight.tries for _, flight in self.flights)

    def waited_for(self) -> list[Any]:
        """Whose answers are awaited: references of Ray."""
        return [reference for reference in (self._preparing, self._question) if reference is not None] + [
            reference for reference, _ in self.flights
        ]

    def take(self, reference: Any) -> tuple[Flight | None, Answer]:
        """An answer that is there, and the block that it is of; None: that of ``prepare``, or to whether it lives.

        Raises:
            RayError: the worker is gone, or the answer was lost.
        """
        import ray

        found = ray.get(reference)
        if reference == self._question:
            self.name, self._question = found, None
            return None, Answer(None)
        if reference == self._preparing:
            self._preparing, self.ready = None, not found.failed
            return None, found
        place = next(place for place, (own, _) in enumerate(self.flights) if own == reference)
        flight = self.flights[place][1]
        del self.flights[place]
        self.since = time.monotonic()
        return flight, found

    def finished(self) -> list[tuple[Flight, Answer]]:
        """What a worker that was lost had answered before; the other blocks stay."""
        import ray
        from ray.exceptions import RayError

        answered = []
        for reference, flight in list(self.flights):
            with suppress(RayError):
                if ray.wait([reference], timeout=0)[0]:
                    answered.append((flight, ray.get(reference)))
                    self.flights.remove((reference, flight))
        return answered

    def silent(self) -> bool:
        """Ask whether it lives, where that is due; whether it has not answered for too long.

        An answer that nobody has looked at, since the driver was busy with something else, is one.
        """
        import ray

        now = time.monotonic()
        if self._question is None and now - self._asked_at >= ASKED_EVERY:
            self._asked_at, self._question = now, self._actor.alive.remote()
        if not self.name or self._question is None or now - self._asked_at <= SILENCE:
            return False
        return not ray.wait([self._question], timeout=0)[0]

    def end(self) -> None:
        """End its process, whatever it does."""
        import ray

        ray.kill(self._actor, no_restart=True)


def _hand() -> type[Hand]:
    """The class of the actor, which answers whether it lives in a thread of its own."""
    import ray

    class Named(Hand):
        @ray.method(concurrency_group="alive")
        def alive(self) -> str:
            return super().alive()

    Named.__name__ = Hand.__name__
    return Named
