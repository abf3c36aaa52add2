from __future__ import annotations

import itertools
import os
import tracemalloc
from pathlib import Path

from bistill.monitor.following import BLOCK_BYTES, JournalFollower
from bistill.monitor.status import MOST_STEPS, RunStatus
from tests.monitor.records import evaluation, lines, start, step, write

LONG = 10.0


def test_only_what_was_appended_is_read(tmp_path: Path) -> None:
    follower = JournalFollower(tmp_path / "journal.jsonl")
    assert follower.advance(LONG) and follower.status.started == 0  # there is none yet
    path = write(tmp_path / "journal.jsonl", start(), step(1))
    assert follower.advance(LONG) and follower.status.step == 1
    status = follower.status
    write(path, step(2), evaluation(2, 0.5))
    assert follower.advance(LONG) and follower.share == 1.0
    assert follower.status is status and (status.step, status.best["step"]) == (2, 2)
    assert len(status.events) == 2 and len(status.history.steps) == 2
    assert follower.advance(0) and status.step == 2


def test_torn_lines_and_lines_that_are_no_records(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.jsonl", start())
    whole = lines(step(1))
    with path.open("ab") as file:
        file.write(whole[:40])
    follower = JournalFollower(path)
    assert follower.advance(LONG) and follower.status.step == 0
    with path.open("ab") as file:
        file.write(whole[40:])  # the writer went on
    assert follower.advance(LONG) and follower.status.step == 1
    with path.open("ab") as file:  # the writer was killed, and another began a new line
        file.write(lines(step(2))[:60] + b'\n[1, 2]\n"text"\n{}\n{"event": 5}\n\xff\xfe\n' + b"[" * 100_000 + b"\n")
        file.write(lines(step(3)))
    assert follower.advance(LONG) and follower.status.step == 3
    assert [point.step for point in follower.status.history.steps] == [1, 3]


def test_a_file_that_was_replaced_shortened_or_begins_otherwise_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.jsonl", start(), step(1), step(2))
    follower = JournalFollower(path)
    follower.advance(LONG)
    os.truncate(path, 0)
    write(path, start(stage="teacher"))
    follower.advance(LONG)
    assert (follower.status.stage, follower.status.step) == ("teacher", 0)
    other = write(tmp_path / "other", start(), *map(step, range(1, 6)))
    other.replace(path)
    follower.advance(LONG)
    assert (follower.status.stage, follower.status.step) == ("distillation", 5)
    path.write_bytes(lines(start(stage="teacher", time=5.0), *map(step, range(1, 9))))  # longer, the same file
    follower.advance(LONG)
    assert (follower.status.stage, follower.status.step) == ("teacher", 8)


def test_reading_stops_in_time_and_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.jsonl", start(), *map(step, range(1, 2001)))
    follower = JournalFollower(path)
    looks, shares = 0, []
    while not follower.advance(0):  # one block each
        looks += 1
        shares.append(follower.share)
        assert follower.status.step > 0
    assert looks == path.stat().st_size // BLOCK_BYTES and shares == sorted(set(shares)) and 0 < shares[0] < 1
    assert follower.status.step == 2000


def test_a_line_without_end_is_not_held(tmp_path: Path) -> None:
    path = write(tmp_path / "journal.jsonl", start())
    with path.open("ab") as file:
        for _ in range(160):
            file.write(b"x" * BLOCK_BYTES)
    follower = JournalFollower(path)
    tracemalloc.start()
    follower.advance(LONG)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20  # the line has 10 MiB, and would be joined and split
    with path.open("ab") as file:
        file.write(b"\n" + lines(step(1)))
    follower.advance(LONG)
    assert follower.status.step == 1


def test_what_is_passed_over_does_not_change_the_state(tmp_path: Path) -> None:
    """Against every line parsed: the state after each look and before each other record, and the same curves."""
    records = [start()]
    for number in range(1, 12_001):
        records.append(step(number, total=12_000, lr=1 / number, memory_mib=number % 7))
        if number % 997 == 0:
            records.append(evaluation(number, 1 / number))
            records.append({"time": 100.7 + number, "event": "checkpoint", "step": number})
    path = write(tmp_path / "journal.jsonl", *records)
    follower, plain = JournalFollower(path), RunStatus(tmp_path)
    assert follower.advance(LONG)
    for record in records:
        plain.feed(record, kept=False)
    found = follower.status
    for name in ("step", "total_steps", "lr", "terms", "memory_mib", "updated", "best", "figures", "checkpoint_step"):
        assert getattr(found, name) == getattr(plain, name), name
    assert list(found.events) == list(plain.events)
    assert found.history.evaluations == plain.history.evaluations
    assert found.longest_silence == plain.longest_silence
    steps = [point.step for point in found.history.steps]
    assert MOST_STEPS // 2 < len(steps) <= MOST_STEPS and steps == sorted(set(steps))
    assert max(later - earlier for earlier, later in itertools.pairwise(steps)) <= 2 * found.history.every
