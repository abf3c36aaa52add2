"""Teacher, distillation and evaluation chained on one data version; what has not changed is not done again.

A stage is skipped when its inputs are those of its last run (options, data files, models, the stage before) and its
outputs are still the files that run wrote, by SHA-256. Both stand in ``stage.json`` in the stage's folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bistill import __version__, artifacts, console
from bistill.config import DistillationOptions, EvaluationOptions, Options, PipelineOptions, TeacherOptions
from bistill.data.store import load_documents
from bistill.encoders import loading
from bistill.errors import ArtifactError, DataError

MODEL_FILES = (artifacts.WEIGHTS_FILE, artifacts.MODEL_RECORD)
EVALUATION_FILES = (artifacts.EVALUATION_JSON, artifacts.EVALUATION_PNG)


def run(options: PipelineOptions) -> None:
    """Run the three stages, print the summary, answer the closing searches.

    Raises:
        BistillError: data or a model cannot be used.
    """
    from bistill.evaluation.report import print_summary

    teacher, distillation, evaluation = stages(options)
    data = data_fingerprints(options)
    done = {
        "teacher": _stage(
            "teacher", teacher, teacher.output_dir, MODEL_FILES, _train_teacher, options.force, data, teacher.model_name
        )
    }
    done["distillation"] = _stage(
        "distillation",
        distillation,
        distillation.output_dir,
        MODEL_FILES,
        _distil,
        options.force,
        {**data, **done},
        distillation.student_name,
    )
    _stage(
        "evaluation", evaluation, evaluation.output_dir, EVALUATION_FILES, _evaluate, options.force, {**data, **done}
    )
    results = Path(evaluation.output_dir)
    print_summary(artifacts.read_json(results / artifacts.EVALUATION_JSON))
    if options.searches:
        _search(options.searches, distillation, evaluation)
    print(f"teacher:  {teacher.output_dir}")
    print(f"student:  {distillation.output_dir}")
    for name in EVALUATION_FILES:
        print(f"figures:  {results / name}")


def stages(options: PipelineOptions) -> tuple[TeacherOptions, DistillationOptions, EvaluationOptions]:
    """Options of the stages, joined: one data version, the teacher's folder to the student, the student's to the
    evaluation."""
    shared = {"data_version": options.data_version, "data_root": options.data_root}
    teacher = dataclasses.replace(options.teacher, **shared)
    distillation = dataclasses.replace(options.distillation, **shared, teacher_path=teacher.output_dir)
    test_data = Path(options.data_root) / options.data_version / artifacts.SPLIT_FILES["test"]
    evaluation = dataclasses.replace(
        options.evaluation,
        model_path=distillation.output_dir,
        test_data=options.evaluation.test_data or str(test_data),
    )
    return teacher, distillation, evaluation


def data_fingerprints(options: PipelineOptions) -> dict[str, str]:
    """SHA-256 of the three files of the data version.

    Raises:
        DataError: one does not exist.
    """
    folder = Path(options.data_root) / options.data_version
    found = {}
    for split, name in artifacts.SPLIT_FILES.items():
        if not (folder / name).is_file():
            raise DataError(
                "the file does not exist",
                where=str(folder / name),
                todo=f"bistill prepare SOURCE --data_version {options.data_version}",
            )
        found[split] = artifacts.sha256_of_file(folder / name)
    return found


def _stage(
    name: str,
    options: Options,
    output_dir: str,
    outputs: tuple[str, ...],
    action: Callable[[Any], object],
    force: bool,
    inputs: Mapping[str, str],
    model_name: str = "",
) -> str:
    """Run a stage unless it is unchanged; the fingerprint of its inputs."""
    model = loading.model_fingerprint(loading.resolve(model_name)) if model_name else ""
    wanted = artifacts.fingerprint(
        {"bistill": __version__, "options": dataclasses.asdict(options), "inputs": dict(inputs), "model": model}
    )
    folder = Path(output_dir)
    if not force and _unchanged(folder, wanted, outputs):
        console.say(f"{name}: inputs unchanged, {folder} is reused")
        return wanted
    console.say(f"{name}: started")
    (folder / artifacts.STAGE_RECORD).unlink(missing_ok=True)
    action(options)
    hashes = {file: artifacts.sha256_of_file(folder / file) for file in outputs}
    artifacts.write_json(folder / artifacts.STAGE_RECORD, {"inputs": wanted, "outputs": hashes})
    return wanted


def _unchanged(folder: Path, wanted: str, outputs: tuple[str, ...]) -> bool:
    try:
        record = artifacts.read_json(folder / artifacts.STAGE_RECORD)
    except ArtifactError:
        return False
    if record.get("inputs") != wanted:
        return False
    written = record.get("outputs", {})
    return all(
        (folder / file).is_file() and artifacts.sha256_of_file(folder / file) == written.get(file) for file in outputs
    )


def _search(queries: tuple[str, ...], distillation: DistillationOptions, evaluation: EvaluationOptions) -> None:
    from bistill.serving.search import answer

    documents = load_documents(evaluation.test_data)
    answer(
        queries,
        distillation.output_dir,
        documents,
        compare_with=distillation.student_name,
    )


def _train_teacher(options: TeacherOptions) -> None:
    from bistill.training import teacher

    teacher.train(options)


def _distil(options: DistillationOptions) -> None:
    from bistill.training import distillation

    distillation.train(options)


def _evaluate(options: EvaluationOptions) -> None:
    from bistill.evaluation.evaluate import evaluate

    evaluate(options)
