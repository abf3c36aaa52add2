"""All processes of a run, as the leader has them work together."""

from __future__ import annotations

import contextlib
import itertools
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Final

from bistill.distributed.peers import Boss, Peer, told
from bistill.errors import BistillError, ProcessError, Told

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

    Attributes:
        desk: of the leader.
    """

    def __init__(self, peers: Sequence[Peer]) -> None:
        self._peers = list(peers)
        self.desk = Desk(LEADER)
        self._numbers = itertools.count()

    @property
    def size(self) -> int:
        """Processes."""
        return len(self._peers) + 1

    def new_number(self) -> int:
        """A number that no model has yet."""
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
        reached: list[Peer] = []
        failed: BaseException | None = None
        for peer, share in zip(self._peers, shares[1:], strict=True):
            try:
                peer.send((function, share))
                reached.append(peer)
            except ProcessError as error:
                failed = failed or error
        own = None
        try:
            own = function(self.desk, *shares[0]) if failed is None else None
        except Exception as error:
            failed = error
        answers = []
        for peer in reached:
            try:
                answers.append(self._answer(peer))
            except Exception as error:
                # A collective operation fails in all processes at once where one is gone: that one is the reason.
                failed = error if failed is None or isinstance(error, ProcessError) else failed
        if failed is not None:
            raise failed
        return [own, *answers]

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
                peer.send((None, (code,)))
            peer.close()

    def _answer(self, peer: Peer) -> Any:
        error, content = peer.answer()
        if error is None:
            return content
        if isinstance(error, BistillError | MemoryError):
            raise error
        raise ProcessError(f"a process of this run failed: {content[0]}", where=str(peer.name), found=Told(content[1]))


def serve(boss: Boss, rank: int) -> int:
    """Do what the leader asks for until it is done; the exit code that it gives."""
    desk = Desk(rank)
    while True:
        function, share = boss.request()
        if function is None:
            (code,) = share
            return int(code)
        boss.send(_answered(function, desk, share))


def _answered(function: Callable[..., Any], desk: Desk, share: tuple[Any, ...]) -> tuple[BaseException | None, Any]:
    """(None, result), or (error, what is told of it)."""
    try:
        return None, function(desk, *share)
    except Exception as error:
        content = (str(told(error)), traceback.format_exc())
        return _sendable(error), content


def _sendable(error: Exception) -> BaseException:
    """An error of users as it is; of the others, which may hold anything, only that there was one."""
    if isinstance(error, BistillError):
        plain = BistillError(error.what, where=error.where, found=error.found, todo=error.todo)
        plain.__class__ = type(error)
        return plain
    return RuntimeError()
