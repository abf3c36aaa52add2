"""Teacher, distillation and evaluation chained on one data version; what has not changed is not done again.

A stage is skipped when its inputs are those of its last run (options, data files, models, the stage before) and its
outputs are still the files that run wrote, by SHA-256. Both stand in ``stage.json`` in the stage's folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bistill import __version__, artifacts, console
from bistill.app import assembling
from bistill.app.commands.distill import train as train_student
from bistill.app.commands.evaluate import evaluate
from bistill.app.commands.search import answer
from bistill.app.commands.teacher import train as train_teacher
from bistill.app.config import DistillationOptions, EvaluationOptions, PipelineOptions, TeacherOptions, TrainingOptions
from bistill.app.following import say_next
from bistill.app.options import Options, altering
from bistill.candidates.scores.teachers import is_model
from bistill.data.store.opening import load_split
from bistill.data.store.version import Version
from bistill.errors import ArtifactError, DataError, OptionError
from bistill.evaluation.report.summary import print_summary
from bistill.models.files import folder as model_folder
from bistill.models.files import loading
from bistill.training.run.folder import has_checkpoints

# What to give instead of an option that follows from others.
DECIDED_BY = {
    "data_version": "give --data_version to the pipeline",
    "data_root": "give --data_root to the pipeline",
    "recipe": "give --recipe to the pipeline",
    "teacher_path": "give --teacher.output_dir; for a teacher trained elsewhere use bistill distill",
    "model_path": "give --distillation.output_dir",
}


@dataclass(frozen=True)
class Stage:
    """One stage as the pipeline sees it.

    Attributes:
        name: shown to the user.
        options: its options, joined with those of the other stages.
        output_dir: where it writes.
        outputs: files that must be whole for the stage to be skipped; () for all that make up the model it wrote.
        action: runs it.
        needs: names of the data files and earlier stages that it reads.
        model: model it starts from; "" for none.
    """

    name: str
    options: Options
    output_dir: str
    outputs: tuple[str, ...]
    action: Callable[[Any], object]
    needs: tuple[str, ...]
    model: str = ""


def run(options: PipelineOptions) -> None:
    """Run the three stages, print the summary, answer the closing searches.

    Raises:
        BistillError: data or a model cannot be used.
    """
    teacher, distillation, evaluation = joined(options)
    # What is wrong with a later stage is said before an earlier one begins.
    assembling.teacher_training(teacher), assembling.student_training(distillation), assembling.taught_by(distillation)
    stages = (
        Stage(
            "teacher",
            teacher,
            teacher.output_dir,
            (),
            train_teacher,
            needs=("train", "valid", "corpus"),
            model=teacher.model_name,
        ),
        Stage(
            "distillation",
            distillation,
            distillation.output_dir,
            (),
            train_student,
            needs=("train", "valid", "corpus", "miners", "teacher"),
            model=distillation.student_name,
        ),
        Stage(
            "evaluation",
            evaluation,
            evaluation.output_dir,
            artifacts.EVALUATION_FILES,
            evaluate,
            needs=("test", "beside", "teacher", "distillation"),
        ),
    )
    known = data_fingerprints(options, evaluation.test_data) | {
        "miners": models_fingerprint(
            (*distillation.more_teachers, *distillation.embedding_teacher), distillation.miner_model
        ),
        "beside": evaluation_fingerprint(evaluation),
    }
    for stage in stages:
        known[stage.name] = _do(stage, {name: known[name] for name in stage.needs}, force=options.force)
    if options.searches:
        _search(options.searches, distillation, evaluation)
    print(f"teacher:  {teacher.output_dir}\nstudent:  {distillation.output_dir}")
    for name in artifacts.EVALUATION_FILES:
        print(f"figures:  {Path(evaluation.output_dir) / name}")
    say_next("search", model_path=distillation.output_dir, documents=evaluation.test_data, query="your question")


def joined(options: PipelineOptions) -> tuple[TeacherOptions, DistillationOptions, EvaluationOptions]:
    """Options of the stages, joined: one data version (or several), the teacher's folder to the student, the student's
    to the evaluation, which reads the test of the first version unless another is named.

    Raises:
        OptionError: a section gives an option that the joining decides.
    """
    default = PipelineOptions()
    for section, names in options.decided.items():
        for name in names:
            given = getattr(getattr(options, section), name)
            own = getattr(options, name, None)
            if given not in (getattr(getattr(default, section), name), own):
                raise OptionError(
                    "the pipeline decides this option itself",
                    where=f"{section}.{name}",
                    found=given,
                    todo=DECIDED_BY[name],
                )
    teacher = dataclasses.replace(options.teacher, data_version=options.data_version, data_root=options.data_root)
    distillation = dataclasses.replace(
        options.distillation,
        data_version=options.data_version,
        data_root=options.data_root,
        teacher_path=teacher.output_dir,
    )
    test_data = _version(options).path("test")
    evaluation = dataclasses.replace(
        options.evaluation,
        model_path=distillation.output_dir,
        test_data=options.evaluation.test_data or str(test_data),
    )
    return teacher, distillation, evaluation


def data_fingerprints(options: PipelineOptions, test_data: str) -> dict[str, str]:
    """SHA-256 of the training and validation files of the data version, of its corpus and of the test file, by name; of
    several versions of all together.

    Raises:
        DataError: one does not exist.
    """
    found = [_fingerprints_of(version, test_data) for version in _version(options).each]
    if len(found) == 1:
        return found[0]
    joined = {name: artifacts.fingerprint({"versions": [own[name] for own in found]}) for name in found[0]}
    return joined | {"train": _version(options).content()}  # other tests decide what is trained on, too


def _fingerprints_of(version: Version, test_data: str) -> dict[str, str]:
    """``data_fingerprints`` of a single data version."""
    folder = version.folder
    files = {split: version.path(split) for split in ("train", "valid")} | {"test": Path(test_data)}
    for path in files.values():
        if not path.is_file():
            raise DataError(
                "the file does not exist",
                where=str(path),
                todo=f"bistill prepare SOURCE --data_version {version.name}",
            )
    prepared = folder / artifacts.PREPARE_RECORD  # its label threshold is used again when the files are read
    reading = artifacts.sha256_of_file(prepared) if prepared.is_file() else ""
    corpus = folder / artifacts.CORPUS_FILE
    return {
        split: artifacts.fingerprint({"file": artifacts.sha256_of_file(path), "prepared": reading})
        for split, path in files.items()
    } | {"corpus": artifacts.sha256_of_file(corpus) if corpus.is_file() else ""}


def _version(options: PipelineOptions) -> Version:
    return Version(Path(options.data_root), *assembling.names_of(options.data_version))


def models_fingerprint(more_teachers: tuple[str, ...], miner_model: str | None) -> str:
    """Fingerprint of the models that a distillation reads beside teacher and student; imported scores have none."""
    names = [
        *(name for name in more_teachers if is_model(name)),
        *([miner_model] if miner_model else []),
    ]
    return artifacts.fingerprint({"models": [loading.model_fingerprint(loading.resolve(name)) for name in names]})


def evaluation_fingerprint(options: EvaluationOptions) -> str:
    """Fingerprint of what an evaluation reads beside the test file: other files, and models named by option."""
    models = (options.base_model, options.teacher_path, options.compare_with)
    named = [loading.model_fingerprint(loading.resolve(name)) for name in models if name]
    paths = [Path(name) for name in (options.documents, *options.forgetting_data) if name]
    for name in (options.test_data, *options.forgetting_data):
        if version := Version.of_file(Path(name)):
            paths += version.files()
    files = [artifacts.sha256_of_file(path) if path.is_file() else "" for path in paths]
    return artifacts.fingerprint({"models": named, "files": files})


def _do(stage: Stage, inputs: dict[str, str], *, force: bool) -> str:
    """Run a stage unless it is unchanged; the fingerprint of its outputs, by which later stages know it."""
    model = loading.model_fingerprint(loading.resolve(stage.model)) if stage.model else ""
    wanted = artifacts.fingerprint(
        {"bistill": __version__, "options": altering(stage.options), "inputs": inputs, "model": model}
    )
    folder = Path(stage.output_dir)
    if not force and _unchanged(folder, wanted):
        console.say(f"{stage.name}: inputs unchanged, {folder} is reused")
        if isinstance(stage.options, EvaluationOptions):  # what it prints when it runs
            print_summary(artifacts.read_json(folder / artifacts.EVALUATION_JSON), stage.options.language)
        return artifacts.fingerprint(artifacts.read_json(folder / artifacts.STAGE_RECORD)["outputs"])
    console.say(f"{stage.name}: started")
    stage.action(replacing(stage, folder, wanted, force=force))
    files = stage.outputs or model_folder.model_files(folder)
    hashes = {file: artifacts.sha256_of_file(folder / file) for file in files}
    artifacts.write_json(folder / artifacts.STAGE_RECORD, {"inputs": wanted, "outputs": hashes})
    return artifacts.fingerprint(hashes)


def replacing(stage: Stage, folder: Path, wanted: str, *, force: bool) -> Options:
    """The options with which a stage replaces what its own last run made: of other inputs, or with files changed since.

    What somebody else made there is none of the pipeline's: the stage itself keeps or refuses it.
    """
    options = stage.options
    if not isinstance(options, TrainingOptions):
        return options
    recorded = _recorded(folder)
    if recorded is None and not force:
        return options
    same = recorded is not None and recorded.get("inputs") == wanted
    reason = "its files have changed" if same else "its inputs have changed"
    console.say(
        f"{stage.name}: {'--force' if force else reason}; "
        f"a finished model in {folder} is replaced once the new one is whole (--overwrite)"
    )
    # The same once more, unless that was begun already and broken off.
    anew = (same or force) and not (has_checkpoints(folder) or has_checkpoints(folder / artifacts.REPLACEMENT_FOLDER))
    return dataclasses.replace(options, overwrite=True, restart=options.restart or anew)


def _recorded(folder: Path) -> dict[str, Any] | None:
    """What the pipeline's last run of a stage left about it."""
    try:
        return artifacts.read_json(folder / artifacts.STAGE_RECORD)
    except ArtifactError:
        return None


def _unchanged(folder: Path, wanted: str) -> bool:
    """Whether the stage's last run had the same inputs, and what it wrote is all there as it wrote it."""
    record = _recorded(folder) or {}
    written = record.get("outputs")
    if record.get("inputs") != wanted or not isinstance(written, dict):
        return False
    return all(
        (folder / file).is_file() and artifacts.sha256_of_file(folder / file) == hashed
        for file, hashed in written.items()
    )


def _search(queries: tuple[str, ...], distillation: DistillationOptions, evaluation: EvaluationOptions) -> None:
    documents = load_split(evaluation.test_data, on_bad_rows=evaluation.on_bad_rows).documents
    answer(
        queries,
        distillation.output_dir,
        documents,
        compare_with=distillation.student_name,
        trust_remote_code=distillation.trust_remote_code,
    )
