"""The pipeline without labels: what its options may not contradict, and the stage that prepares its data version."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Final

from bistill import artifacts
from bistill.app import assembling
from bistill.app.commands.prepare import prepare
from bistill.app.config import DataOptions, DistillationOptions, PipelineOptions, PrepareOptions, TeacherOptions
from bistill.app.stages import Stage
from bistill.data.prepare.preparing import PreparedData
from bistill.data.store.version import Version
from bistill.errors import OptionError, Told

# The data version that documents and queries without labels become, where none is named.
UNLABELLED: Final = "unlabelled"
NEEDS_A_TEACHER: Final = "give --teacher_path MODEL, a re-ranker or a Bi-Encoder that teaches as it is"


def version_of(options: PipelineOptions) -> Version:
    """The data version of a pipeline, or several.

    Raises:
        OptionError: one is named twice, or none is named.
    """
    default = DataOptions().data_version if options.documents is None else UNLABELLED
    named = default if options.data_version is None else options.data_version
    return Version(Path(options.data_root), *assembling.names_of(named))


def check(options: PipelineOptions) -> None:
    """Raise OptionError where one thing is said twice in different words, or something that another option needs is
    not said."""
    if (options.documents is None) != (options.queries is None):
        raise OptionError(
            "documents and queries without labels are prepared together",
            where="--documents, --queries",
            found=(options.documents, options.queries),
            todo="give both; bistill queries --documents FILE makes queries where there is no log",
        )
    if options.documents is not None and version_of(options).further:
        raise OptionError(
            "documents and queries become one data version",
            where="--data_version",
            found=options.data_version,
            todo="name one, or give those that are prepared already, without --documents and --queries",
        )
    if options.documents is not None and options.teacher_path is None:
        raise OptionError(
            "a teacher is trained on labels, and documents and queries have none",
            where="--teacher_path",
            found=Told("nothing"),
            todo=NEEDS_A_TEACHER,
        )
    _check_teacher(options)
    _check_student(options)


def _check_teacher(options: PipelineOptions) -> None:
    """Raise where a teacher is named that is there, and options for training one are given."""
    decided, default = PipelineOptions.decided["teacher"], TeacherOptions()
    names = [field.name for field in fields(default) if field.name not in decided]
    given = [name for name in names if getattr(options.teacher, name) != getattr(default, name)]
    if options.teacher_path is not None and given:
        raise OptionError(
            "no teacher is trained where --teacher_path names one",
            where=", ".join(f"teacher.{name}" for name in given),
            found=Told(f"--teacher_path {options.teacher_path}"),
            todo="leave out --teacher_path, or the options of the section teacher",
        )


def _check_student(options: PipelineOptions) -> None:
    """Raise where the student is named twice, as two models."""
    default = next(field.default for field in fields(DistillationOptions) if field.name == "student_name")
    own = options.distillation.student_name
    if options.student_name is not None and own not in (default, options.student_name):
        raise OptionError(
            "two models are named for the student to start from",
            where="--student_name, distillation.student_name",
            found=(options.student_name, own),
            todo="give one of them",
        )


def check_labels(options: PipelineOptions, version: Version) -> None:
    """Raise OptionError where a data version has no labels, and a teacher is to be trained on it."""
    if options.teacher_path is None and version.without_labels:
        raise OptionError(
            "a teacher is trained on labels, and the data version has none",
            where="--teacher_path",
            found=Told(str(version.folder / artifacts.LOG_FILES["train"])),
            todo=NEEDS_A_TEACHER,
        )


def preparation(options: PipelineOptions) -> Stage:
    """The stage that makes a data version of documents and queries, as ``bistill prepare`` does."""
    version = version_of(options)
    prepared = PrepareOptions(
        documents=options.documents,
        queries=options.queries,
        data_version=version.name,
        data_root=options.data_root,
        on_bad_rows=options.distillation.on_bad_rows,
    )
    return Stage("preparation", prepared, str(version.folder), _prepare, needs=("given",), outputs=_written)


def _prepare(options: PrepareOptions) -> PreparedData:
    """``prepare``; the pipeline itself replaces no data version of somebody else's."""
    try:
        return prepare(options)
    except OptionError as error:
        if error.where != "`Version.name`":
            raise
        todo = "give another --data_version, or leave out --documents and --queries to learn from what is there"
        raise OptionError(error.what, where=error.where, found=error.found, todo=todo) from None


def _written(folder: Path) -> list[str]:
    """Names of the files of a data version that are there."""
    return [name for name in (*artifacts.DATA_FILES, artifacts.PREPARE_RECORD) if (folder / name).is_file()]


def content_of(options: PipelineOptions) -> str:
    """SHA-256 of the documents and queries that are given."""
    paths = [Path(path) for path in (options.documents, options.queries) if path is not None]
    return artifacts.fingerprint(
        {"files": [artifacts.sha256_of_file(path) if path.is_file() else "" for path in paths]}
    )
