"""Options of using a student."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bistill.app.config.shared import (
    Arithmetic,
    CrewOptions,
    DocumentPrompt,
    ModelOptions,
    PoolingName,
    QueryPrompt,
    TextsAtOnce,
)
from bistill.app.options import Option
from bistill.data.settings import TextKind
from bistill.models.settings import EncoderStart
from bistill.settings import Within


@dataclass(frozen=True, kw_only=True)
class SearchOptions(ModelOptions, group="search", common=True):
    """Answer queries with a student over the documents of a file."""

    model_path: Annotated[str, Option("Folder or hub name of the student.", group="models")]
    documents: Annotated[str, Option("Labelled rows, or any CSV, JSONL or Parquet file with a document column.")]
    query: Annotated[tuple[str, ...], Option("One or more queries.")]
    top_k: Annotated[int, Option("Documents shown for each query.", within=Within(1))] = 3
    compare_with: Annotated[str | None, Option("A second model whose answers stand beside.", group="models")] = None
    batch_size: TextsAtOnce = 64
    precision: Arithmetic = "auto"


@dataclass(frozen=True, kw_only=True)
class EncodeOptions(CrewOptions, ModelOptions, group="search", common=True):
    """Encode the documents or queries of files into unit vectors on the disk; broken off, the same command goes on.

    The folder then holds vectors.npy (float32; row i is text i), documents.arrow or queries.arrow (column text; each
    text once, in the order of its first appearance) and vectors.json (model, settings, checksums). With --ray the rows
    lie in shards, vectors-FIRST-LAST.npy, which vectors.json lists in order; one that cannot be made is left out and
    named, and the same command tries it again. Where the folder holds what the command would make, nothing is done.
    Vectors of another model, file or setting stay: what differs is said, and --overwrite replaces them.
    """

    model_path: Annotated[str, Option("Folder or hub name of the student.", group="models")]
    documents: Annotated[
        tuple[str, ...],
        Option(
            "Labelled rows, or any CSV, JSONL or Parquet files with a document column (--kind query: a query column): "
            "one, several, or a folder of them, read by name."
        ),
    ]
    output_dir: Annotated[str, Option("Folder of vectors, texts and record.", alters_result=False)]
    kind: Annotated[TextKind, Option("Which texts of the file are encoded, each kind with its own prompt.")] = (
        "document"
    )
    max_len: Annotated[
        int | None,
        Option("Tokens of a text; unset: the model's own limit.", of=(EncoderStart, "max_len"), group="models"),
    ] = None
    query_prompt: QueryPrompt = None
    document_prompt: DocumentPrompt = None
    pooling: PoolingName = None
    batch_size: TextsAtOnce = 64
    precision: Arithmetic = "auto"
    overwrite: Annotated[
        bool, Option("Replace what --output_dir holds of another model, file or setting.", alters_result=False)
    ] = False
