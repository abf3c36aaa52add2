"""Options of the monitor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bistill.app.options import Option, Options
from bistill.languages import Language
from bistill.monitor.settings import Notifying, Page, Patience, Recovery
from bistill.settings import Within


@dataclass(frozen=True, kw_only=True)
class MonitorOptions(Options, group="runs", common=True):
    """Show the state of the runs below a folder, live, start those again that break off, and evaluate those that
    finish; ``-- COMMAND`` starts a run and watches it."""

    runs: Annotated[str, Option("Folder below which runs are found by their journals.")] = "models"
    once: Annotated[bool, Option("Print the state once and end.")] = False
    interval: Annotated[float, Option("Seconds between two looks.", within=Within(0.1))] = 1.0
    language: Annotated[
        Language | None, Option("Of the screen in a terminal; unset: that of the terminal's locale.")
    ] = None
    recover: Annotated[bool, Option("Act on what happens to runs; --no_recover only watches.", group="recovery")] = True
    max_restarts: Annotated[
        int,
        Option(
            "Restarts of a run without a newer checkpoint, after which it is given up.",
            of=(Recovery, "max_restarts"),
            group="recovery",
        ),
    ] = 3
    restart_pause: Annotated[
        float,
        Option(
            "Seconds before the first restart of a crashed run; four times as long before each next.",
            of=(Recovery, "restart_pause"),
            group="recovery",
        ),
    ] = 5.0
    hang_steps: Annotated[
        float,
        Option(
            "A run hangs that writes nothing for so many times its usual update.",
            of=(Patience, "steps"),
            group="recovery",
        ),
    ] = 20.0
    hang_seconds: Annotated[
        float, Option("And for at least so many seconds.", of=(Patience, "seconds"), group="recovery")
    ] = 300.0
    grace: Annotated[
        float,
        Option(
            "Seconds that a hanging process has to save and end before it is killed.",
            of=(Recovery, "grace"),
            group="recovery",
        ),
    ] = 30.0
    lower_lr: Annotated[
        bool,
        Option("Restart a run whose loss is NaN or infinite, once, with half the learning rate.", group="recovery"),
    ] = False
    min_free_mib: Annotated[
        int,
        Option(
            "A run is paused while its disk has less room than this and a checkpoint; 0: never.",
            of=(Recovery, "min_free_mib"),
            group="recovery",
        ),
    ] = 256
    evaluate: Annotated[
        bool, Option("Evaluate a student once its distillation has finished; --no_evaluate leaves it.")
    ] = True
    notify_command: Annotated[
        str | None,
        Option(
            "Program run when a run finishes, fails or is recovered; facts come as JSON on its standard input.",
            of=(Notifying, "command"),
            group="notices and page",
        ),
    ] = None
    notify_webhook: Annotated[
        str | None,
        Option("Address to which the same facts are posted.", of=(Notifying, "webhook"), group="notices and page"),
    ] = None
    web: Annotated[
        bool, Option("Show the same as a web page, too; its address is printed.", group="notices and page")
    ] = False
    host: Annotated[
        str,
        Option("Address that the page listens on; any but 127.0.0.1 is open to the network.", group="notices and page"),
    ] = "127.0.0.1"
    port: Annotated[int, Option("Port of the page; 0: a free one.", of=(Page, "port"), group="notices and page")] = 0
