"""Lets a paused process go on when the monitor that paused it dies: ``python -m bistill.monitor.resumer PID CREATED``.

A run never waits for a monitor, and a monitor may be killed at any moment. This small process holds one end of a pipe
whose other end dies with the monitor.
"""

from __future__ import annotations

import signal
import subprocess
import sys

from bistill.monitor.processes import Identity


class Resumer:
    """Such a process at work; it needs no ending, since it sees the monitor end.

    Args:
        process: that is about to be paused.
    """

    def __init__(self, process: Identity) -> None:
        command = [sys.executable, "-m", "bistill.monitor.resumer", str(process.pid), repr(process.created)]
        self._resumer = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def release(self) -> None:
        """Have it let the process go on, and end."""
        assert self._resumer.stdin is not None
        self._resumer.stdin.close()
        self._resumer.wait()


def main() -> None:
    """Wait for the end of the monitor, then let the process go on."""
    pid, created = sys.argv[1:]
    sys.stdin.read()
    Identity(int(pid), float(created)).send(signal.SIGCONT)


if __name__ == "__main__":
    main()
