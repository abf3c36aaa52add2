"""Options of preparing data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from bistill.app.config.shared import DataRoot, OnBadRows, Seed
from bistill.app.options import Option, Options
from bistill.data.settings import Columns, RowReading, Splitting
from bistill.settings import Within


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Options, group="data", common=True):
    """Turn labelled data of any accepted form into train.csv, valid.csv and test.csv; documents and queries without
    labels into corpus.csv and queries.csv."""

    source: Annotated[
        Positional[str | None],
        Option("File, folder, Hugging Face data set id, or python-docs; not given: there are no labels."),
    ] = None
    documents: Annotated[str | None, Option("File of documents: a column of texts, ids and titles beside it.")] = None
    queries: Annotated[
        str | None,
        Option("File of queries without labels: a column of texts, or .txt; beside it count, and source (id or text)."),
    ] = None
    data_version: Annotated[str, Option("Name of the folder to write below --data_root.")]
    data_root: DataRoot = "preprocessed"
    query_column: Annotated[
        str | None, Option("Column of queries, where its name is not recognised.", of=(Columns, "query"))
    ] = None
    positive_column: Annotated[str | None, Option("Column of relevant documents.", of=(Columns, "positive"))] = None
    negative_columns: Annotated[
        tuple[str, ...], Option("Columns of irrelevant documents.", of=(Columns, "negatives"))
    ] = ()
    passage_column: Annotated[
        str | None, Option("Column of documents of a labelled pair.", of=(Columns, "passage"))
    ] = None
    label_column: Annotated[str | None, Option("Column of labels of a labelled pair.", of=(Columns, "label"))] = None
    label_maximum: Annotated[float | None, Option("Highest label of the scale; unset: 1, or the highest found.")] = None
    positive_from: Annotated[
        float, Option("Labels of at least this share of the highest are positives.", of=(RowReading, "positive_from"))
    ] = 0.5
    numbers_are_texts: Annotated[
        bool, Option("Queries and documents that are all whole numbers are texts, not ids of texts.")
    ] = False
    valid_share: Annotated[float, Option("Share of queries for validation if unsplit.", of=(Splitting, "valid"))] = 0.1
    test_share: Annotated[float, Option("Share of queries for the test if unsplit.", of=(Splitting, "test"))] = 0.1
    near_duplicates: Annotated[
        float,
        Option(
            "Merge texts of at least this Jaccard similarity; 1: equal texts only.", of=(Splitting, "near_duplicates")
        ),
    ] = 0.9
    max_pairs: Annotated[int, Option("python-docs: at most this many pairs.", within=Within(100))] = 10_000
    on_bad_rows: OnBadRows = "stop"
    overwrite: Annotated[
        bool,
        Option("Replace a data version of that name that was made otherwise.", alters_result=False),
    ] = False
    seed: Seed = 42
