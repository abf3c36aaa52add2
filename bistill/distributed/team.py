"""All processes of a run, as the leader has them work together."""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final

from bistill.distributed.peers import Boss, Name, Peer, packed, told
from bistill.errors import BistillError, ProcessError

LEADER: Final = 0


class Desk:
    """What one process keeps from one call to the next.

    Attributes:
        rank: of the process.
        models: those that all processes have, by number.
        work: unfinished work, by name.
    """

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self.models: dict[int, Any] = {}
        self.work: dict[str, Any] = {}


class Team:
    """The leader's hold on all processes, itself among them.

    Args:
        peers: the workers, by rank from 1.
        stuck: is set while the leader is in a collective operation; the peers see it.
        local: processes on the machine of the leader.

    Attributes:
        desk: of the leader.
        local: as above.
    """

    def __init__(self, peers: Sequence[Peer], stuck: threading.Event, *, local: int = 1) -> None:
        self._peers, self._stuck, self.local = list(peers), stuck, local
        self.desk = Desk(LEADER)
        self._numbers = itertools.count()
        self._broken: ProcessError | None = None

    @property
    def size(self) -> int:
        """Processes."""
        return len(self._peers) + 1

    def new_number(self) -> int:
        """A number that no model and no parts have yet."""
        return next(self._numbers)

    def together(self, function: Callable[..., Any], shares: Sequence[tuple[Any, ...]]) -> list[Any]:
        """``function(desk, *share)`` in each process, at once.

        Every answer is waited for also where one is an error, so that all processes are free afterwards.

        Args:
            function: of a module, by which each process finds it.
            shares: further arguments in each process, by rank.

        Returns:
            What each gave, by rank.

        Raises:
            ProcessError: a worker is gone or silent, or what failed there can be told only by its traceback.
            Exception: what the leader's own share raised, else what that of a worker did.
        """
        assert len(shares) == self.size
        if self._broken is not None:
            raise self._broken
        # Before anything travels: what cannot be packed is a fault of ours and not a worker's.
        contents = [packed((function, share)) for share in shares[1:]]
        try:
            for peer, content in zip(self._peers, contents, strict=True):
                peer.send(content)
            own, failed = self._own(function, shares[0])
            answers, others = self._answers()
        except BaseException as error:
            # A worker is lost, or a person does not want to wait: others may still be at work, or wait for each other.
            lost = ProcessError("an earlier call was broken off", todo="start the command again; it goes on")
            self._broken = error if isinstance(error, ProcessError) else lost
            raise
        if failed or others:
            raise failed or others[0]
        return [own, *answers]

    def collectively(self, function: Callable[..., Any], *arguments: Any) -> None:
        """``everywhere`` for a function that enters a collective operation and cannot fail before it."""
        self._stuck.set()
        try:
            self.everywhere(function, *arguments)
        finally:
            self._stuck.clear()

    def _own(self, function: Callable[..., Any], share: tuple[Any, ...]) -> tuple[Any, Exception | None]:
        """What the leader's own share gave, and what it raised."""
        try:
            return function(self.desk, *share), None
        except Exception as error:
            return None, error

    def _answers(self) -> tuple[list[Any], list[Exception]]:
        """What the workers gave, and what they raised.

        Raises:
            ProcessError: a worker is gone or silent.
        """
        answers: list[Any] = []
        failed: list[Exception] = []
        for peer in self._peers:
            error, content = peer.answer()
            if error is None:
                answers.append(content)
            else:
                failed.append(_of_worker(peer.name, error, content))
        return answers, failed

    def everywhere(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """``together`` with the same arguments in each process."""
        return self.together(function, [arguments] * self.size)

    def close(self, code: int) -> None:
        """Let the workers end.

        Args:
            code: exit code of all processes.
        """
        for peer in self._peers:
            with contextlib.suppress(ProcessError):
                peer.send(packed((None, (code,))))
            peer.close()


def _of_worker(name: Name, error: Exception, content: tuple[str, str]) -> Exception:
    """An error that the leader raises for one of a worker: that of a user as it is, of a fault its process and what it
    said, whose traceback is shown."""
    if isinstance(error, BistillError):
        return error
    what, trace = content
    print(f"{name}:\n{trace}", file=sys.stderr, flush=True)
    fault = ProcessError(f"a process of this run failed: {what}", where=str(name), todo="see its traceback above")
    fault.__cause__ = error
    return fault


def serve(boss: Boss, rank: int) -> int:
    """Do what the leader asks for until it is done; the exit code that it gives."""
    desk = Desk(rank)
    while True:
        function, share = boss.request()
        if function is None:
            (code,) = share
            return int(code)
        boss.send(_answered(function, desk, share))


def _answered(function: Callable[..., Any], desk: Desk, share: tuple[Any, ...]) -> tuple[Exception | None, Any]:
    """(None, result), or (error, what is told of it)."""
    try:
        return None, function(desk, *share)
    except Exception as error:
        return _sendable(error), (str(told(error)), traceback.format_exc())


def _sendable(error: Exception) -> Exception:
    """An error of users as it is; of the others, which may hold anything, what they say."""
    if isinstance(error, BistillError):
        with contextlib.suppress(Exception):
            packed(error)
            return error
        return BistillError(error.what, where=error.where, found=told(error), todo=error.todo)
    return MemoryError(str(error)) if isinstance(error, MemoryError) else RuntimeError(str(error))
