"""Faults switched on inside a training process; the same code for both trainers.

``memory-forward``, ``memory-backward`` and ``nan`` strike once. With ``memory-half`` every training forward of more
than half the tokens of the largest one before fails from then on, as if another process had taken the memory.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

FAULTS: Final = ("none", "memory-forward", "memory-backward", "memory-half", "nan")
# What CUDA's allocator says, with the sentence by which accelerate and others recognise it.
OUT_OF_MEMORY: Final = "CUDA out of memory. Tried to allocate 2.00 GiB."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments by which a child process is told its fault and its pace."""
    parser.add_argument("--fault", choices=FAULTS, default="none")
    parser.add_argument("--at", type=int, default=0, help="updates done when the fault strikes")
    parser.add_argument("--struck", help="file that is made when the fault strikes")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds after each update, to be killed in")


class Injection:
    """Strikes a BERT in the first training forward after a number of updates.

    Args:
        options: ``fault`` of ``FAULTS``, ``at`` as the number of updates done when it strikes, and ``struck``.
        updates: gives the number of updates done so far.
    """

    def __init__(self, options: argparse.Namespace, updates: Callable[[], int]) -> None:
        self._options, self._updates = options, updates
        self._begun, self._largest = False, 0

    def attach(self, transformer: nn.Module) -> None:
        """Put the fault into the layers; of the whole, sentence-transformers calls ``forward``, past all hooks."""
        if self._options.fault != "none":
            transformer.get_submodule("encoder").register_forward_hook(self._after_forward)

    def _after_forward(self, layers: nn.Module, arguments: Any, output: Any) -> None:
        if not layers.training:
            return
        hidden, first = output.last_hidden_state, False
        tokens = hidden.shape[0] * hidden.shape[1]
        if not self._begun and hidden.requires_grad and self._updates() >= self._options.at:
            self._begun = first = True
        if not self._begun:
            self._largest = max(self._largest, tokens)
        elif self._options.fault == "memory-half":
            if tokens > self._largest / 2:
                self._run_out_of_memory()
        elif first:
            self._strike_once(output, hidden)

    def _strike_once(self, output: Any, hidden: torch.Tensor) -> None:
        if self._options.fault == "memory-forward":
            self._run_out_of_memory()
        elif self._options.fault == "memory-backward":
            hidden.register_hook(lambda _: self._run_out_of_memory())
        else:
            self._strike()
            output.last_hidden_state = hidden * float("nan")

    def _run_out_of_memory(self) -> None:
        self._strike()
        raise torch.OutOfMemoryError(OUT_OF_MEMORY)

    def _strike(self) -> None:
        if self._options.struck:
            Path(self._options.struck).touch()
