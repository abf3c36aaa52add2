"""What a launcher tells a process about the others, by environment variables; those of torchrun."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from bistill.errors import OptionError, Told

NAMES: Final = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
ATTEMPT: Final = "TORCHELASTIC_RESTART_COUNT"
# Further ones by which libraries below us would take this process for one of several that all do the same.
FURTHER: Final = ("LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE")


class Launch(NamedTuple):
    """A process among the others.

    Attributes:
        rank: 0-based number of it; 0 leads.
        size: processes of the run.
        local_rank: its number among those of its machine, which is that of its GPU.
        address: of the machine of rank 0.
        attempt: how often the launcher has started all processes again.
        local_size: processes on this machine.
    """

    rank: int
    size: int
    local_rank: int
    address: str
    attempt: str = "0"
    local_size: int = 1


def launch() -> Launch | None:
    """How this process was launched; None where it is alone.

    Raises:
        OptionError: there are several processes, and what one must know of the others is missing or no number.
    """
    if "LOCAL_RANK" not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        return None
    if missing := [name for name in NAMES if name not in os.environ]:
        raise OptionError(
            "the launcher does not tell everything about the other processes",
            where="environment",
            found=Told(f"no {', '.join(missing)}"),
            todo="start the command by torchrun, or with plain python alone",
        )
    rank, size, local_rank, address, _ = (os.environ[name] for name in NAMES)
    local_size = os.environ.get("LOCAL_WORLD_SIZE", "1")
    try:
        return Launch(int(rank), int(size), int(local_rank), address, os.environ.get(ATTEMPT, "0"), int(local_size))
    except ValueError:
        raise OptionError(
            "a number is expected", where="RANK, WORLD_SIZE, LOCAL_RANK", found=(rank, size, local_rank)
        ) from None


def forget() -> None:
    """Remove what the launcher told: from now on libraries below us take this process for one alone, as it acts."""
    for name in (*NAMES, *FURTHER):
        os.environ.pop(name, None)
