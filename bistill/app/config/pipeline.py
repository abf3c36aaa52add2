"""Options of the chained stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from bistill.app.config.evaluation import EvaluationOptions
from bistill.app.config.shared import DataRoot, DataVersion, WhichRecipe
from bistill.app.config.training import DistillationOptions, TeacherOptions
from bistill.app.options import Option, Options


@dataclass(frozen=True, kw_only=True)
class PipelineOptions(Options, group="data", common=True):
    """Teacher, distillation and evaluation on one data version; stages whose inputs are unchanged are skipped."""

    decided: ClassVar = {
        "teacher": ("data_version", "data_root"),
        "distillation": ("data_version", "data_root", "teacher_path", "recipe"),
        "evaluation": ("model_path",),
    }

    config: Annotated[str | None, Option("YAML file with any of these options; flags override it.")] = None
    data_version: DataVersion = "supervised_only"
    data_root: DataRoot = "preprocessed"
    recipe: WhichRecipe = None
    searches: Annotated[tuple[str, ...], Option("Queries answered at the end, student beside base model.")] = ()
    force: Annotated[bool, Option("Run every stage, also the unchanged ones.")] = False
    teacher: Annotated[TeacherOptions, Option("Stage 1.")] = field(default_factory=TeacherOptions)
    distillation: Annotated[DistillationOptions, Option("Stage 2.")] = field(
        default_factory=lambda: DistillationOptions(teacher_path="models/teacher", output_dir="models/student")
    )
    evaluation: Annotated[EvaluationOptions, Option("Stage 3.")] = field(
        default_factory=lambda: EvaluationOptions(model_path="models/student", test_data="")
    )
