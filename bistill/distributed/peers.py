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
    """

    def __init__(self, name: Name, connection: Connection[Any, Any]) -> None:
        self.name, self._connection = name, connection
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._noticed, self._closing = threading.Event(), False
        keep_alive(connection)
        self._reader = threading.Thread(target=self._read, name=f"worker-{name.rank}", daemon=True)
        self._reader.start()

    def send(self, message: Any) -> None:
        """Send a message.

        Raises:
            ProcessError: the worker is gone.
        """
        # Before anything travels: an argument that cannot be sent is a fault of ours and not the worker's.
        content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
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
            self.send(None)

    def lost(self, how: str) -> ProcessError:
        """The error of a worker that cannot be counted on any more."""
        return ProcessError(
            f"a process of this run {how}",
            where=str(self.name),
            todo="see what it said last; the same command goes on from the last checkpoint",
        )

    def _read(self) -> None:
        error: ProcessError | None = None
        while error is None:
            try:
                if not self._connection.poll(SILENCE):
                    error = self.lost(f"has not answered for {SILENCE:g} seconds")
                    break
                message = pickle.loads(self._connection.recv_bytes())
            except (OSError, EOFError):
                error = self.lost("is gone")
                break
            if message != ALIVE:
                self._answers.put(message)
        if self._closing:
            return
        self._answers.put(error)
        if not self._noticed.wait(GRACE):
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
        content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
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


def keep_alive(connection: Connection[Any, Any]) -> None:
    """Have the system find out when the other machine is gone without a word."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def told(error: BaseException) -> Told:
    """An error of another process, as a message shows it."""
    return Told(f"{type(error).__name__}: {str(error).strip()}")
