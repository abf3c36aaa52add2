"""Options of making queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bistill.app.config.shared import Seed
from bistill.app.options import Option, Options
from bistill.data.settings import Endpoint, MadeKind, Making


@dataclass(frozen=True, kw_only=True)
class QueriesOptions(Options, group="data", common=True):
    """Make queries from the documents of a file, without labels.

    The CSV file has the columns query, source (the document), kind, typed (what was changed as people type) and
    document (the document without the query, where that is taken out). The same inputs give the same file; one of other
    inputs stays: what differs is said, and --overwrite replaces it.
    """

    documents: Annotated[
        str, Option("Any CSV, JSONL or Parquet file with a document column (and titles), or labelled rows.")
    ]
    output: Annotated[
        str | None,
        Option("CSV file to write; unset: one in made_queries/ named by its inputs.", alters_result=False),
    ] = None
    kinds: Annotated[
        tuple[MadeKind, ...],
        Option(
            "What becomes a query: titles and headings, questions of the text, sentences, spans of 4 to 12 words, "
            "keyphrases.",
            of=(Making, "kinds"),
        ),
    ] = ("titles", "questions", "sentences", "spans", "keyphrases")
    shares: Annotated[
        tuple[float, ...],
        Option(
            "How often each kind is taken beside the others, where a document has several; unset: equally often.",
            of=(Making, "shares"),
        ),
    ] = ()
    number: Annotated[
        int | None, Option("Queries of all documents together; unset: all that can be made.", of=(Making, "number"))
    ] = None
    each: Annotated[int, Option("Queries of one document at most.", of=(Making, "each"))] = 1
    typed: Annotated[
        float,
        Option(
            "Share of the queries that are changed as people type: words, particles or blanks left out, slips.",
            of=(Making, "typed"),
        ),
    ] = 0.3
    taken_out: Annotated[
        float,
        Option(
            "Share of the queries that are taken out of their document, so that copying does not win.",
            of=(Making, "taken_out"),
        ),
    ] = 0.5
    llm_url: Annotated[
        str | None,
        Option(
            "Server with OpenAI's chat completions, such as http://127.0.0.1:8000/v1, whose model writes the queries "
            "in place of --kinds; a key is read from OPENAI_API_KEY. Answers are kept, and never paid twice.",
            of=(Endpoint, "url"),
            group="models",
        ),
    ] = None
    llm_model: Annotated[str | None, Option("Its model.", of=(Endpoint, "model"), group="models")] = None
    llm_examples: Annotated[
        str | None, Option("File of labelled rows: four of its queries are shown to the model.", group="models")
    ] = None
    llm_at_once: Annotated[
        int,
        Option("Requests at a time.", of=(Endpoint, "at_once"), alters_result=False, group="models", common=False),
    ] = 4
    llm_per_minute: Annotated[
        float | None,
        Option(
            "Requests started in a minute at most; unset: no limit.",
            of=(Endpoint, "per_minute"),
            alters_result=False,
            group="models",
            common=False,
        ),
    ] = None
    apart_from: Annotated[
        tuple[str, ...],
        Option("Files made earlier: none of their queries comes again, none of their documents gives one."),
    ] = ()
    overwrite: Annotated[bool, Option("Replace what --output holds of other inputs.", alters_result=False)] = False
    seed: Seed = 42
