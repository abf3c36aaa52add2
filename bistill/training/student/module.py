"""What a student's training trains: its transformer, and beside it what serves the losses and is not saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from bistill.models.compute import packing
from bistill.training.student.calibrated import ScoreLine
from bistill.training.student.vector_targets import VectorMap


class StudentModule(nn.Module):
    """A student's transformer, trained together with the line of its score and the maps to its teachers' vectors.

    Args:
        transformer: of the student, adapters included.
        line: from its cosines to logits, where there is one.
        maps: from its vectors into the spaces of its teachers.
    """

    def __init__(self, transformer: Any, line: ScoreLine | None, maps: Sequence[VectorMap]) -> None:
        super().__init__()
        self.transformer, self.line, self.maps = transformer, line, nn.ModuleList(maps)

    @property
    def config(self) -> Any:
        """Of the transformer."""
        return self.transformer.config

    @property
    def base_model(self) -> Any:
        """The transformer below adapters."""
        return packing.transformer(self.transformer)
