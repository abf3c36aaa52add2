"""Whole monitors beside processes that pretend to be runs: who acts, on what, how often."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

from tests.monitor.conftest import PRETENDER, Folder, Monitors, wait_until
from tests.monitor.records import start, step, write

pytestmark = pytest.mark.slow

Pretend = Callable[[str], "subprocess.Popen[bytes]"]


def status_of(process: subprocess.Popen[bytes]) -> str:
    return psutil.Process(process.pid).status()


def test_a_crash_loop_ends_after_three_restarts(folder: Folder, monitors: Monitors) -> None:
    monitor = monitors.start(sys.executable, PRETENDER, folder.path, "crash")
    assert monitor.wait(timeout=120) == 1
    assert len(set(folder.processes())) == 4 and len(folder.care("restart")) == 3
    assert [record["pause"] for record in folder.care("planned")] == pytest.approx([0.05, 0.2, 0.8])
    [given_up] = folder.care("give_up")
    assert given_up["reason"] == "it does not get beyond its last checkpoint"
    assert given_up["message"].endswith("it is given up\nTraceback of ours")
    assert "it is given up\nTraceback of ours" in monitors.said()


def test_a_command_that_is_refused_is_not_given_again(folder: Folder, monitors: Monitors) -> None:
    assert monitors.start(sys.executable, PRETENDER, folder.path, "refuse").wait(timeout=120) == 1
    assert len(folder.care("restart")) == 1
    [given_up] = folder.care("give_up")
    assert given_up["message"].endswith("error: --lr: the value is out of range")


def test_only_watching(folder: Folder, monitors: Monitors) -> None:
    monitor = monitors.start(sys.executable, PRETENDER, folder.path, "crash", recover=False)
    assert monitor.wait(timeout=120) == 1
    assert len(folder.processes()) == 1 and folder.care() == []


def test_a_command_that_cannot_be_started_or_says_why_it_ends(folder: Folder, monitors: Monitors) -> None:
    assert monitors.start("no-such-program").wait(timeout=120) == 2
    assert "the command cannot be started" in monitors.said(0)
    code = "import sys; print('no such option'); sys.exit(2)"
    assert monitors.start(sys.executable, "-c", code).wait(timeout=120) == 2
    assert "no such option" in monitors.said(1)


def test_a_stranger_with_a_reused_number_is_never_touched(folder: Folder, monitors: Monitors) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        created = psutil.Process(stranger.pid).create_time()
        # A run that was looked after, has been silent for long, and whose number the stranger has got since.
        old = {"pid": stranger.pid, "process_started": created - 1000}
        now = created + 1
        write(folder.path / "journal.jsonl", start(time=now, stage="teacher", **old), step(1, time=now))
        write(folder.path / "monitor.jsonl", {"time": now, "event": "watching", **old})
        monitors.start(hang_seconds=1, hang_steps=1, max_restarts=1)
        wait_until(lambda: bool(folder.care("give_up")), folder)
        assert stranger.poll() is None and status_of(stranger) == psutil.STATUS_SLEEPING
        assert folder.care("ending") == [] and folder.care("restart") == []  # the record has no command
    finally:
        stranger.kill()
        stranger.communicate()


def test_a_run_that_broke_off_without_a_monitor_is_left_alone(folder: Folder, monitors: Monitors) -> None:
    assert subprocess.run([sys.executable, PRETENDER, folder.path, "crash"], check=False).returncode == 1
    monitors.start()
    wait_until(lambda: "ZeroDivisionError: here" in monitors.said(), folder)
    assert folder.care() == []


def test_of_two_monitors_one_acts_and_the_other_takes_over(
    folder: Folder, monitors: Monitors, pretend: Pretend
) -> None:
    run = pretend("work")
    folder.reach(1)
    first = monitors.start()
    wait_until(lambda: bool(folder.care("watching")), folder)
    second = monitors.start()
    wait_until(lambda: "running" in monitors.said(1), folder)
    run.kill()
    run.wait()
    folder.reach(1, processes=2)
    [restart] = folder.care("restart")
    assert {record["monitor"] for record in folder.care()} == {first.pid}
    first.kill()
    first.wait()
    assert psutil.Process(restart["pid"]).is_running()  # the run outlives the monitor that started it
    os.kill(restart["pid"], signal.SIGKILL)
    folder.reach(1, processes=3)
    assert [record["monitor"] for record in folder.care("restart")] == [first.pid, second.pid]
    (folder.path / "enough").touch()
    wait_until(lambda: bool(folder.care("outcome")), folder)
    assert folder.care("outcome")[0]["state"] == "finished" and len(folder.processes()) == 3


def test_a_monitor_that_comes_back_goes_on_with_what_broke_off_meanwhile(
    folder: Folder, monitors: Monitors, pretend: Pretend
) -> None:
    run = pretend("work")
    folder.reach(1)
    first = monitors.start()
    wait_until(lambda: bool(folder.care("watching")), folder)
    first.kill()
    first.wait()
    run.kill()
    run.wait()
    with (folder.path / "journal.jsonl").open("ab") as file:
        file.write(b'{"time": 1, "event": "st')  # torn by the kill
    monitors.start()
    folder.reach(1, processes=2)
    assert len(folder.care("restart")) == 1 and len(folder.care("watching")) == 1


def test_a_full_disk_pauses_the_run_but_only_while_a_monitor_lives(
    folder: Folder, monitors: Monitors, pretend: Pretend
) -> None:
    run = pretend("work")
    folder.reach(1)
    monitor = monitors.start(min_free_mib=10**9)
    wait_until(lambda: status_of(run) == psutil.STATUS_STOPPED, folder)
    assert "the disk is nearly full" in folder.care("pause")[0]["message"]
    wait_until(lambda: "paused" in monitors.said(), folder)
    monitor.kill()
    monitor.wait()
    wait_until(lambda: status_of(run) != psutil.STATUS_STOPPED, folder)  # its guard saw it end
    again = monitors.start(min_free_mib=10**9)
    wait_until(lambda: len(folder.care("pause")) == 2 and status_of(run) == psutil.STATUS_STOPPED, folder)
    again.terminate()
    assert again.wait(timeout=60) == 143
    wait_until(lambda: status_of(run) != psutil.STATUS_STOPPED, folder)
    (folder.path / "enough").touch()
    assert run.wait(timeout=60) == 0
