"""One pass of a crew over some blocks: who does which, and what becomes of a block whose worker is lost."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from bistill import console
from bistill.distributed.blocks import Answer, Block, Done, Work
from bistill.distributed.workers import AHEAD, SILENCE, Flight, Worker
from bistill.errors import ProcessError

# How often a block is begun before it is set aside, and a worker in one place before that is given up.
TRIES: Final = 3
# Blocks set aside one after the other that mean that the work itself is at fault: the first ones, and later ones.
HOPELESS: Final = 3
HOPELESS_LATER: Final = 10
# Seconds until the first worker must have begun: a cluster may have to start machines.
BEGINS: Final = 600.0
# Seconds at one block after which it is named.
LONG: Final = 600.0
LOOKS_EVERY: Final = 1.0


class Shift:
    """Blocks done by workers, each result given out once.

    Args:
        work: what is done with each block.
        blocks: read one by one, when a worker is free.
        workers: those of the crew, replaced in place where they are lost; None: one that was given up.
        hire: gives a new worker.
        in_order: whether results are given out in the order of the blocks.

    Attributes:
        workers: as above.
        repeated: rows of blocks that were begun again.
    """

    def __init__(
        self,
        work: Work,
        blocks: Iterable[Block],
        workers: list[Worker | None],
        hire: Callable[[], Worker],
        *,
        in_order: bool,
    ) -> None:
        import ray

        self.workers, self.repeated = workers, 0
        self._work = work._replace(shared=tuple(ray.put(one) for one in work.shared))
        self._hire, self._in_order = hire, in_order
        self._blocks = itertools.starmap(Flight, enumerate(blocks))
        self._again: deque[Flight] = deque()
        self._waiting: list[tuple[int, Done]] = []  # a heap of results that must wait for those before them
        self._given = self._done = self._failing = 0
        self._starts = [0] * len(workers)
        self._named: set[int] = set()
        self._began_at = time.monotonic()

    def run(self) -> Iterator[Done]:
        """See ``Crew.each``."""
        for worker in filter(None, self.workers):
            worker.prepare(self._work)
        while self._send():
            for place, reference in self._answered():
                yield from self._given_out(self._taken(place, reference))
            yield from self._given_out(self._watched())

    def _send(self) -> bool:
        """Give blocks to those that have room; whether there is something to wait for."""
        for _ in range(AHEAD):
            for worker in sorted(filter(None, self.workers), key=lambda worker: len(worker.flights)):
                if worker.has_room() and (flight := self._next(alone=not worker.flights)):
                    worker.send(self._work, flight)
        if any(worker and worker.flights for worker in self.workers) or self._again:
            return True
        if any(worker and worker.ready for worker in self.workers):
            return False  # it had room, and there was nothing to send
        if (flight := self._next(alone=True)) is None:
            return False
        self._again.append(flight)
        return True

    def _next(self, *, alone: bool) -> Flight | None:
        """The next block for a worker that has no other (``alone``) or has one; None where there is none, or it waits.

        A block that was tried before goes to a worker alone: where that dies, it is known which block was at work.
        """
        if self._again:
            return self._again.popleft() if alone or not self._again[0].tries else None
        if self._in_order and len(self._waiting) >= 2 * AHEAD * len(self.workers):
            return None
        return next(self._blocks, None)

    def _answered(self) -> list[tuple[int, Any]]:
        """An answer that is there, and the place of its worker; nothing after a while without one."""
        import ray

        whose = {
            reference: place
            for place, worker in enumerate(self.workers)
            if worker is not None
            for reference in worker.waited_for()
        }
        found, _ = ray.wait(list(whose), num_returns=1, timeout=LOOKS_EVERY)
        return [(whose[reference], reference) for reference in found]

    def _taken(self, place: int, reference: Any) -> list[Done]:
        """What an answer makes known."""
        from ray.exceptions import RayError

        worker = self.workers[place]
        assert worker is not None
        try:
            flight, answer = worker.take(reference)
        except RayError as error:
            return self._lost(place, f"is gone ({str(error).splitlines()[0]})")
        if flight is not None:
            return self._of_block(flight, answer)
        if answer.failed:
            self._give_up(place, answer.failed)
        elif worker.ready:
            self._starts[place] = 0
        return []

    def _of_block(self, flight: Flight, answer: Answer) -> list[Done]:
        if not answer.failed:
            self._done, self._failing = self._done + 1, 0
            return [Done(flight.place, flight.block._replace(content=()), answer.result)]
        return self._tried(flight, answer.failed)

    def _tried(self, flight: Flight, why: str) -> list[Done]:
        """Have a block that failed begun again, or set it aside."""
        block, tries = flight.block, flight.tries + 1
        if tries < TRIES:
            self.repeated += block.size
            self._again.append(flight._replace(tries=tries))
            return []
        self._failing += 1
        if self._failing == (HOPELESS_LATER if self._done else HOPELESS):
            raise ProcessError(
                f"{self._failing} blocks one after the other fail {TRIES} times each: {why.splitlines()[0]}",
                where=f"{self._work.unit} {block.name}",
            )
        console.say(f"ray: {self._work.unit} {block.name} are set aside: {TRIES} times: {why}")
        return [Done(flight.place, block._replace(content=()), None, why)]

    def _watched(self) -> list[Done]:
        """End workers that do not answer; name a block that takes long.

        Raises:
            ProcessError: the cluster gives no worker.
        """
        found, now = [], time.monotonic()
        for place, worker in enumerate(self.workers):
            if worker is None:
                continue
            if worker.silent():
                found += self._lost(place, f"has not answered for {SILENCE:g} seconds")
            elif worker.flights and now - worker.since > LONG and worker.flights[0][1].place not in self._named:
                flight = worker.flights[0][1]
                self._named.add(flight.place)
                console.say(
                    f"ray: worker {worker.name} has been at {self._work.unit} {flight.block.name} for "
                    f"{LONG / 60:g} minutes, and answers"
                )
        if now - self._began_at > BEGINS and not any(worker and worker.name for worker in self.workers):
            raise ProcessError(
                f"the cluster has started no worker in {BEGINS / 60:g} minutes",
                todo="see `ray status`: others may hold its processors or GPUs",
            )
        return found

    def _lost(self, place: int, how: str) -> list[Done]:
        """Replace a worker; what it had finished counts, each of its other blocks as tried."""
        worker = self.workers[place]
        assert worker is not None
        found = [done for flight, answer in worker.finished() for done in self._of_block(flight, answer)]
        worker.end()
        flights = [flight for _, flight in worker.flights]
        rows = sum(flight.block.size for flight in flights)
        again = (
            f"; {rows} {self._work.unit} of {console.counted(len(flights), 'block')} are begun again" if rows else ""
        )
        console.say(f"ray: worker {worker.name or place} {how}{again}")
        self._starts[place] += not flights
        if self._starts[place] >= TRIES:
            self._give_up(place, how)
        else:
            self.workers[place] = self._hire()
            self.workers[place].prepare(self._work)  # type: ignore[union-attr]
        for flight in flights:
            found += self._tried(flight, f"its worker {how}")
        return found

    def _give_up(self, place: int, why: str) -> None:
        """Go on without a worker that cannot do the work.

        Raises:
            ProcessError: there is no other.
        """
        worker = self.workers[place]
        assert worker is not None
        self.workers[place] = None
        worker.end()
        if not any(self.workers):
            raise ProcessError(
                f"no worker can do this work: {why.splitlines()[0]}",
                where=f"worker {worker.name or place}",
                todo="have models in the same place on every machine, or name one of the hub",
            )
        console.say(f"ray: worker {worker.name or place} cannot do this work, the others go on without it: {why}")

    def _given_out(self, found: list[Done]) -> Iterator[Done]:
        if not self._in_order:
            yield from found
            return
        for done in found:
            heapq.heappush(self._waiting, (done.place, done))
        while self._waiting and self._waiting[0][0] == self._given:
            self._given += 1
            yield heapq.heappop(self._waiting)[1]
