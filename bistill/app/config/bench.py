"""Options of the measurement of speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from bistill.app.config.shared import (
    DEFAULT_TEACHER,
    Arithmetic,
    DataOptions,
    ListSize,
    LoraOptions,
    Seed,
    StudentOptions,
    UpdateSize,
)
from bistill.app.options import Option
from bistill.settings import Within

Work = Literal["teacher", "scoring", "distillation", "encoding"]


@dataclass(frozen=True, kw_only=True)
class BenchOptions(LoraOptions, StudentOptions, DataOptions, group="machine", common=True):
    """Measure training, scoring and encoding on this machine with your data and models, and what limits each."""

    teacher_path: Annotated[
        str, Option("Folder or hub name of the teacher, or of the model it starts from.", group="models")
    ] = DEFAULT_TEACHER
    output_dir: Annotated[str, Option("Folder of the JSON.")] = "bench_results"
    work: Annotated[tuple[Work, ...], Option("What is measured.")] = ("teacher", "scoring", "distillation", "encoding")
    batch_size: UpdateSize = 16
    K: ListSize = 16
    steps: Annotated[
        int, Option("Updates timed, after one that does not count; another is profiled.", within=Within(1))
    ] = 3
    pairs: Annotated[
        int | None, Option("Pairs scored each time; unset: those of an update, --batch_size x --K.", within=Within(1))
    ] = None
    documents: Annotated[int, Option("Documents encoded each time.", within=Within(1))] = 256
    precision: Arithmetic = "auto"
    seed: Seed = 42
