"""``search``: queries answered by a student, another model's answers beside them if wished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bistill import console
from bistill.app.config import SearchOptions
from bistill.data.queries.same_text import is_blank
from bistill.data.store.opening import load_documents
from bistill.errors import OptionError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.settings import Precision
from bistill.serving.index import Hit, open_index


@dataclass(frozen=True)
class Answer:
    """What was found for one query.

    Attributes:
        query: its text.
        hits: documents of the model, the best first.
        compared: documents of the model beside it; None where there is none.
    """

    query: str
    hits: list[Hit]
    compared: list[Hit] | None = None


def search(options: SearchOptions) -> list[Answer]:
    """Answer the queries of the options over the documents of a file and print the answers.

    Raises:
        OptionError: there is no query, or an empty one.
        DataError: the documents cannot be used.
        ModelError: a model cannot be loaded.
    """
    _check(options.query)
    return answer(
        options.query,
        options.model_path,
        load_documents(options.documents),
        compare_with=options.compare_with,
        top_k=options.top_k,
        batch_size=options.batch_size,
        precision=options.precision,
        trust_remote_code=options.trust_remote_code,
    )


def answer(
    queries: Sequence[str],
    model_path: str,
    documents: Sequence[str],
    *,
    compare_with: str | None = None,
    top_k: int = 3,
    batch_size: int = 64,
    precision: Precision = "auto",
    trust_remote_code: bool = False,
) -> list[Answer]:
    """Search documents with one model, or two side by side, and print one table a query.

    Args:
        queries: texts.
        model_path: folder or hub name of the student.
        documents: texts by id.
        compare_with: folder or hub name of a second model.
        top_k: documents of each query.
        batch_size: texts encoded at once.
        precision: arithmetic of the models.
        trust_remote_code: whether code that the models bring along may run.

    Raises:
        OptionError: there is no query, or an empty one.
        ModelError: a model cannot be loaded.
    """
    _check(queries)

    def found_by(name: str) -> list[list[Hit]]:
        encoder = BiEncoder.load(name, precision=precision, trust_remote_code=trust_remote_code)
        index = open_index(encoder, documents, batch_size=batch_size, description=f"index of {name}")
        return index.search(queries, top_k, batch_size=batch_size)

    found = found_by(model_path)
    beside = found_by(compare_with) if compare_with else [None] * len(queries)
    answers = [Answer(*parts) for parts in zip(queries, found, beside, strict=True)]
    for item in answers:
        show(item, model_path, compare_with)
    return answers


def show(item: Answer, model_path: str, compare_with: str | None = None) -> None:
    """Print an answer as a table, models side by side: rank, cosine, calibrated relevance where there is one, and the
    beginning of each document, with their number where several are the same text. A single model is not named."""
    columns = [("document", item.hits)]
    if item.compared is not None:
        columns = [(model_path, item.hits), (compare_with or "", item.compared)]
    letters = 180 if len(columns) == 1 else 115  # two or three lines of a table of usual width
    headers = ["rank"]
    rows = [[str(rank + 1)] for rank in range(max(len(hits) for _, hits in columns))]
    for name, hits in columns:
        calibrated = any(hit.probability is not None for hit in hits)
        headers += ["cosine", *["relevance"] * calibrated, name]
        for row, hit in zip(rows, hits, strict=True):
            probability = [f"{hit.probability:.2f}"] if hit.probability is not None else []
            row += [f"{hit.score:.3f}", *probability, _shown(hit, letters)]
    console.table(headers, rows, title=item.query)


def _shown(hit: Hit, letters: int) -> str:
    """The beginning of a hit's text, and of how many documents it is the text."""
    copies = f" ({hit.copies} copies)" if hit.copies > 1 else ""
    return shortened(hit.text, letters - len(copies)) + copies


def shortened(text: str, letters: int) -> str:
    """The text on one line, cut to at most ``letters`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= letters else line[: letters - 1].rstrip() + "…"


def _check(queries: Sequence[str]) -> None:
    if not queries or any(map(is_blank, queries)):
        raise OptionError("at least one query that is not empty is needed", where="--query", found=list(queries))
