"""Options of making a sheet to judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bistill.app.config.shared import Arithmetic, DataRoot, ModelOptions, OnBadRows, Seed, TextsAtOnce
from bistill.app.options import Option
from bistill.evaluation.settings import Judging


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(ModelOptions, group="data", common=True):
    """Pool what several models rank first into a sheet that a person judges, which makes a test file.

    The CSV file has the columns query, document and label, which is empty: write 1 for relevant and 0 for not, or a
    grade. Which model found a document does not stand in it. Filled in, or in part, it is the --test_data of `bistill
    evaluate --partly_judged`.
    """

    models: Annotated[
        tuple[str, ...],
        Option(
            "Folders or hub names of Bi-Encoders and re-rankers, and bm25; a re-ranker re-ranks what the others found.",
            group="models",
        ),
    ]
    documents: Annotated[
        str | None, Option("Any CSV, JSONL or Parquet file with a document column (and titles), or labelled rows.")
    ] = None
    queries: Annotated[
        str | None, Option("File of queries without labels: a column of texts, or .txt; the seed draws from it.")
    ] = None
    data_version: Annotated[
        str | None, Option("Documents and queries without labels of this folder below --data_root instead.")
    ] = None
    data_root: DataRoot = "preprocessed"
    number: Annotated[
        int, Option("Pairs at most, in whole pools of as many queries as fit.", of=(Judging, "number"))
    ] = 100
    depth: Annotated[int, Option("Documents that each model gives to a query's pool.", of=(Judging, "depth"))] = 5
    rerank_depth: Annotated[
        int,
        Option("Documents that a re-ranker reads of each ranking of the others.", of=(Judging, "rerank_depth")),
    ] = 20
    output: Annotated[str, Option("CSV file to write.", alters_result=False)] = "judge.csv"
    overwrite: Annotated[
        bool, Option("Replace the file that is there, with the labels in it.", alters_result=False)
    ] = False
    on_bad_rows: OnBadRows = "stop"
    batch_size: TextsAtOnce = 64
    precision: Arithmetic = "auto"
    seed: Seed = 42
