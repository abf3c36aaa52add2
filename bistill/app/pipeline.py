"""Teacher, distillation and evaluation chained on one data version; what has not changed is not done again
(``stages``). Without labels the data version is prepared first, a teacher that is there already teaches, and it is the
judge of the evaluation, too (``label_free``).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from bistill import artifacts, console
from bistill.app import assembling, label_free
from bistill.app.commands.distill import train as train_student
from bistill.app.commands.evaluate import evaluate
from bistill.app.commands.search import answer
from bistill.app.commands.teacher import train as train_teacher
from bistill.app.config import DataOptions, DistillationOptions, EvaluationOptions, PipelineOptions, TeacherOptions
from bistill.app.following import command, say_next
from bistill.app.stages import Stage, done
from bistill.candidates.scores.teachers import is_model
from bistill.data.store.opening import load_documents, load_split
from bistill.data.store.version import Version
from bistill.errors import DataError, OptionError
from bistill.evaluation.judged import is_meant
from bistill.evaluation.settings import Asking
from bistill.models.files import loading

# What to give instead of an option that follows from others.
DECIDED_BY = {
    "data_version": "give --data_version to the pipeline",
    "data_root": "give --data_root to the pipeline",
    "recipe": "give --recipe to the pipeline",
    "teacher_path": "give --teacher.output_dir, or --teacher_path to the pipeline for one that is there already",
    "model_path": "give --distillation.output_dir",
}


def run(options: PipelineOptions) -> None:
    """Run the stages, print the summary, answer the closing searches.

    Raises:
        BistillError: data or a model cannot be used, or options contradict each other.
    """
    # What is wrong with a later stage is said before an earlier one begins.
    label_free.check(options)
    teacher, distillation, evaluation = joined(options)
    assembling.teacher_training(teacher)
    assembling.student_training(distillation).refuse_unheard(assembling.taught_by(distillation))
    version, known = label_free.version_of(options), {}
    if options.teacher_path is not None:
        known["teacher"] = models_fingerprint((options.teacher_path,), None)
    if options.documents is not None:
        known["given"] = label_free.content_of(options)
        _do(label_free.preparation(options), known, options)
    label_free.check_labels(options, version)
    tested = _tested(options, version, evaluation)
    evaluation = dataclasses.replace(evaluation, test_data=str(tested or evaluation.test_data))
    known |= data_fingerprints(options, tested)
    known["miners"] = models_fingerprint(
        (*distillation.more_teachers, *distillation.embedding_teacher), distillation.miner_model
    )
    if options.teacher_path is None:
        known["teacher"] = _do(_teacher(teacher), known, options)
    known["distillation"] = _do(_distillation(distillation), known, options)
    if not options.evaluation.test_data and tested != version.path("test"):
        console.say(_without_labels(version, distillation, tested))
    if tested is not None:
        known["beside"] = evaluation_fingerprint(evaluation)
        _do(_evaluation(evaluation), known, options)
    _show(options, distillation, evaluation, version, tested)


def _tested(options: PipelineOptions, version: Version, evaluation: EvaluationOptions) -> Path | None:
    """The file that is evaluated on: the one that is named, which must be there, else the version's test; of a version
    without labels the queries that it holds out, whose judge is the teacher. None where there is none of these."""
    test = Path(evaluation.test_data)
    if options.evaluation.test_data or test.is_file():
        return test
    held_out = version.folder / artifacts.LOG_FILES["valid"]
    return held_out if version.without_labels and not version.further and held_out.is_file() else None


def _without_labels(version: Version, distillation: DistillationOptions, held_out: Path | None) -> str:
    """One line: why there is no evaluation, or who judges, and what gives one with labels.

    Args:
        version: the data version, which has no test.
        distillation: how the student is made.
        held_out: queries that the teacher judges; None: there is no evaluation.
    """
    found = "left out" if held_out is None else f"the teacher is the judge of the queries in {held_out.name}"
    test = artifacts.SPLIT_FILES["test"]
    said = f"evaluation: {found}, since {version.folder} has no {test}; --evaluation.test_data FILE names another"
    if not version.without_labels or version.further:
        return said
    models = (distillation.output_dir, distillation.student_name, distillation.teacher_path)
    flags = {"data_root": str(version.root)} if str(version.root) != DataOptions().data_root else {}
    judge = command(
        "judge",
        data_version=version.name,
        models=(*dict.fromkeys(filter(is_model, models)), "bm25"),
        trust_remote_code=distillation.trust_remote_code,
        **flags,
    )
    return f"{said}, and `{judge}` makes one that you judge by hand"


def _show(
    options: PipelineOptions,
    distillation: DistillationOptions,
    evaluation: EvaluationOptions,
    version: Version,
    tested: Path | None,
) -> None:
    """Answer the closing searches over the test's documents, else those of the version, and say where everything
    lies."""
    labelled = None if tested is None or is_meant(tested, Asking(judge=evaluation.judge)) else tested
    documents = labelled or version.searched
    if options.searches:
        answer(
            options.searches,
            distillation.output_dir,
            load_documents(documents)
            if labelled is None
            else load_split(labelled, on_bad_rows=evaluation.on_bad_rows).documents,
            compare_with=distillation.student_name,
            trust_remote_code=distillation.trust_remote_code,
        )
    print(f"teacher:  {distillation.teacher_path}\nstudent:  {distillation.output_dir}")
    if tested is not None:
        for name in artifacts.EVALUATION_FILES:
            print(f"figures:  {Path(evaluation.output_dir) / name}")
    say_next("search", model_path=distillation.output_dir, documents=str(documents), query="your question")


def _do(stage: Stage, known: dict[str, str], options: PipelineOptions) -> str:
    return done(stage, {name: known[name] for name in stage.needs}, force=options.force)


def _teacher(options: TeacherOptions) -> Stage:
    needs = ("train", "valid", "corpus")
    return Stage("teacher", options, options.output_dir, train_teacher, needs, options.model_name)


def _distillation(options: DistillationOptions) -> Stage:
    needs = ("train", "valid", "corpus", "queries", "miners", "teacher")
    return Stage("distillation", options, options.output_dir, train_student, needs, options.student_name)


def _evaluation(options: EvaluationOptions) -> Stage:
    needs = ("test", "beside", "teacher", "distillation")
    return Stage(
        "evaluation", options, options.output_dir, evaluate, needs, outputs=lambda _: artifacts.EVALUATION_FILES
    )


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
    version = label_free.version_of(options)
    named = version.names if version.further else version.name
    teacher = dataclasses.replace(options.teacher, data_version=named, data_root=options.data_root)
    distillation = dataclasses.replace(
        options.distillation,
        data_version=named,
        data_root=options.data_root,
        teacher_path=options.teacher_path or teacher.output_dir,
        student_name=options.student_name or options.distillation.student_name,
    )
    evaluation = dataclasses.replace(
        options.evaluation,
        model_path=distillation.output_dir,
        test_data=options.evaluation.test_data or str(version.path("test")),
    )
    return teacher, distillation, evaluation


def data_fingerprints(options: PipelineOptions, test_data: Path | None) -> dict[str, str]:
    """SHA-256 of the training and validation files of the data version, of its corpus, of its queries without labels
    and of the test file, by name; of several versions of all together.

    Args:
        options: of the pipeline.
        test_data: the test file; None: there is none.

    Raises:
        DataError: one does not exist.
    """
    version = label_free.version_of(options)
    found = [_fingerprints_of(own, test_data, labelled=not version.without_labels) for own in version.each]
    if len(found) == 1:
        return found[0]
    joined = {name: artifacts.fingerprint({"versions": [own[name] for own in found]}) for name in found[0]}
    return joined | {"train": version.content()}  # other tests decide what is trained on, too


def _fingerprints_of(version: Version, test_data: Path | None, *, labelled: bool) -> dict[str, str]:
    """``data_fingerprints`` of a single data version, of which nothing is labelled but what is said to be."""
    folder = version.folder
    files = {split: version.path(split) for split in ("train", "valid") if labelled}
    if test_data is not None:
        files["test"] = test_data
    for path in files.values():
        if not path.is_file():
            own = path.parent == folder
            todo = f"bistill prepare SOURCE --data_version {version.name}" if own else "check the path"
            raise DataError("the file does not exist", where=str(path), todo=todo)
    prepared = folder / artifacts.PREPARE_RECORD  # its label threshold is used again when the files are read
    reading = artifacts.sha256_of_file(prepared) if prepared.is_file() else ""
    splits = {
        split: artifacts.fingerprint({"file": artifacts.sha256_of_file(path), "prepared": reading})
        for split, path in files.items()
    }
    logs = {name: path for name in artifacts.LOG_FILES.values() if (path := folder / name).is_file()}
    corpus = folder / artifacts.CORPUS_FILE
    return {
        **dict.fromkeys(artifacts.SPLITS, ""),
        **splits,
        "corpus": artifacts.sha256_of_file(corpus) if corpus.is_file() else "",
        "queries": artifacts.fingerprint({name: artifacts.sha256_of_file(path) for name, path in logs.items()}),
    }


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
