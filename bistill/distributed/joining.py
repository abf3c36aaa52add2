"""Joining: a launched process becomes the leader, or a worker that serves it."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any, Final

from bistill.distributed import launch
from bistill.distributed.launch import Launch
from bistill.distributed.peers import Boss, Name, Peer
from bistill.distributed.team import LEADER, Team, serve
from bistill.errors import ProcessError

# A collective operation begins only where every process has answered, so that it takes no longer than its bytes.
COLLECTIVE: Final = timedelta(minutes=10)
EXIT_FAULT: Final = 1

_team: Team | None = None


def here() -> Team | None:
    """The processes that this one leads; None where it is alone."""
    return _team


@contextmanager
def leading(team: Team | None) -> Iterator[None]:
    """Context in which this process leads a team, or none though it could."""
    global _team
    before, _team = _team, team
    try:
        yield
    finally:
        _team = before


def processes() -> int:
    """How many processes compute."""
    return 1 if _team is None else _team.size


def processes_here() -> int:
    """How many of them share this machine and its memory."""
    return 1 if _team is None else _team.local


@contextmanager
def session() -> Iterator[None]:
    """Context of a whole command. The leader, and a process that is alone, run it; in a worker it is not entered.

    Raises:
        SystemExit: in a worker, when the leader is done: with its exit code.
        ProcessError: the processes do not find each other.
    """
    launched = launch.launch()
    if launched is None:
        yield
        return
    if launched.rank != LEADER:
        for number in (signal.SIGINT, signal.SIGTERM):  # the leader decides what a request to stop means
            signal.signal(number, signal.SIG_IGN)
        sys.exit(_worked(launched))
    team = _led(launched)
    code = EXIT_FAULT
    try:
        with leading(team):
            yield
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    finally:
        team.close(code)
        if code == 0:  # else a process may be gone, and leaving waits for all
            _leave()


def _led(launched: Launch) -> Team:
    """The leader's side of joining."""
    key = secrets.token_bytes(32)
    with Listener(("", 0), backlog=launched.size, authkey=key) as listener:
        _join(launched, [(listener.address[1], key)])
        connections = [listener.accept() for _ in range(launched.size - 1)]
    stuck = threading.Event()
    peers = [Peer(Name(*connection.recv()), connection, stuck) for connection in connections]
    return Team(sorted(peers, key=lambda peer: peer.name.rank), stuck, local=launched.local_size)


def _worked(launched: Launch) -> int:
    """A worker's whole life: the exit code."""
    box: list[Any] = [None]
    _join(launched, box)
    port, key = box[0]
    connection = Client((launched.address, port), authkey=key)
    connection.send((launched.rank, platform.node(), os.getpid()))
    # What it would say, the leader says.
    with Path(os.devnull).open("w") as none, contextlib.redirect_stdout(none), contextlib.redirect_stderr(none):
        boss = Boss(connection)
        code = serve(boss, launched.rank)
        boss.wait()
    _leave()
    return code


def _join(launched: Launch, box: list[Any]) -> None:
    """Enter the process group, and fill the box with that of the leader.

    Raises:
        ProcessError: the others are not found.
    """
    import torch
    from torch import distributed
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]  # of its C part
    from torch.distributed.rendezvous import rendezvous

    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(launched.local_rank)
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    try:
        store, rank, size = next(rendezvous("env://", timeout=COLLECTIVE))
        # The store outlives the processes that a launcher starts again, and the addresses of the dead ones with it.
        own = PrefixStore(f"bistill/{launched.attempt}", store)
        distributed.init_process_group(backend, store=own, rank=rank, world_size=size, timeout=COLLECTIVE)
        distributed.broadcast_object_list(box, src=LEADER, device=torch.device("cpu"))
    except RuntimeError as error:
        raise ProcessError(
            "the processes of this run do not find each other",
            where=f"rank {launched.rank} of {launched.size}",
            found=str(error).splitlines()[0],
            todo="start all of them by one launcher, such as torchrun",
        ) from None
    launch.forget()


def _leave() -> None:
    from torch import distributed

    with contextlib.suppress(RuntimeError):
        distributed.destroy_process_group()
