from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bistill.monitor import machine
from bistill.monitor.processes import Identity


def test_kills_for_memory_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, group = tmp_path / "vmstat", tmp_path / "memory.events"
    monkeypatch.setattr(machine, "COUNTERS", (system, group, tmp_path / "none"))
    system.write_text("oom_kill_disabled 9\npgfault 5\noom_kill 2\n")
    group.write_text("low 0\noom 7\noom_kill 1\noom_group_kill 8\n")
    assert machine.memory_kills() == 3
    group.write_text("oom_kill many\n")
    assert machine.memory_kills() == 2


def test_this_machine_tells() -> None:
    assert machine.memory_kills() >= 0


def test_room_on_the_disk(tmp_path: Path) -> None:
    assert machine.free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert machine.free_bytes(tmp_path / "nowhere") is None


def test_a_lock_holds_one_process_out_and_dies_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "monitor.lock"
    code = "import sys; from pathlib import Path; from bistill.monitor import machine\n"
    code += "print(machine.FileLock(Path(sys.argv[1])).acquire(), flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None and holder.stdout.readline() == "True\n"
    lock = machine.FileLock(path)
    assert not lock.acquire() and machine.is_locked(path)
    holder.kill()
    holder.communicate()
    assert not machine.is_locked(path)
    assert lock.acquire() and lock.acquire()
    assert not machine.FileLock(path).acquire()
    lock.release()
    assert machine.FileLock(path).acquire()


def test_places_where_no_lock_can_be(tmp_path: Path) -> None:
    assert not machine.FileLock(tmp_path / "nowhere" / "lock").acquire()
    assert not machine.is_locked(tmp_path / "nowhere" / "lock")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_gives_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "lock"
    path.touch()  # as a killed process leaves it
    assert not machine.FileLock(path).acquire()
    assert not machine.is_locked(path)


def test_a_kill_for_memory_that_is_counted_before_the_process_is_gone() -> None:
    first, second = Identity(7, 1.0), Identity(8, 2.0)
    kills = machine.KillsForMemory()
    assert not kills.since_alive(3)  # the run was never seen alive
    kills.alive(first, 3)
    assert not kills.since_alive(3) and kills.since_alive(4)
    kills.alive(first, 4)  # counted, and the process is not gone yet
    assert kills.since_alive(4)
    kills.alive(second, 4)  # started again: the kill was not its own
    assert not kills.since_alive(4)
    kills.alive(second, 4)
    kills.alive(second, 5)
    kills.alive(second, 5)  # somebody else's: the run lives on
    assert not kills.since_alive(5)
