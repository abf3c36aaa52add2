"""Work that is nothing without all of its blocks, and parts that workers make and keep for later work on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple

from bistill import console
from bistill.distributed.blocks import Block, Done, Work, unfinished
from bistill.distributed.crews import Crew
from bistill.errors import ProcessError

# How often the same work is begun for parts that are lost, before that is given up.
ROUNDS: Final = 5


class CrewHelp(NamedTuple):
    """``Helpers`` that are a crew."""

    crew: Crew

    @property
    def size(self) -> int:
        """Workers."""
        return self.crew.size

    def finish(self, work: Work, blocks: Iterable[Block], take: Callable[[Done], None]) -> None:
        """See ``Helpers.finish``."""
        finish(self.crew, work, blocks, take)

    @contextmanager
    def parts(self, work: Work, blocks: Callable[[Sequence[int]], Iterable[Block]], count: int) -> Iterator[Parts]:
        """See ``Helpers.parts``; Ray frees what nobody refers to any more."""
        yield Parts(self.crew, work, blocks, count)


def finish(crew: Crew, work: Work, blocks: Iterable[Block], take: Callable[[Done], None]) -> None:
    """Have all blocks done; each is taken as soon as it is, in any order.

    Raises:
        ProcessError: a block was set aside, or as ``Crew.each``. What is still at work is ended.
    """
    found = crew.each(work, blocks)
    try:
        for done in found:
            if done.why:
                raise unfinished(work, done.block, done.why)
            take(done)
    finally:
        found.close()  # now, and not when nothing refers to it any more: the cluster may be left by then


class Parts:
    """Parts of something too large for the driver, made by workers and kept on their machines for later work.

    A part lies in Ray's object store where it was made, which writes it to the disk when memory is short; the driver
    has a reference alone. It belongs to the process that made it and is lost with it, since a part that belonged to the
    driver would have to pass through it, and Ray makes nothing again that an actor made. So a part that is not found is
    made again here, of the same block.

    Args:
        crew: whose workers make them.
        work: ``do(tool, *block.content)`` gives what is told of a part, which is small, and the part itself.
        blocks: gives the blocks of some places from 0 on, in their order, the same ones every time.
        count: of the parts.
    """

    def __init__(self, crew: Crew, work: Work, blocks: Callable[[Sequence[int]], Iterable[Block]], count: int) -> None:
        self._crew, self._blocks = crew, blocks
        self._work = work._replace(do=partial(_made, work.do))
        self._parts: list[Block | None] = [None] * count

    def make(self, take: Callable[[Block, Any], None]) -> None:
        """Make all parts; each block, without its content, and what is told of its part are taken in any order.

        Raises:
            ProcessError: as ``finish``.
        """
        self._make(range(len(self._parts)), take)

    def each(self, work: Work, take: Callable[[Block, Any], None]) -> None:
        """Have ``work.do(tool, part)`` done with every part; each block and its result are taken, in any order.

        Raises:
            ProcessError: as ``finish``, or parts are lost again and again.
        """
        left: list[int] = list(range(len(self._parts)))
        for _ in range(ROUNDS):
            left = self._lost(work._replace(do=partial(_used, work.do)), left, take)
            if not left:
                return
            lost = [part for place in left if (part := self._parts[place]) is not None]
            rows = sum(part.size for part in lost)
            self._crew.repeated += rows
            console.say(f"ray: {rows} {work.unit} are worked on again: what was made of them is lost with its worker")
            self._make(left)
        raise ProcessError(
            f"what workers keep is lost {ROUNDS} times",
            where=f"{work.unit} {', '.join(part.name for part in lost)}",
            todo="see what ends the workers: their machines may be short of memory",
        )

    def _make(self, places: Sequence[int], take: Callable[[Block, Any], None] | None = None) -> None:
        def made(done: Done) -> None:
            told, reference = done.result
            self._parts[places[done.place]] = done.block._replace(content=(reference,))
            if take is not None:
                take(done.block, told)

        finish(self._crew, self._work, self._blocks(places), made)

    def _lost(self, work: Work, places: Sequence[int], take: Callable[[Block, Any], None]) -> list[int]:
        """Do the work with the parts of some places; the places of those that are lost."""
        lost: list[int] = []

        def used(done: Done) -> None:
            if done.result is None:
                lost.append(places[done.place])
            else:
                take(done.block, done.result[0])

        finish(self._crew, work, [part for place in places if (part := self._parts[place]) is not None], used)
        return sorted(lost)


def _made(do: Callable[..., tuple[Any, Any]], tool: Any, *content: Any) -> tuple[Any, Any]:
    """In a worker: what is told of a part, and a reference to it."""
    import ray

    told, part = do(tool, *content)
    return told, ray.put(part)


def _used(do: Callable[..., Any], tool: Any, reference: Any) -> tuple[Any] | None:
    """In a worker: the result of a part; None where it is lost."""
    import ray
    from ray.exceptions import ObjectLostError

    try:
        part = ray.get(reference)
    except ObjectLostError:
        return None
    return (do(tool, part),)
