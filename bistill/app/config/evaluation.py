"""Options of the evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bistill.app.config.shared import Arithmetic, ModelOptions, OnBadRows, Seed, TextsAtOnce
from bistill.app.options import Option
from bistill.evaluation.settings import Asking, Beside, Judge
from bistill.languages import Language


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions(ModelOptions, group="evaluation", common=True):
    """Evaluate a student on a test file, beside its base model, its teacher and BM25."""

    model_path: Annotated[str, Option("Folder or hub name of the student.", group="models")]
    test_data: Annotated[
        str, Option("File of labelled rows (CSV, JSONL or Parquet), or of queries alone, see --judge.", group="data")
    ]
    output_dir: Annotated[str, Option("Folder of the JSON, the PNG and the report page.")] = "evaluation_results"
    batch_size: TextsAtOnce = 64
    base_model: Annotated[
        str | None,
        Option(
            "Untouched model to compare with; unset: the student's own record.", of=(Beside, "base"), group="models"
        ),
    ] = None
    teacher_path: Annotated[
        str | None,
        Option("Teacher to compare with; unset: the student's own record.", of=(Beside, "teacher"), group="models"),
    ] = None
    compare_with: Annotated[
        str | None,
        Option(
            "Folder or hub name of a second student, measured on the same queries.",
            of=(Beside, "compared"),
            group="models",
        ),
    ] = None
    bm25: Annotated[bool, Option("Rank by BM25 beside the models; --no_bm25 leaves it out.")] = True
    documents: Annotated[
        str | None,
        Option(
            "Documents to rank among: test: those of the test file alone; version: all of its data version; or a file "
            "with a document column, beside those of the test file. Unset: version where there is one, else test.",
            group="data",
        ),
    ] = None
    partly_judged: Annotated[
        bool,
        Option(
            "The test file was judged in part, as that of `bistill judge`: cells without a label are no bad rows, and "
            "there are figures that leave out what nobody judged.",
            of=(Asking, "partly_judged"),
            group="data",
        ),
    ] = False
    judge: Annotated[
        Judge | None,
        Option(
            "Who says what is relevant: labels, or teacher for a file of queries without labels. "
            "Unset: teacher for those of a data version (valid_queries.csv), else labels.",
            of=(Asking, "judge"),
            group="data",
        ),
    ] = None
    forgetting_data: Annotated[
        tuple[str, ...],
        Option("Test files of data the student was not trained on: what did it lose there?", group="data"),
    ] = ()
    rerank_depth: Annotated[
        int, Option("Documents of each query that the teacher re-ranks; 0: no teacher.", of=(Beside, "rerank_depth"))
    ] = 20
    max_samples: Annotated[
        int | None,
        Option("Use at most this many test queries, chosen by --seed.", of=(Asking, "max_queries"), group="data"),
    ] = None
    language: Annotated[
        Language | None,
        Option(
            "Of what is printed; unset: that of the terminal's locale, English in a pipe.",
            alters_result=False,
            group="evaluation",
            common=False,
        ),
    ] = None
    on_bad_rows: OnBadRows = "stop"
    precision: Arithmetic = "auto"
    seed: Seed = 42
