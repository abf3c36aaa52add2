"""``evaluate``: one student, its untouched base model and its teacher on one test file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bistill import artifacts, console
from bistill.candidates.teacher_scores.teachers import Teacher
from bistill.config import EvaluationOptions
from bistill.encoders.bi_encoder import BiEncoder
from bistill.evaluation import models, plots, report, samples, scores, task
from bistill.evaluation.models import Choice
from bistill.evaluation.samples import Sample
from bistill.evaluation.scores import EncoderScores, RerankedScores
from bistill.evaluation.task import Task


def evaluate(options: EvaluationOptions) -> dict[str, Any]:
    """Measure the models, write the JSON and the PNG into ``output_dir`` and print a summary.

    One model is in memory at a time. The result is a function of the models, the data and the options.

    Returns:
        The report, as the JSON holds it; see ``docs/evaluation.md``.

    Raises:
        DataError: the test file cannot be used; RowError names the row.
        ModelError: the student, or a model that the options name, cannot be loaded or gives no numbers.
    """
    output = Path(options.output_dir)
    base_choice, teacher_choice = models.choose(options)
    asked = task.build(options, output / artifacts.REJECTED_FILE)
    console.say(f"evaluating {len(asked.records)} queries over {len(asked.corpus)} documents")
    student = _encoder_scores(options.model_path, "student", asked, options)
    base, base_entry = _base_scores(base_choice, asked, student, options)
    chosen = samples.choose(asked, student)
    teacher, teacher_entry = _teacher_scores(teacher_choice, asked, student, base, chosen, options)
    entries = {"student": student.description, "base": base_entry, "teacher": teacher_entry}
    gate = models.teacher_gate(options)
    result = report.compose(options, asked, entries, student, base, teacher, chosen, gate)
    artifacts.write_json(output / artifacts.EVALUATION_JSON, result)
    plots.draw(output / artifacts.EVALUATION_PNG, result, asked, student, base)
    report.print_summary(result)
    print(output / artifacts.EVALUATION_JSON)
    print(output / artifacts.EVALUATION_PNG)
    return result


def _encoder_scores(name: str, role: str, asked: Task, options: EvaluationOptions) -> EncoderScores:
    encoder = BiEncoder.load(name, precision=options.precision, trust_remote_code=options.trust_remote_code)
    return scores.of_encoder(encoder, asked, role=role, name=name, batch_size=options.batch_size)


def _base_scores(
    choice: Choice, asked: Task, student: EncoderScores, options: EvaluationOptions
) -> tuple[EncoderScores | None, dict[str, Any]]:
    """The base model reads as much of a text as the student does, so that only the training differs."""
    length = student.description["max_len"]
    encoder, choice = models.load(
        choice,
        lambda name: BiEncoder.load(
            name, max_len=length, precision=options.precision, trust_remote_code=options.trust_remote_code
        ),
    )
    if encoder is None:
        return None, choice.left_out
    name = str(choice.name)
    base = scores.of_encoder(encoder, asked, role="base", name=name, batch_size=options.batch_size)
    return base, base.description


def _teacher_scores(
    choice: Choice,
    asked: Task,
    student: EncoderScores,
    base: EncoderScores | None,
    chosen: tuple[list[Sample], list[Sample]],
    options: EvaluationOptions,
) -> tuple[RerankedScores | None, dict[str, Any]]:
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
