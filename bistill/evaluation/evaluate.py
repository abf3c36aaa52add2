"""``evaluate``: one student, its untouched base model, its teacher, BM25 and a second student on one test file."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bistill import artifacts, console
from bistill.candidates.scores.teachers import Teacher
from bistill.config import EvaluationOptions
from bistill.errors import ArtifactError
from bistill.evaluation import models, scores, task
from bistill.evaluation.models import Choice
from bistill.evaluation.report import composing as report
from bistill.evaluation.report import page, plots, samples, summary
from bistill.evaluation.report.samples import Sample
from bistill.evaluation.scores import Answers, EncoderScores, RerankedScores
from bistill.evaluation.task import Task
from bistill.models.bi_encoder import BiEncoder

Entry = dict[str, Any]


def evaluate(options: EvaluationOptions) -> dict[str, Any]:
    """Measure the models, write the JSON, the PNG and the report page into ``output_dir`` and print a summary.

    One model is in memory at a time. The result is a function of the models, the data and the options.

    Returns:
        The report, as the JSON holds it; see ``docs/evaluation.md``.

    Raises:
        DataError: a test file cannot be used; RowError names the row.
        ModelError: the student, or a model that the options name, cannot be loaded or gives no numbers.
        ArtifactError: the calibration beside a model is no rising line, or ``output_dir`` cannot be written.
    """
    output = Path(options.output_dir)
    with artifacts.probe(output):
        pass  # what is found now is not lost at the end
    choices = models.choose(options)
    rejected = output / artifacts.REJECTED_FILE
    asked, elsewhere = task.build(options, rejected), task.build_forgetting(options, rejected)
    console.say(f"evaluating {asked.ranked} queries over {len(asked.corpus)} documents")
    if without := len(asked.records) - asked.ranked:
        console.say(f"{without} queries have no positive: their labelled pairs count, they are not ranked")
    for sentence in asked.left_out():
        console.say(sentence)
    answers, entries, chosen = _answers(choices, asked, elsewhere, options)
    result = report.compose(options, asked, elsewhere, entries, answers, chosen, models.before(options))
    _write(output, result, asked, answers)
    summary.print_summary(result)
    for name in artifacts.EVALUATION_FILES:
        print(output / name)
    return result


def _write(output: Path, result: dict[str, Any], asked: Task, answers: Answers) -> None:
    """All files of a report beside, and once they are whole in place of those of another; which one is said."""
    with tempfile.TemporaryDirectory(dir=output, prefix=f".{artifacts.UNFINISHED_PREFIX}") as name:
        unfinished = Path(name)
        artifacts.write_json(unfinished / artifacts.EVALUATION_JSON, result)
        plots.draw(unfinished / artifacts.EVALUATION_PNG, result, asked, answers)
        page.write(unfinished / artifacts.EVALUATION_PAGE, result, asked, answers)
        _say_replaced(output / artifacts.EVALUATION_JSON, result)
        for file in artifacts.EVALUATION_FILES:
            (unfinished / file).replace(output / file)


def _say_replaced(before: Path, result: dict[str, Any]) -> None:
    """Say which student's or file's report is replaced, where it is another's."""

    def known_by(report: dict[str, Any]) -> list[Any]:
        student, test = report["models"]["student"], report["data"]["test"]
        return [student["path"], student.get("weights"), test["path"], test.get("sha256")]

    with contextlib.suppress(ArtifactError, KeyError, TypeError, AttributeError):  # none, or no report of ours
        model, weights, file, content = known_by(artifacts.read_json(before))
        if [model, weights, file, content] != known_by(result):
            console.say(f"{before.parent}: the report of {model} (as it was then) on {file} is replaced")


def _answers(
    choices: tuple[Choice, Choice, Choice], asked: Task, elsewhere: Sequence[Task], options: EvaluationOptions
) -> tuple[Answers, dict[str, Entry], tuple[list[Sample], list[Sample]]]:
    """What every model answers, its entry in the report, and the student's best and worst queries."""
    base_choice, teacher_choice, compared_choice = choices
    student, student_entry = _encoder(Choice("student", options.model_path, demanded=True), asked, options, elsewhere)
    assert student is not None
    # The base model reads texts as the student does, and as much of them, so that only the training differs.
    reads = models.base_reading(base_choice, options) | {"max_len": student.description["max_len"]}
    base, base_entry = _encoder(base_choice, asked, options, elsewhere, **reads)
    compared, compared_entry = None, compared_choice.left_out
    if compared_choice.demanded:
        compared, compared_entry = _encoder(compared_choice, asked, options)
    bm25 = scores.of_lexical(asked) if options.bm25 else None
    bm25_entry = bm25.description if bm25 else Choice("bm25", reason="the options leave it out").left_out
    chosen = samples.choose(asked, student)
    teacher, teacher_entry = _teacher(teacher_choice, asked, student, base, chosen, options)
    entries = {
        "student": student_entry,
        "base": base_entry,
        "bm25": bm25_entry,
        "teacher": teacher_entry,
        "compared": compared_entry,
    }
    return Answers(student, base, bm25, teacher, compared), entries, chosen


def _encoder(
    choice: Choice,
    asked: Task,
    options: EvaluationOptions,
    elsewhere: Sequence[Task] = (),
    **reads: Any,
) -> tuple[EncoderScores | None, Entry]:
    """Answers of an encoder, read as ``BiEncoder.load`` is told, and its entry in the report; None and the reason where
    it is left out."""
    encoder, choice = models.load(
        choice,
        lambda name: BiEncoder.load(
            name, precision=options.precision, trust_remote_code=options.trust_remote_code, **reads
        ),
    )
    if encoder is None:
        return None, choice.left_out
    found = scores.of_encoder(
        encoder,
        asked,
        role=choice.role,
        name=str(choice.name),
        batch_size=options.batch_size,
        elsewhere=elsewhere,
        sizes=models.matryoshka(options),
    )
    return found, found.description


def _teacher(
    choice: Choice,
    asked: Task,
    student: EncoderScores,
    base: EncoderScores | None,
    chosen: tuple[list[Sample], list[Sample]],
    options: EvaluationOptions,
) -> tuple[RerankedScores | None, Entry]:
    """The teacher re-ranks the base model's ranking, which is the same for every student; else the student's."""
    settings = models.teacher_settings(choice, options)

    def reranked(name: str) -> RerankedScores:
        with Teacher.open(name, settings) as teacher:
            return scores.of_teacher(
                teacher,
                asked,
                (base or student).ids,
                depth=options.rerank_depth,
                extra=[pair for group in chosen for sample in group for pair in sample.pairs(asked)],
            )

    found, choice = models.load(choice, reranked)
    if found is None:
        return None, choice.left_out
    return found, {**found.description, "reranks": "base" if base else "student"}
