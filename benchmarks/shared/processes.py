"""Processes that comparisons start: the same surroundings for all of them, and what one said when it failed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent


def environment(threads: int) -> dict[str, str]:
    """The same number of threads in every library of every side; threads without work sleep instead of spinning.

    Tokenizers decide for themselves whether to use threads: told to do so, they hang in a data loader's workers.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    places = [str(HERE.parents[1]), str(HERE), os.environ.get("PYTHONPATH")]
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(filter(None, places)),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "RAYON_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "KMP_BLOCKTIME": "0",
        "GOMP_SPINCOUNT": "0",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0"),
    }


def last_line(log: Path, code: int) -> str:
    """The last line of a traceback in a log, or the first one of an error that bistill told; its exit code without.

    Args:
        log: what the process said.
        code: its exit code.
    """
    said = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    told = [line for line in said[-4:] if line.startswith("error: ")]
    return next(iter(told or said[-1:]), f"exit code {code}")
