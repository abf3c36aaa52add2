"""python limited.py STEP:LIMIT,... FLAG ...: train a teacher whose files may have LIMIT bytes from within a step on.

A limit of 0 is none. A step beyond the last means the moment when the last checkpoint is written and the model is not.
"""

from __future__ import annotations

import resource
import sys
import threading
from typing import Any

from bistill.app import cli
from bistill.training.run import hooks, stage

PLAN = dict(tuple(map(int, part.split(":"))) for part in sys.argv[1].split(","))


def limit(step: int) -> None:
    """Set the limit of a step, once the checkpoint of an earlier one is written."""
    if step in PLAN:
        for thread in threading.enumerate():
            if thread.name == "checkpoint":
                thread.join()
        resource.setrlimit(resource.RLIMIT_FSIZE, (PLAN[step] or resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def main() -> None:
    after_step, publish = hooks.WriteJournal.after_step, stage.publish

    def acting(self: hooks.WriteJournal, progress: Any) -> None:
        limit(progress.step)
        after_step(self, progress)

    def publishing(encoder: Any, adapters: Any, record: dict[str, Any], *others: Any) -> None:
        limit(record["updates"] + 1)
        publish(encoder, adapters, record, *others)

    hooks.WriteJournal.after_step = acting  # type: ignore[method-assign]
    stage.publish = publishing
    cli.run_command("teacher", sys.argv[2:])


if __name__ == "__main__":
    main()
