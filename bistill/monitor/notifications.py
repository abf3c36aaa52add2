"""Telling others what happened to a run: a program is run, an address is posted to, and nothing waits for either."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final
from urllib.parse import urlsplit

from bistill.errors import OptionError
from bistill.monitor.settings import Notifying

COMMAND_SECONDS: Final = 30.0
WEBHOOK_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Notice:
    """One thing that happened.

    Attributes:
        event: finished, evaluated, stopped, failed, recovering (about to be started again, paused, ...), given_up.
        run: folder of the run.
        stage: teacher or distillation.
        state: of the run, in a word.
        step: updates done.
        total_steps: of the whole run.
        message: in a sentence.
        error: what ended a failed run.
    """

    event: str
    run: str
    stage: str
    state: str
    step: int
    total_steps: int
    message: str
    error: str = ""


class Notifier:
    """Sends notices, each in a thread of its own.

    Args:
        notifying: the program and the address, each may be missing.
        say: is told where a notice could not be sent.

    Raises:
        OptionError: the program's command line cannot be read, or the address is none of the web.
    """

    def __init__(self, notifying: Notifying, say: Callable[[str], None]) -> None:
        self._command, self._webhook, self._say = _split(notifying.command), notifying.webhook, say
        self.threads: list[threading.Thread] = []
        if self._webhook and urlsplit(self._webhook).scheme not in ("http", "https"):
            raise OptionError("an address of the web is expected", where="`Notifying.webhook`", found=self._webhook)

    def send(self, notice: Notice) -> None:
        """Send a notice; returns at once."""
        self.threads = [thread for thread in self.threads if thread.is_alive()]
        for there, way in ((self._command, self._run), (self._webhook, self._post)):
            if there:
                thread = threading.Thread(target=way, args=(notice,), name="notice", daemon=True)
                thread.start()
                self.threads.append(thread)

    def close(self, seconds: float = WEBHOOK_SECONDS) -> None:
        """Wait a little for what is on its way."""
        until = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(until - time.monotonic(), 0))

    def _run(self, notice: Notice) -> None:
        """Run the program, without a shell: texts of errors and names of folders are arguments of nothing."""
        facts = {f"BISTILL_{name.upper()}": str(value).replace("\0", "") for name, value in asdict(notice).items()}
        try:
            subprocess.run(
                self._command,
                input=_json(notice),
                env={**os.environ, **facts},
                timeout=COMMAND_SECONDS,
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._say(f"`Notifying.command`: {error}")

    def _post(self, notice: Notice) -> None:
        import urllib.request  # with all that it brings a fifth of the monitor's start

        assert self._webhook is not None
        headers = {"Content-Type": "application/json; charset=utf-8"}
        request = urllib.request.Request(self._webhook, data=_json(notice), headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS):
                pass
        except (OSError, ValueError) as error:
            self._say(f"`Notifying.webhook`: {error}")


def _json(notice: Notice) -> bytes:
    return json.dumps(asdict(notice), ensure_ascii=False).encode(errors="surrogateescape")


def _split(command: str | None) -> list[str]:
    try:
        return shlex.split(command or "")
    except ValueError as error:
        raise OptionError(
            f"the command line cannot be read ({error})", where="`Notifying.command`", found=command
        ) from None
