"""Options of the monitor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bistill.options import Option, Options


@dataclass(frozen=True, kw_only=True)
class MonitorOptions(Options):
    """Show the state of the runs below a folder, live."""

    runs: Annotated[str, Option("Folder below which runs are found by their journals.")] = "models"
    once: Annotated[bool, Option("Print the state once and end.")] = False
    interval: Annotated[float, Option("Seconds between two looks.", minimum=0.1)] = 1.0

    web: Annotated[bool, Option("Show the same as a web page, too; its address is printed.")] = False
    host: Annotated[str, Option("Address that the page listens on; any but 127.0.0.1 is open to the network.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Option("Port of the page; 0: a free one.", minimum=0, maximum=65535)] = 0
