"""Three processes, started as torchrun does: what they give together, and what is told where one is lost."""

from __future__ import annotations

import json
import re
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.distributed.launching import command, run

SCRIPT = str(Path(__file__).with_name("together.py"))
pytestmark = pytest.mark.slow


@cache
def ended(how: str) -> tuple[int, str, dict[str, Any]]:
    """Exit code, output, and what the leader found before the end."""
    code, said = run(command(3, SCRIPT, how))
    [found] = re.findall(r"^FOUND (.*)$", said, re.MULTILINE)
    return code, said, json.loads(found)


def exit_codes(said: str) -> dict[int, int]:
    """By rank, as torchrun reports them."""
    found = re.findall(r"rank +: (\d+) .*\n +exitcode +: (-?\d+)", said)
    return {int(rank): int(code) for rank, code in found}


def test_results_stand_by_rank_and_desks_keep_what_was_put_there() -> None:
    _, _, found = ended("normally")
    assert found["size"] == 3
    assert found["first"] == [[0, 20, 1], [1, 40, 1], [2, 60, 1]]
    assert found["second"] == [[0, 2, 2], [1, 2, 2], [2, 2, 2]]


def test_an_error_of_users_comes_as_it_is_and_a_fault_with_its_process_and_traceback() -> None:
    _, said, found = ended("normally")
    user, fault, own_fault, own_user, row, memory = found["errors"]
    assert user[:2] == ["DataError", "file.csv: no rows\n  found: 'x'\n  do: give rows"] == own_user[:2]
    assert row[:2] == ["RowError", "file.csv, row 3, column 'query': no text"]
    assert fault[0] == "ProcessError" and re.match(r"rank 2 \(pid \d+ on .*failed: KeyError: 'lost key'", fault[1])
    assert re.search(r"rank 2 \(pid \d+ on [^)]+\):\nTraceback .*\n(.*\n)+?KeyError: 'lost key'", said)
    assert own_fault[:2] == ["KeyError", "'lost key'"]
    assert (memory[0], memory[2]) == ("ProcessError", "MemoryError")  # by which a monitor lowers the budget


def test_what_cannot_be_read_where_it_arrives_is_an_error_and_no_end() -> None:
    _, _, found = ended("normally")
    kind, message, _ = found["unreadable"]
    assert kind == "ProcessError" and "the request cannot be read: ValueError" in message
    _, said, _ = ended("unreadable answer")
    [(first, why, _, second, *_)] = [json.loads(line) for line in re.findall(r"^LOST (.*)$", said, re.MULTILINE)]
    assert first == second == "ProcessError" and "sends what cannot be read (ValueError" in why


def test_tensors_are_added_up_and_no_library_finds_the_launcher() -> None:
    _, _, found = ended("normally")
    assert found["summed"] == [11.5, 22.25] and found["launched"] == [[], [], []]


def test_who_computes_for_long_is_not_silent() -> None:
    _, _, found = ended("normally")
    assert 5 <= found["slept"] < 30  # silence is 3 seconds there


def test_all_processes_end_with_the_code_of_the_leader() -> None:
    code, said, _ = ended("normally")
    assert code == 1 and exit_codes(said) == {0: 5, 1: 5, 2: 5}  # torchrun's own code is 1
    assert said.index("Root Cause") < said.index("rank      : 0")


@pytest.mark.parametrize(("how", "why"), [("killed", "is gone"), ("stopped", "has not answered for 3 seconds")])
def test_a_lost_worker_is_named_within_seconds(how: str, why: str) -> None:
    code, said, found = ended(how)
    [(message, seconds)] = [json.loads(line) for line in re.findall(r"^LOST (.*)$", said, re.MULTILINE)]
    assert code == 1 and seconds < 10
    assert re.match(rf"rank 2 \(pid {found['pids'][2]} on [^)]+\): a process of this run {why}\n  do: see", message)


def test_a_leader_that_waits_in_a_collective_operation_ends_and_names_the_lost_worker() -> None:
    _, said, found = ended("in a collective")
    assert f"error: rank 2 (pid {found['pids'][2]} on " in said and "has not answered for 3 seconds" in said
    assert exit_codes(said)[0] == 1


def test_workers_end_with_their_leader() -> None:
    begun = time.monotonic()
    _, said, _ = ended("leader killed")
    assert exit_codes(said) == {0: -9, 1: 1, 2: 1} and time.monotonic() - begun < 120
