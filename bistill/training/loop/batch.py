"""What one update sees: texts, what a model makes of them, and the loss over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Batch:
    """Texts of one update, numbered by their places 0..n-1, and the loss over their rows.

    Attributes:
        lengths: tokens of each text, int64 of shape (n,).
        forward: rows of the texts at some places, places of shape (m,) -> (m, ...); with graph where gradients are on.
        terms: loss terms by name from the rows of some places: (m, ...), places -> scalars. ``loss`` is minimised.
        separable: whether the terms of parts of the texts add up to the terms of all. Where they do not, ``terms`` is
            only ever asked for all places, in their order.
        packed: whether the texts of one forward share a row without padding.
        describe: what a person calls the text at a place, with the id by which it is found again.
    """

    lengths: np.ndarray
    forward: Callable[[np.ndarray], Tensor]
    terms: Callable[[Tensor, np.ndarray], Terms]
    separable: bool
    packed: bool
    describe: Callable[[int], str]

    @property
    def places(self) -> np.ndarray:
        """All places, int64 of shape (n,)."""
        return np.arange(len(self.lengths))
