"""Messages between the leader and one worker, and how each knows that the other is gone or silent.

A worker says every ``BEAT`` seconds that it lives, also while it computes. Who hears nothing for ``SILENCE`` seconds,
or finds the connection closed, knows it at once: the leader raises at its next word with the worker, and a worker
without a leader ends. Neither waits for somebody who will not come.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import socket
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from bistill.errors import ProcessError, Told

BEAT: Final = 2.0
SILENCE: Final = 60.0
# A leader that waits in a collective operation, which nothing can interrupt, ends so long after a worker was lost.
GRACE: Final = 20.0
EXIT_LOST: Final = 1
ALIVE: Final = "alive"


class Name(NamedTuple):
    """Which process."""

    rank: int
    host: str
    pid: int

    def __str__(self) -> str:
        return f"rank {self.rank} (pid {self.pid} on {self.host})"


class Peer:
    """The leader's side of the connection to a worker.

    Args:
        name: of the worker.
        connection: to it.
        stuck: is set while the leader is in a collective operation, which nothing can interrupt.
    """

    def __init__(self, name: Name, connection: Connection[Any, Any], stuck: threading.Event) -> None:
        self.name, self._connection, self._stuck = name, connection, stuck
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._noticed, self._closing = threading.Event(), False
        keep_alive(connection)
        self._reader = threading.Thread(target=self._read, name=f"worker-{name.rank}", daemon=True)
        self._reader.start()

    def send(self, content: bytes) -> None:
        """Send a ``packed`` message.

        Raises:
            ProcessError: the worker is gone.
        """
        try:
            self._connection.send_bytes(content)
        except OSError:
            self._noticed.set()
            raise self.lost("is gone") from None

    def answer(self) -> Any:
        """The next answer; waits for it as long as the worker lives.

        Raises:
            ProcessError: the worker is gone or silent.
        """
        found = self._answers.get()
        if isinstance(found, ProcessError):
            self._noticed.set()
            self._answers.put(found)  # whoever asks again hears the same
            raise found
        return found

    def close(self) -> None:
        """Have the worker end. The connection ends with this process, for which the worker waits: a launcher takes
        the first process that fails for the reason, and ends the others."""
        self._closing = True
        self._noticed.set()
        with contextlib.suppress(ProcessError):
            self.send(packed(None))

    def lost(self, how: str) -> ProcessError:
        """The error of a worker that cannot be counted on any more."""
        return ProcessError(
            f"a process of this run {how}",
            where=str(self.name),
            todo="see what it said last; the same command goes on from the last checkpoint",
        )

    def _read(self) -> None:
        while (message := self._received()) is not None:
            if isinstance(message, ProcessError) and not self._closing:
                self._answers.put(message)
                self._end_if_stuck(message)
            if isinstance(message, ProcessError):
                return
            if message != ALIVE:
                self._answers.put(message)

    def _received(self) -> Any:
        """The next message, or the error of a worker that sends none any more."""
        try:
            if not self._connection.poll(SILENCE):
                shut(self._connection)  # a send that waits for room ends, too
                return self.lost(f"has not answered for {SILENCE:g} seconds")
            return pickle.loads(self._connection.recv_bytes())
        except (OSError, EOFError):
            return self.lost("is gone")
        except Exception as error:
            return self.lost(f"sends what cannot be read ({told(error)})")

    def _end_if_stuck(self, error: ProcessError) -> None:
        """Wait until the leader has heard of a lost worker; end the process where it waits in a collective operation
        for so long that it never will."""
        waited = 0.0
        while not self._noticed.wait(1.0):
            waited = waited + 1.0 if self._stuck.is_set() else 0.0
            if waited >= GRACE:
                print(f"error: {error}", file=sys.stderr, flush=True)
                os._exit(EXIT_LOST)


class Boss:
    """The worker's side: takes requests, answers, and says that it lives. The process ends where the leader is gone.

    Args:
        connection: to the leader.
    """

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection, self._ended, self._alone = connection, False, threading.Event()
        self._sending = threading.Lock()
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        keep_alive(connection)
        for work in (self._read, self._beat):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()

    def request(self) -> Any:
        """The next request; waits for it."""
        return self._requests.get()

    def send(self, message: Any) -> None:
        """Send an answer."""
        content = packed(message)
        try:
            with self._sending:
                self._connection.send_bytes(content)
        except OSError:
            self._gone()

    def wait(self) -> None:
        """Wait until the leader, which needs nothing any more, has ended."""
        self._alone.wait()

    def _read(self) -> None:
        while True:
            try:
                message = pickle.loads(self._connection.recv_bytes())
            except (OSError, EOFError):
                self._gone()
                return
            except Exception as error:  # memory that ran out, or a module that is not there: an answer says so
                message = (_unreadable, (str(told(error)),))
            self._ended = message is None
            self._requests.put(message)

    def _beat(self) -> None:
        quiet = threading.Event()
        while not self._alone.is_set() and not quiet.wait(BEAT):
            self.send(ALIVE)

    def _gone(self) -> None:
        """The leader is gone: where it was not done there is nobody left to compute for, and the main thread may wait
        in a collective operation, which nothing can interrupt."""
        if not self._ended:
            os._exit(EXIT_LOST)
        self._alone.set()


def packed(message: Any) -> bytes:
    """A message as it travels."""
    return pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)


def shut(connection: Connection[Any, Any]) -> None:
    """End what waits at a connection, in whichever thread."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.shutdown(socket.SHUT_RDWR)


def keep_alive(connection: Connection[Any, Any]) -> None:
    """Have the system find out when the other machine is gone without a word."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def told(error: BaseException) -> Told:
    """An error of another process, as a message shows it."""
    return Told(f"{type(error).__name__}: {str(error).strip()}")


def _unreadable(_desk: Any, said: str) -> None:
    raise RuntimeError(f"the request cannot be read: {said}")
