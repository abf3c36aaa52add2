"""How many tokens fit, what a process gives back, and which errors mean that memory ran out."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import psutil
import torch
from torch import nn

from bistill import distributed

# Bytes that one token leaves in one layer for the backward pass, per hidden dimension, in float32: 34 values of two
# bytes in half precision without the attention scores (Korthikanti et al. 2022, "Reducing Activation Recomputation in
# Large Transformer Models", equation 1), of which only the dropout masks are not twice as large.
BYTES_PER_HIDDEN: Final = 64
# Share of the machine's memory for activations; weights, optimizer, data and others need the rest.
SHARE: Final = 0.4
UNLIMITED: Final = 2**31
# Updates after which the heap is trimmed: its pages are then taken anew, half a percent of the time.
TRIM_EVERY: Final = 20
SMALLEST: Final = 512
# What allocators and libraries say where torch raises a plain RuntimeError: its own for a GPU (that of a failed look at
# the card included, which torch reports as a fault of its own) and for a CPU, the drivers, cuBLAS, cuDNN and their like
# (``..._ALLOC_FAILED``, ``..._ALLOCATION_FAILED``), and the C++ library.
PHRASES: Final = re.compile(
    r"out[ _]?of[ _]?memory|(can't|cannot|could not|failed to|unable to) allocate|not enough memory|"
    r"insufficient memory|ALLOC(ATION)?_FAILED|MemoryAllocation|NVML_SUCCESS == r|bad[ _]alloc",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, of a GPU or of the machine."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and PHRASES.search(str(error)) is not None


def first_budget(model: nn.Module, device: torch.device) -> int:
    """Tokens to begin with: on a GPU all of a step, since running out is an error there that can be answered.

    On a CPU the system kills a process that takes too much, so the number comes from the machine's whole memory (not
    from what is free at the moment: the same command shall do the same again), rounded down to a power of two.
    """
    config: Any = getattr(model, "config", None)
    if device.type != "cpu" or config is None:
        return UNLIMITED
    text = config.get_text_config()
    token = text.num_hidden_layers * text.hidden_size * BYTES_PER_HIDDEN
    fits = int(SHARE * machine_memory() / token)
    return max(1 << (fits.bit_length() - 1), SMALLEST) if fits else SMALLEST


def machine_memory() -> int:
    """Bytes that this process may use: the machine's, or the limit of its control group, shared by those of the run."""
    limits = [psutil.virtual_memory().total]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # no such group, or "max"
            limits.append(int(Path(file).read_text(encoding="ascii")))
    return min(limits) // distributed.processes_here()


def release() -> None:
    """Give back what a failed attempt held."""
    gc.collect()
    trim_heap()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def trim_heap() -> None:
    """Give the free pages of the heap back to the system, wherever they lie; takes a tenth of a second a GB.

    The tensors of an update come to lie where those before left room, and what does not fit lengthens the heap. glibc
    keeps all of it but the end, so that what a process holds crept up with every update that was divided otherwise.
    """
    if (trim := malloc_trim()) is not None:
        trim(0)


@cache
def malloc_trim() -> Callable[[int], int] | None:
    """The function of glibc; other C libraries have none."""
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)
    except (OSError, TypeError):  # Windows has no library of the process
        return None
