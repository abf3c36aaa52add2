"""Options of the chained stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from bistill.app.config.evaluation import EvaluationOptions
from bistill.app.config.shared import DataRoot, WhichRecipe
from bistill.app.config.training import DistillationOptions, TeacherOptions
from bistill.app.options import Option, Options


@dataclass(frozen=True, kw_only=True)
class PipelineOptions(Options, group="data", common=True):
    """Teacher, distillation and evaluation on one data version; stages whose inputs are unchanged are skipped.

    Without labels: --documents and --queries are prepared first, and --teacher_path teaches as it is.
    """

    decided: ClassVar = {
        "teacher": ("data_version", "data_root"),
        "distillation": ("data_version", "data_root", "teacher_path", "recipe"),
        "evaluation": ("model_path",),
    }

    config: Annotated[str | None, Option("YAML file with any of these options; flags override it.")] = None
    documents: Annotated[
        str | None,
        Option("File of documents, prepared together with --queries; no labels are needed, but --teacher_path is."),
    ] = None
    queries: Annotated[str | None, Option("File of queries without labels, such as a log.")] = None
    teacher_path: Annotated[
        str | None,
        Option(
            "Teacher that is there already, a re-ranker or a Bi-Encoder (folder or hub name; scores:NAME: imported "
            "scores): none is trained.",
            group="models",
        ),
    ] = None
    student_name: Annotated[
        str | None,
        Option("Hub name or folder that the student starts from; unset: --distillation.student_name.", group="models"),
    ] = None
    data_version: Annotated[
        str | tuple[str, ...] | None,
        Option(
            "Folder below --data_root with train.csv, valid.csv, test.csv, or several; with --documents and --queries "
            "the one that is written. Unset: supervised_only, and unlabelled.",
        ),
    ] = None
    data_root: DataRoot = "preprocessed"
    recipe: WhichRecipe = None
    searches: Annotated[tuple[str, ...], Option("Queries answered at the end, student beside base model.")] = ()
    force: Annotated[bool, Option("Run every stage, also the unchanged ones.")] = False
    teacher: Annotated[TeacherOptions, Option("Stage 1; not with --teacher_path.")] = field(
        default_factory=TeacherOptions
    )
    distillation: Annotated[DistillationOptions, Option("Stage 2.")] = field(
        default_factory=lambda: DistillationOptions(teacher_path="models/teacher", output_dir="models/student")
    )
    evaluation: Annotated[
        EvaluationOptions, Option("Stage 3; only where there are labels for it: a test.csv, or --evaluation.test_data.")
    ] = field(default_factory=lambda: EvaluationOptions(model_path="models/student", test_data=""))
