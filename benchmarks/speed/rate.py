"""The highest rate of matrix products on this machine, as a side of its own that is measured between the turns.

python benchmarks/speed/rate.py PRECISION

On a CPU in float32 the better of torch's own product and oneDNN's; else torch's own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch.nn import functional
from turn import Turns

from bistill.models.compute import products

# Tokens, inputs and outputs.
CPU_SHAPES = ((2048, 1536, 1536), (4096, 1024, 1024))
CUDA_SHAPES = ((8192, 4096, 4096), (16384, 8192, 8192))
REPETITIONS = 3


def main() -> None:
    """Measure whenever a step is wanted."""
    dtype = torch.bfloat16 if sys.argv[1] == "bf16" else torch.float32
    turns = Turns()
    turns.ready()
    with torch.inference_mode():
        while True:
            turns.begin()
            found = best_rate(dtype)
            turns.done(rate=found)


def best_rate(dtype: torch.dtype) -> float:
    """Floating-point operations a second of the fastest repetition of any shape."""
    cuda = torch.cuda.is_available()
    best = 0.0
    for tokens, inputs, outputs in CUDA_SHAPES if cuda else CPU_SHAPES:
        x = torch.randn(tokens, inputs, device="cuda" if cuda else "cpu", dtype=dtype)
        weight = torch.randn(outputs, inputs, device=x.device, dtype=dtype)
        kinds: list[Callable[[], object]] = [lambda x=x, weight=weight: functional.linear(x, weight)]
        if not cuda and dtype == torch.float32 and torch.backends.mkldnn.is_available():
            kinds.append(lambda x=x, weight=weight: products.onednn_linear(x, weight, None))
        for run in kinds:
            best = max(best, 2 * tokens * inputs * outputs / min(seconds(run) for _ in range(REPETITIONS)))
    return best


def seconds(run: Callable[[], object]) -> float:
    """Wall time of a call."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
