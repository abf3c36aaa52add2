"""Vectors whose first numbers are vectors, too: a loss that sees the whole vectors and some of their prefixes.

Matryoshka representation learning: Kusupati et al. 2022, arXiv 2205.13147, with equal weights. Whoever keeps only the
first 128 numbers of each vector then needs a third of the memory of 384, and still ranks well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from bistill.errors import OptionError, Told
from bistill.models.bi_encoder import BiEncoder
from bistill.models.compute import packing
from bistill.training.loop.gradients import Terms

# Where servers such as vLLM look up to which lengths a model's vectors may be cut.
CONFIG_FIELD: Final = "matryoshka_dimensions"


def over_prefixes(terms: Callable[[Tensor], Terms], vectors: Tensor, sizes: Sequence[int]) -> Terms:
    """Loss terms of whole vectors, with ``loss`` the mean over these and their prefixes, each brought to length 1.

    Args:
        terms: loss terms by name of unit vectors, (n, d) -> scalars, ``loss`` among them.
        vectors: unit vectors of shape (n, dim).
        sizes: of the prefixes, at least one, each below ``dim``.

    Returns:
        ``loss``, the mean; ``full_loss``, that of the whole vectors; the other terms of the whole vectors.
    """
    full = terms(vectors)
    shorter = [terms(functional.normalize(vectors[:, :size], dim=-1))["loss"] for size in sizes]
    return {**full, "loss": torch.stack([full["loss"], *shorter]).mean(), "full_loss": full["loss"]}


def prepare(encoder: BiEncoder, sizes: Sequence[int]) -> None:
    """Check the sizes against a student's vectors, and note them in the configuration that is saved with it.

    Raises:
        OptionError: its vectors are not longer than the longest prefix.
    """
    if not sizes:
        return
    if sizes[0] >= encoder.dim:
        raise OptionError(
            "a prefix is shorter than the student's vectors",
            where="`matryoshka`",
            found=Told(f"{sizes[0]}, the vectors of {encoder.source} have {encoder.dim} numbers"),
            todo=f"give numbers below {encoder.dim}",
        )
    setattr(packing.transformer(encoder.model).config, CONFIG_FIELD, sorted({*sizes, encoder.dim}))
