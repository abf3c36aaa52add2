"""Whoever does the blocks of a search for this process: a crew of Ray, or the processes of a launcher."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from bistill.distributed import crews, joining
from bistill.distributed.blocks import Block, Done, Work
from bistill.distributed.parts import CrewHelp
from bistill.distributed.rounds import TeamHelp


class Kept(Protocol):
    """Parts of something too large for this process, made by the others and kept by them for later work."""

    def make(self, take: Callable[[Block, Any], None]) -> None:
        """Make all parts; each block, without its content, and what is told of its part are taken in any order.

        Raises:
            ProcessError: as ``Helpers.finish``.
        """

    def each(self, work: Work, take: Callable[[Block, Any], None]) -> None:
        """Have ``work.do(tool, part)`` done with every part; each block and its result are taken, in any order.

        Raises:
            ProcessError: as ``Helpers.finish``.
        """


class Helpers(Protocol):
    """Who does blocks."""

    @property
    def size(self) -> int:
        """How many do them."""

    def finish(self, work: Work, blocks: Iterable[Block], take: Callable[[Done], None]) -> None:
        """Have all blocks done; each is taken as soon as it is, in any order.

        Raises:
            ProcessError: a block cannot be done, or nobody is left to do it. What is still at work is ended.
        """

    def parts(
        self, work: Work, blocks: Callable[[Sequence[int]], Iterable[Block]], count: int
    ) -> AbstractContextManager[Kept]:
        """Parts that are kept within the context.

        Args:
            work: ``do(tool, *block.content)`` gives what is told of a part, which is small, and the part itself.
            blocks: gives the blocks of some places from 0 on, in their order, the same ones every time.
            count: of the parts.
        """


def helpers() -> Helpers | None:
    """Who does blocks for this process; None: it works alone."""
    if (crew := crews.crew()) is not None:
        return CrewHelp(crew)
    return None if (team := joining.here()) is None else TeamHelp(team)
