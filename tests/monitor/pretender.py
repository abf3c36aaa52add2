"""Writes a journal as a run does, without a model: ``pretender.py FOLDER KIND``.

Kinds: ``crash`` fails after its first update; ``refuse`` ends with exit code 2 before its first line, from the second
process on; ``work`` goes on until the folder has a file ``enough``, and finishes.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path

import psutil

from bistill.journal import Journal


def main() -> None:
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    if kind == "refuse" and (folder / "journal.jsonl").exists():
        print("error: --lr: the value is out of range", file=sys.stderr)
        sys.exit(2)
    journal = Journal(folder / "journal.jsonl")
    journal.write(
        "start",
        stage="teacher",
        pid=os.getpid(),
        process_started=psutil.Process().create_time(),
        host=platform.node(),
        command=[sys.executable, *sys.orig_argv[1:]],
        cwd=str(Path.cwd()),
        environment={},
        argv=sys.argv,
    )
    step = 0
    while not (folder / "enough").exists():
        step += 1
        terms = {"loss": 1 / step}
        journal.write("step", step=step, total_steps=1000, epoch=0, lr=1e-4, terms=terms, grad_norm=1.0, seconds=0.02)
        if kind == "crash":
            error = {"error": "ZeroDivisionError: here", "error_kind": "fault", "traceback": "Traceback of ours"}
            journal.write("end", status="failed", seconds=1.0, **error)
            sys.exit(1)
        if kind == "refuse":
            os.kill(os.getpid(), 9)
        time.sleep(0.02)
    journal.write("end", status="finished", seconds=1.0)


if __name__ == "__main__":
    main()
