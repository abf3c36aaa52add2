"""A crew of Ray workers: each block done once, whatever dies, stops or cannot be done."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bistill import distributed
from bistill.distributed import Crew, Work, shift, workers
from bistill.errors import ProcessError
from tests.clusters import crew_here
from tests.distributed import blocks as given
from tests.distributed.blocks import SQUARES, blocks


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with crew_here() as found:
        assert found.size == os.cpu_count()
        yield found
    assert distributed.crew() is None


def test_every_block_is_done_once_by_workers_that_keep_their_tool(crew: Crew) -> None:
    done = list(crew.each(SQUARES, blocks(*((number,) for number in range(30)))))
    assert sorted((one.place, one.result[0]) for one in done) == [(number, number**2) for number in range(30)]
    assert {one.result[1] for one in done} == {f"tool of {one.result[2]}" for one in done}
    assert os.getpid() not in {one.result[2] for one in done}
    assert done[0].block.content == () and done[0].block.size == 10


def test_results_come_as_they_end_or_in_order(crew: Crew) -> None:
    slow = [(0.9, "sleep"), (0.6, "sleep"), (0.0,), (0.0,)]
    assert [one.place for one in crew.each(SQUARES, blocks(*slow))] != [0, 1, 2, 3]
    assert [one.place for one in crew.each(SQUARES, blocks(*slow), in_order=True)] == [0, 1, 2, 3]


def test_blocks_are_read_when_there_is_room_for_them(crew: Crew) -> None:
    read: list[str] = []
    many = given.counting(blocks(*((number,) for number in range(200))), read)
    found = crew.each(SQUARES, many)
    next(found)
    assert len(read) <= 2 * crew.size + 1
    found.close()
    # Of results that wait for an earlier one there are no more, either.
    read.clear()
    many = given.counting(blocks((1.0, "sleep"), *((number,) for number in range(200))), read)
    assert next(crew.each(SQUARES, many, in_order=True)).place == 0
    assert len(read) <= 6 * crew.size + 1


def test_a_worker_that_is_killed_is_replaced(crew: Crew, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marker, before, killed = tmp_path / "pid", crew.repeated, []

    def kill() -> None:
        while not (marker.exists() and marker.read_text()):
            time.sleep(0.05)
        killed.append(int(marker.read_text()))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    contents = [(3.0, "tell", str(marker)), *((number,) for number in range(20))]
    done = list(crew.each(SQUARES, blocks(*contents)))
    killer.join()
    assert sorted(one.place for one in done) == list(range(21)) and not any(one.why for one in done)
    assert crew.repeated - before in (10, 20)  # the block at work, and one that waited
    assert f"ray: worker pid {killed[0]} on " in capsys.readouterr().err


def test_a_block_that_fails_three_times_is_set_aside_with_its_rows(
    crew: Crew, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = [(0,), (1, "raise"), (2,), (3, "die"), (4,)]
    done = {one.place: one for one in crew.each(SQUARES, blocks(*contents))}
    assert [done[place].result[0] for place in (0, 2, 4)] == [0, 4, 16]
    assert done[1].result is None and done[1].why == "ValueError: this row cannot be read"
    assert done[3].result is None and "its worker is gone" in done[3].why
    said = capsys.readouterr().err
    assert "numbers 10 to 19 are set aside" in said and "numbers 30 to 39 are set aside" in said


def test_where_no_block_can_be_done_the_work_ends(crew: Crew) -> None:
    said = "3 blocks one after the other fail 3 times each: ValueError: this row cannot be read"
    with pytest.raises(ProcessError, match=said):
        list(crew.each(SQUARES, blocks(*[(number, "raise") for number in range(9)])))
    done = []
    with pytest.raises(ProcessError, match="10 blocks one after the other fail"):
        for one in crew.each(SQUARES, blocks((1,), *[(number, "raise") for number in range(30)])):
            done.append(one)
    assert [bool(one.why) for one in done] == [False, *[True] * 9]


def test_workers_without_the_model_are_named(crew: Crew, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = "no worker can do this work: models/teacher: there is no such model"
    with pytest.raises(ProcessError, match=said) as raised:
        list(crew.each(Work(given.square, given.no_tool), blocks((1,))))
    assert raised.value.where.startswith("worker pid ")
    capsys.readouterr()
    one_lacks_it = Work(given.square, partial(given.tool_of_the_second, str(tmp_path / "marker")))
    done = list(crew.each(one_lacks_it, blocks(*((number,) for number in range(8)))))
    assert sorted(one.result[0] for one in done) == [number**2 for number in range(8)]
    assert "cannot do this work, the others go on without it: there is no such model" in capsys.readouterr().err


def test_a_worker_that_stands_still_is_ended(
    crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workers, "SILENCE", 3.0)
    monkeypatch.setattr(workers, "ASKED_EVERY", 0.5)
    marker = str(tmp_path / "stopped")
    done = list(crew.each(SQUARES, blocks((1.0, "stop once", marker), *((number,) for number in range(5)))))
    assert sorted(one.place for one in done) == list(range(6)) and not any(one.why for one in done)
    assert "has not answered for" in capsys.readouterr().err


def test_a_driver_that_is_busy_takes_nobody_for_silent(
    crew: Crew, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workers, "SILENCE", 3.0)
    monkeypatch.setattr(workers, "ASKED_EVERY", 0.1)
    before, done = crew.repeated, []
    for one in crew.each(SQUARES, blocks(*((0.5, "sleep") for _ in range(8)))):
        done.append(one.place)
        time.sleep(4.0 if len(done) in (1, 2, 4) else 0.0)
    assert sorted(done) == list(range(8)) and crew.repeated == before
    assert "has not answered" not in capsys.readouterr().err


def test_a_block_that_takes_long_is_named(
    crew: Crew, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shift, "LONG", 0.5)
    assert len(list(crew.each(SQUARES, blocks((3.0, "sleep"))))) == 1
    assert "has been at numbers 0 to 9 for" in capsys.readouterr().err


def test_a_crew_goes_on_after_one_that_stopped_early(crew: Crew) -> None:
    found = crew.each(SQUARES, blocks(*((0.5, "sleep") for _ in range(20))))
    next(found)
    found.close()
    began = time.monotonic()
    assert [one.result[0] for one in crew.each(SQUARES, blocks((7,)))] == [49]
    assert time.monotonic() - began < 60


def test_a_worker_computes_with_its_threads(crew: Crew) -> None:
    [one] = crew.each(Work(given.threads), blocks(()))
    assert one.result == (1, "1", "1")
