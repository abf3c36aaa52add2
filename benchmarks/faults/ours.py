"""One distillation by bistill's own command, as a process that can be killed or given a fault.

python benchmarks/faults/ours.py [--fault FAULT --at UPDATES] [--pause SECONDS] -- OPTIONS OF bistill distill

The command runs as it stands; only ``BiEncoder.load`` is wrapped, so that the fault is in the student, and the journal,
so that the fault knows how many updates were done. Progress is bistill's own ``journal.jsonl``.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import torch
from injection import Injection, add_arguments

from bistill.app import cli
from bistill.journal import Journal
from bistill.models.bi_encoder import BiEncoder


def main() -> None:
    """Run the command with the fault in it."""
    own, command = _split(sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    options = parser.parse_args(own)
    torch.set_num_threads(1)
    updates = _watch_journal(options.pause)
    _wrap_load(Injection(options, lambda: updates[-1]))
    cli.run_command("distill", command, program="bistill distill")


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end + 1 :]


def _watch_journal(pause: float) -> list[int]:
    """Numbers of the updates that this process wrote into the journal, 0 before the first; grows as it goes on."""
    write, updates = Journal.write, [0]

    def watched(journal: Journal, event: str, **fields: Any) -> None:
        write(journal, event, **fields)
        if event == "step":
            updates.append(fields["step"])
            time.sleep(pause)

    Journal.write = watched  # type: ignore[method-assign]
    return updates


def _wrap_load(injection: Injection) -> None:
    """Put the fault into the student."""
    load = BiEncoder.load

    def faulty(*arguments: Any, **settings: Any) -> BiEncoder:
        encoder = load(*arguments, **settings)
        injection.attach(encoder.model)
        return encoder

    BiEncoder.load = faulty  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
