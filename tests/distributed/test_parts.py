"""What is shared by all blocks, and parts that workers keep: found again, or made again where they are lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from bistill import distributed
from bistill.distributed import Block, Crew, Parts, Work
from bistill.distributed.parts import CrewHelp
from bistill.errors import ProcessError
from tests.clusters import crew_here
from tests.distributed import parting

ROWS = 6
SUMS = Work(parting.sum_of, unit="rows")
EXPECTED = [(f"row {row}", 50_000 * row) for row in range(ROWS)]


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with crew_here() as found:
        yield found


def ignored(*_: object) -> None:
    pass


def parts(crew: Crew, marker: str = "", asked: list[int] | None = None) -> Parts:
    def blocks(places: Sequence[int]) -> Iterator[Block]:
        for place in places:
            if asked is not None:
                asked.append(place)
            yield Block(f"row {place}", 1, (place, marker if place == 2 else ""))

    return Parts(crew, Work(parting.row_of, unit="rows"), blocks, ROWS)


def test_shared_content_reaches_every_worker_without_a_copy(crew: Crew) -> None:
    work = Work(parting.chosen, parting.made, "numbers", (np.arange(100_000), 3))
    done = list(crew.each(work, (Block(str(place), 1, (place,)) for place in range(0, 1_000, 50))))
    assert sorted(one.result[0] for one in done) == [3 * place for place in range(0, 1_000, 50)]
    assert not any(one.result[1] for one in done)  # its own copy could be written


def test_parts_are_made_once_and_used_by_several_works(crew: Crew) -> None:
    asked: list[int] = []
    kept, told, found = parts(crew, asked=asked), [], []
    kept.make(lambda block, row: told.append((block.name, block.size, row)))
    assert sorted(told) == [(f"row {row}", 1, row) for row in range(ROWS)]
    for _ in range(2):
        found.clear()
        kept.each(SUMS, lambda block, total: found.append((block.name, total)))
        assert sorted(found) == EXPECTED
    assert asked == list(range(ROWS))


def test_parts_whose_worker_was_killed_are_made_again(crew: Crew, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[int] = []
    kept, found, before = parts(crew, asked=asked), [], crew.repeated
    kept.make(ignored)
    parting.kill(parting.working(crew))
    kept.each(SUMS, lambda block, total: found.append((block.name, total)))
    assert sorted(found) == EXPECTED
    assert asked == [*range(ROWS), *range(ROWS)]
    assert crew.repeated - before >= ROWS
    assert f"ray: {ROWS} rows are worked on again" in capsys.readouterr().err


def test_a_worker_that_dies_while_it_makes_a_part(crew: Crew, tmp_path: Path) -> None:
    kept, told, found = parts(crew, str(tmp_path / "died")), [], []
    kept.make(lambda _, row: told.append(row))
    assert (tmp_path / "died").exists() and sorted(told) == list(range(ROWS))
    kept.each(SUMS, lambda block, total: found.append((block.name, total)))
    assert sorted(found) == EXPECTED


def test_a_block_that_is_set_aside_ends_the_work_naming_it(crew: Crew) -> None:
    with pytest.raises(ProcessError, match=r"rows row [135].*\n.*an odd row"):
        made = parts(crew)
        made.make(ignored)
        made.each(Work(parting.none_where_odd, unit="rows"), ignored)
    with pytest.raises(ProcessError, match=r"row . cannot be read"):
        Parts(crew, Work(parting.fails), lambda _: [Block("0", 1, (0,))], 1).make(ignored)


def test_an_error_of_who_takes_ends_what_is_at_work(crew: Crew) -> None:
    taken = []

    def take(done: distributed.Done) -> None:
        taken.append(done)
        raise KeyError("no room")

    many = (Block(str(row), 1, (row,)) for row in range(100))
    with pytest.raises(KeyError, match="no room"):
        CrewHelp(crew).finish(Work(parting.row_of), many, take)
    assert len(taken) == 1
    kept, found = parts(crew), []
    kept.make(ignored)
    kept.each(SUMS, lambda block, total: found.append((block.name, total)))
    assert sorted(found) == EXPECTED
