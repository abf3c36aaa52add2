"""Settings of the monitor: when silence is a hang, what is done about runs, who is told, where the page is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bistill.settings import Settings, Within


@dataclass(frozen=True)
class Patience(Settings):
    """When silence counts as a hang.

    Attributes:
        steps: so many times the usual time of an update.
        seconds: and at least so long.
    """

    steps: Annotated[float, Within(1)] = 20.0
    seconds: Annotated[float, Within(1)] = 300.0


@dataclass(frozen=True)
class Recovery(Settings):
    """What is done about runs.

    Attributes:
        max_restarts: of a run without a newer checkpoint, after which it is given up.
        restart_pause: seconds before the first restart of a crashed run; four times as long before each next.
        grace: seconds that a hanging process has to save and end before it is killed.
        lower_lr: whether a run whose loss is NaN or infinite is started again, once, with half the learning rate.
        min_free_mib: a run is paused while its disk has less room than this and a checkpoint; 0: never.
        evaluate: whether a student is evaluated once its distillation has finished.
    """

    max_restarts: Annotated[int, Within(0)] = 3
    restart_pause: Annotated[float, Within(0)] = 5.0
    grace: Annotated[float, Within(0)] = 30.0
    lower_lr: bool = False
    min_free_mib: Annotated[int, Within(0)] = 256
    evaluate: bool = True


@dataclass(frozen=True)
class Notifying(Settings):
    """Who is told what happens to runs.

    Attributes:
        command: program that is run, facts come as JSON on its standard input; None: none.
        webhook: address to which the same facts are posted; None: none.
    """

    command: str | None = None
    webhook: str | None = None


@dataclass(frozen=True)
class Page(Settings):
    """Where the web page is served.

    Attributes:
        host: address that it listens on; any but 127.0.0.1 is open to the network.
        port: 0: a free one.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Within(0, 65535)] = 0
