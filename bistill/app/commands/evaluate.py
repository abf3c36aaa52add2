"""``evaluate``: figures of a student beside other models, as JSON, picture, page and table of all queries."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from bistill import artifacts
from bistill.app.config import EvaluationOptions
from bistill.evaluation.evaluate import evaluate as measure
from bistill.evaluation.settings import Asking, Beside
from bistill.models.settings import Inference


def evaluate(options: EvaluationOptions) -> dict[str, Any]:
    """Measure the models, write JSON, picture, page and table into ``output_dir`` and print a summary.

    Returns:
        The report, as the JSON holds it; see ``docs/evaluation.md``.

    Raises:
        DataError: a test file cannot be used; RowError names the row.
        ModelError: the student, or a model that the options name, cannot be loaded or gives NaN or infinite values.
        ArtifactError: the calibration beside a model is no rising line, or ``output_dir`` cannot be written.
    """
    output = Path(options.output_dir)

    def begin() -> None:
        with artifacts.probe(output):
            pass  # what is found now is not lost at the end

    report = measure(
        options.model_path,
        options.test_data,
        documents=options.documents,
        forgetting=options.forgetting_data,
        beside=Beside(
            options.base_model, options.teacher_path, options.compare_with, options.bm25, options.rerank_depth
        ),
        asking=Asking(
            options.max_samples,
            options.seed,
            options.on_bad_rows,
            output / artifacts.REJECTED_FILE,
            options.partly_judged,
            options.judge,
        ),
        inference=Inference(options.precision, options.batch_size, options.trust_remote_code),
        given=asdict(options),
        begin=begin,
    )
    written = report.save(output)
    report.summary(options.language)
    for path in written:
        print(path)
    return report.result
