"""Blocks done by the processes of a launcher: in each round every process does one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, NamedTuple

from bistill.distributed.blocks import Answer, Block, Done, Work, answered, unfinished
from bistill.distributed.team import Desk, Team
from bistill.errors import ProcessError, Told


class TeamHelp(NamedTuple):
    """``Helpers`` that are a team, whose leader does blocks, too."""

    team: Team

    @property
    def size(self) -> int:
        """Processes."""
        return self.team.size

    def finish(self, work: Work, blocks: Iterable[Block], take: Callable[[Done], None]) -> None:
        """See ``Helpers.finish``."""
        with _tool(self.team, work) as tool:
            for done in _rounds(self.team, work, blocks, _do, tool):
                take(done)

    @contextmanager
    def parts(self, work: Work, blocks: Callable[[Sequence[int]], Iterable[Block]], count: int) -> Iterator[TeamParts]:
        """See ``Helpers.parts``."""
        name = f"parts {self.team.new_number()}"
        try:
            yield TeamParts(self.team, work, blocks(range(count)), name)
        finally:
            _forget(self.team, name)


class TeamParts:
    """Parts that the processes of a team keep: that of each block in the process that made it.

    Args:
        team: whose processes make them.
        work: as ``Helpers.parts`` takes it.
        blocks: one for each part, read once.
        name: of the parts at each desk.
    """

    def __init__(self, team: Team, work: Work, blocks: Iterable[Block], name: str) -> None:
        self._team, self._work, self._blocks, self._name = team, work, blocks, name
        self._made: list[Block] = []

    def make(self, take: Callable[[Block, Any], None]) -> None:
        """See ``Kept.make``."""
        with _tool(self._team, self._work) as tool:
            for done in _rounds(self._team, self._work, self._blocks, _make, tool, self._name):
                # The round is the place of the part at its desk, and the same process has it again in that round.
                self._made.append(done.block._replace(content=(done.place // self._team.size,)))
                take(done.block, done.result)

    def each(self, work: Work, take: Callable[[Block, Any], None]) -> None:
        """See ``Kept.each``."""
        with _tool(self._team, work) as tool:
            for done in _rounds(self._team, work, self._made, _use, tool, self._name):
                take(done.block, done.result)


@contextmanager
def _tool(team: Team, work: Work) -> Iterator[str]:
    """Context in which each process has the tool of some work; its name at the desk.

    Raises:
        ProcessError: it cannot be made.
    """
    name = f"tool {team.new_number()}"
    try:
        for answer in team.everywhere(_prepare, name, work.make, work.shared):
            if answer.failed:
                raise ProcessError(
                    "a process cannot do this work",
                    where=work.unit,
                    found=Told(answer.failed),
                    todo="mend what is found",
                )
        yield name
    finally:
        _forget(team, name)


def _rounds(
    team: Team, work: Work, blocks: Iterable[Block], function: Callable[..., Answer], *names: str
) -> Iterator[Done]:
    """What became of each block, in their order; ``function(desk, do, content, *names)`` does one.

    Raises:
        ProcessError: one cannot be done.
    """
    rest, place = iter(blocks), 0
    while some := list(islice(rest, team.size)):
        contents = [*(block.content for block in some), *[None] * (team.size - len(some))]
        answers = team.together(function, [(work.do, content, *names) for content in contents])
        for block, answer in zip(some, answers, strict=False):
            if answer.failed:
                raise unfinished(work, block, answer.failed)
            yield Done(place, block._replace(content=()), answer.result)
            place += 1


def _forget(team: Team, name: str) -> None:
    with suppress(ProcessError):  # of a worker that is gone, which is told where it was noticed
        team.everywhere(_drop, name)


def _prepare(desk: Desk, name: str, make: Callable[..., Any] | None, shared: tuple[Any, ...]) -> Answer:
    """In each process: put the tool on the desk."""
    answer = Answer(None) if make is None else answered(make, *shared)
    desk.work[name] = answer.result
    return Answer(None, answer.failed)


def _drop(desk: Desk, name: str) -> None:
    """In each process: let go what a name stands for."""
    desk.work.pop(name, None)


def _do(desk: Desk, do: Callable[..., Any], content: tuple[Any, ...] | None, tool: str) -> Answer:
    """In each process: do a block; None: there is none."""
    return Answer(None) if content is None else answered(do, desk.work[tool], *content)


def _make(desk: Desk, do: Callable[..., Any], content: tuple[Any, ...] | None, tool: str, parts: str) -> Answer:
    """In each process: make the part of a block and keep it; what is told of it."""
    answer = _do(desk, do, content, tool)
    if content is None or answer.failed:
        return answer
    told, part = answer.result
    desk.work.setdefault(parts, []).append(part)
    return Answer(told)


def _use(desk: Desk, do: Callable[..., Any], content: tuple[int] | None, tool: str, parts: str) -> Answer:
    """In each process: do the work with a part."""
    return Answer(None) if content is None else answered(do, desk.work[tool], desk.work[parts][content[0]])
