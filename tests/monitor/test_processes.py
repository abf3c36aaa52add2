from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bistill.monitor import processes
from bistill.monitor.gpu import GpuMemory, parse
from bistill.monitor.processes import Identity, ProcessWatch, identity_of
from bistill.monitor.status import RunStatus

WAITS = "import signal, sys; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7)); print(flush=True); input()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([sys.executable, "-c", WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def identity(process: subprocess.Popen) -> Identity:
    found = identity_of(process.pid)
    assert found is not None
    return found


@pytest.mark.parametrize("with_handle", [True, False])
def test_signals_reach_the_process_and_never_a_stranger(
    child: subprocess.Popen, with_handle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_handle:
        monkeypatch.delattr(os, "pidfd_open")
    own = identity(child)
    stranger = Identity(own.pid, own.created - 3600)  # the number belonged to an older process
    assert own.is_alive() and not stranger.is_alive()
    assert not stranger.send(signal.SIGKILL)
    time.sleep(0.05)
    assert child.poll() is None
    assert own.catches(signal.SIGUSR1) and not own.catches(signal.SIGUSR2)
    assert own.send(signal.SIGUSR1)
    assert child.wait(timeout=30) == 7
    assert not own.send(signal.SIGKILL) and not own.is_alive()


def test_a_process_that_ended_and_was_not_waited_for_is_dead(child: subprocess.Popen) -> None:
    own = identity(child)
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert not own.is_alive() and not own.send(signal.SIGKILL)


def test_numbers_that_no_process_can_have() -> None:
    for pid in (-1, 0, 2**40):
        assert not Identity(pid, 1.0).is_alive() and not Identity(pid, 1.0).send(signal.SIGKILL)
    assert identity_of(-1) is None


def run_of(process: subprocess.Popen, **fields: object) -> RunStatus:
    own = identity(process)
    facts = {"pid": own.pid, "process_started": own.created, "started": own.created + 1, **fields}
    return RunStatus(Path("run"), **facts)  # type: ignore[arg-type]


def test_facts_of_a_process(child: subprocess.Popen, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(processes.time, "monotonic", lambda: now)
    watch = ProcessWatch(GpuMemory())
    facts = watch.look(run_of(child))
    assert facts.alive and facts.ours and not facts.stopped and facts.idle_seconds == 0
    assert facts.resident_mib == pytest.approx(psutil.Process(child.pid).memory_info().rss / 2**20, rel=0.2)
    now += 60
    assert watch.look(run_of(child)).idle_seconds == 60
    os.kill(child.pid, signal.SIGSTOP)
    while psutil.Process(child.pid).status() != psutil.STATUS_STOPPED:
        pass
    assert watch.look(run_of(child)).stopped
    os.kill(child.pid, signal.SIGCONT)
    assert not watch.look(run_of(child, process_started=identity(child).created - 3600)).alive


def test_a_process_that_computes_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    watch, now = ProcessWatch(GpuMemory()), 1000.0
    monkeypatch.setattr(processes.time, "monotonic", lambda: now)
    own = Identity(5, 1.0)
    idle = []
    for cpu in (0.0, 0.1, 0.9, 0.9, 0.905, 0.905):  # seconds of computing at looks that are 2 s apart
        idle.append(watch.idle(own, cpu))
        now += 2
    assert idle == [0, 0, 0, 2, 4, 6]
    assert watch.idle(Identity(5, 900.0), 0.0) == 0  # another process


def test_runs_of_earlier_versions_and_of_other_machines(child: subprocess.Popen) -> None:
    watch = ProcessWatch(GpuMemory())
    facts = watch.look(run_of(child, process_started=0.0))
    assert facts.alive and not facts.ours
    assert not watch.look(run_of(child, process_started=0.0, started=identity(child).created - 3600)).alive
    assert watch.look(run_of(child, host=platform.node())).ours
    elsewhere = run_of(child, host="elsewhere", pid=1)
    assert watch.look(elsewhere).alive and not watch.look(elsewhere).ours
    elsewhere.ended = "finished"
    assert not watch.look(elsewhere).alive


def test_memory_of_gpus() -> None:
    assert parse("12, 300\n12, 20\n7, [N/A]\n\nNo devices\n") == {12: 320.0}


def test_the_gpu_is_asked_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '12, 300'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    gpu = GpuMemory()
    assert gpu.mib(12) is None
    until = time.monotonic() + 20
    while gpu.mib(12) is None and time.monotonic() < until:
        time.sleep(0.01)
    assert gpu.mib(12) == 300 and gpu.mib(13) is None
