"""Run a command as one of several processes, of which one has a fault.

Usage: ``launched.py FAULT COMMAND OPTIONS``. Faults: ``none``; ``forward``, ``backward``, ``adding``: memory runs out
once in the worker of rank 1, in the last one just before gradients are added up; ``nan``: its rows are none once;
``save``: the leader is killed in its third save, unless the file FLAG of the environment is there; ``disk``: from
update 20 to 40 the leader has room for its journal and for no checkpoint; ``silence``: three seconds without a word
count as silence.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Any

from bistill.app import cli
from bistill.distributed import peers
from bistill.models.compute import sharing
from bistill.training.loop.passes import Passes
from bistill.training.run import hooks
from tests.faults import killed_in_save

# Call of a worker at which it happens.
AT = 20


def install(fault: str, rank: int) -> None:
    """Put the fault into the functions that a process computes with."""
    vars(peers).update(GRACE=3.0)
    if fault == "silence":
        vars(peers).update(SILENCE=3.0, BEAT=0.5)
    elif fault == "save" and rank == 0:
        flag = Path(os.environ["FLAG"])
        if not flag.exists():
            flag.touch()
            killed_in_save.install("before", 3)
    elif fault == "disk" and rank == 0:
        _without_disk(range(20, 40))
    elif rank == 1 and fault == "adding":
        _replace(sharing, "have_buffer", fault)
    elif rank == 1 and fault in ("forward", "backward", "nan"):
        _replace(Passes, "carry" if fault == "backward" else "rows", fault)


def _without_disk(updates: range) -> None:
    plain = hooks.WriteJournal.after_step

    def limited(self: hooks.WriteJournal, progress: Any) -> None:
        plain(self, progress)
        limit = 65_536 if progress.step in updates else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    hooks.WriteJournal.after_step = limited  # type: ignore[method-assign]


def _replace(owner: Any, name: str, fault: str) -> None:
    plain, calls = getattr(owner, name), 0

    def faulty(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        found = plain(*arguments)
        if calls != AT:
            return found
        if fault != "nan":
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory")
        return found * float("nan")

    setattr(owner, name, faulty)


if __name__ == "__main__":
    install(sys.argv[1], int(os.environ.get("RANK", "0")))
    cli.run_command(sys.argv[2], sys.argv[3:])
