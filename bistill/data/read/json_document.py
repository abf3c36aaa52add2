"""A single JSON object that is a whole data set: ids with texts and judgements, or columns, or a list of rows inside.

- Queries, corpus and judgements by id, as LlamaIndex's ``EmbeddingQAFinetuneDataset`` writes them
  (``{"queries": {id: text}, "corpus": {id: text}, "relevant_docs": {query id: [document id]}}``); judgements may also
  be graded as in BEIR's ``qrels`` (``{query id: {document id: grade}}``), and documents have title and text.
- Columns, as ``DataFrame.to_json`` (``{"query": {"0": ...}, ...}``) and ``Dataset.to_dict`` (``{"query": [...], ...}``)
  write them.
- Rows by their index, or in the one list of objects that it holds (``{"data": [...]}``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bistill.console import counted
from bistill.data.read.column_names import role_of
from bistill.data.read.validation import EDIT
from bistill.errors import RowError

JUDGEMENTS: Final = ("relevant_docs", "qrels")
# The columns of the rows that are made of judgements.
QUERY: Final = "query"
DOCUMENTS: Final = "documents"
GRADES: Final = "labels"
POSITIVES: Final = "positives"

Object = Mapping[str, Any]


def is_document(value: object) -> bool:
    """Whether a JSON value is a whole data set and no row of one."""
    return isinstance(value, dict) and bool(_judgements_of(value) or _are_columns(value) or _rows_inside(value))


def described(document: Object) -> str:
    """What a document is read as, for users."""
    if judgements := _judgements_of(document):
        return f"read as queries, corpus and {judgements} by id: row N is the N-th entry of {judgements}"
    return "read as columns" if _are_columns(document) else "read as rows inside one object"


def objects_of(document: Object, file: Path, notes: list[str]) -> Iterator[tuple[int, Any] | RowError]:
    """Number and object of each row of a document, or what is wrong with it."""
    if _judgements_of(document):
        yield from _judged(document, file, notes)
    elif _are_columns(document):
        columns = {name: list(cells.values() if isinstance(cells, dict) else cells) for name, cells in document.items()}
        for number, cells in enumerate(zip(*columns.values(), strict=True), start=1):
            yield number, dict(zip(columns, cells, strict=True))
    else:
        yield from enumerate(_rows_inside(document), start=1)


def texts_of(document: Object, kind: str) -> list[tuple[str, Any]] | None:
    """Id and text of all documents ("document") or queries ("query"), judged or not; None where it has no ids."""
    if not _judgements_of(document):
        return None
    return list(document["corpus" if kind == "document" else "queries"].items())


def _judgements_of(value: Object) -> str:
    """The name of the judgements in an object that has queries, corpus and judgements by id; "" for any other."""
    if not all(isinstance(value.get(name), dict) for name in ("queries", "corpus")):
        return ""
    return next((name for name in JUDGEMENTS if isinstance(value.get(name), dict)), "")


def _are_columns(value: Object) -> bool:
    """Whether an object's values are columns, each with all rows, under names that are recognised."""
    cells = list(value.values())
    roles = {role_of(name) for name in value}
    if not cells or roles == {None}:
        return False
    if all(isinstance(item, dict) for item in cells):
        # An index stands for itself in all columns; the fields of an object have names of their own.
        index = list(cells[0])
        return bool(index) and all(key.isdecimal() for key in index) and all(list(item) == index for item in cells)
    if all(isinstance(item, list) for item in cells):
        return "query" in roles and bool(cells[0]) and len({len(item) for item in cells}) == 1
    return False


def _rows_inside(value: Object) -> list[Any]:
    """The rows of an object that is no row itself: its values by an index, or its one list of objects."""
    if any(role_of(name) == "query" or (role_of(name) and isinstance(item, str)) for name, item in value.items()):
        return []
    if value and all(key.isdecimal() and isinstance(item, dict) for key, item in value.items()):
        return list(value.values())
    lists = [item for item in value.values() if isinstance(item, list) and item and isinstance(item[0], dict)]
    return lists[0] if len(lists) == 1 else []


def _judged(document: Object, file: Path, notes: list[str]) -> Iterator[tuple[int, Any] | RowError]:
    name = _judgements_of(document)
    queries, corpus, judgements = document["queries"], document["corpus"], document[name]
    graded = any(isinstance(judged, dict) for judged in judgements.values())
    answered = set()
    for number, (key, judged) in enumerate(judgements.items(), start=1):
        if key not in queries:
            what = "an id that queries does not have"
            yield RowError(what, file=file, row=number, column=name, found=key, todo=EDIT)
            continue
        answered.add(key)
        grades = judged if isinstance(judged, dict) else dict.fromkeys(_ids(judged), 1)
        known = {}
        for document_key, grade in grades.items():
            if document_key in corpus:
                known[document_key] = grade
            else:
                what = "an id that corpus does not have"
                yield RowError(what, file=file, row=number, column=name, found=document_key, todo=EDIT)
        if known:
            texts = [corpus[document_key] for document_key in known]
            cells = {DOCUMENTS: texts, GRADES: list(known.values())} if graded else {POSITIVES: texts}
            yield number, {QUERY: queries[key], **cells}
        elif not grades:
            yield RowError("a query with no positive", file=file, row=number, column=name, found=key, todo=EDIT)
    if unanswered := len(queries.keys() - answered):
        notes.append(f"{counted(unanswered, 'query has', 'queries have')} no entry in {name}: not read")


def _ids(judged: object) -> list[str]:
    """Ids of a query's documents; numbers as the texts that JSON makes of keys."""
    listed = judged if isinstance(judged, list) else [judged]
    return [str(item) if isinstance(item, int) else item for item in listed if isinstance(item, str | int)]
