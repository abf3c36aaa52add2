"""Which columns of a file are read where its documents or its queries are read alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bistill.data.read.column_names import is_title, normalised_name, role_of
from bistill.data.read.columns import ColumnMap, overridden, recognised, refuse_repeated, require_one, resolve_columns
from bistill.data.settings import Columns, ReadAlone
from bistill.errors import DataError

# After `normalised_name`; docs/data.md repeats them for users.
IDS: Final = ("_id", "id", "doc_id", "docid", "document_id", "passage_id", "corpus_id")
COUNTS: Final = ("count", "counts", "frequency", "freq", "횟수", "빈도", "건수")
SOURCES: Final = ("source", "source_id", "source_text", "source_document", "출처")
TAKEN_OUT: Final = ("taken_out",)


def resolve_document_columns(header: Sequence[str], file: str | Path, overrides: Columns) -> ColumnMap:
    """The document columns of labelled rows, or the one document column of a file without queries, and that of titles
    where it has one.

    Raises:
        DataError: as ``resolve_columns``, where the file has no unique document column, or two columns of titles.
    """
    has_query = overrides.query is not None or any(role_of(name) == "query" for name in header)
    if has_query:
        return resolve_columns(header, file, overrides)
    return _documents_alone(header, file, overrides)


def resolve_query_column(header: Sequence[str], file: str | Path, overrides: Columns) -> ColumnMap:
    """The query column of a file alone, whatever else it has.

    Raises:
        DataError: a name occurs twice, an override names no column, or there is no unique query column.
    """
    refuse_repeated(header, file)
    named = overridden(header, file, overrides)
    names = named["query"] or recognised(header, named).get("query", ())
    require_one("query", names, header, file)
    return ColumnMap(form="texts", passage=names[0], ignored=tuple(name for name in header if name not in names))


def resolve_identified(header: Sequence[str], file: str | Path, overrides: Columns) -> ColumnMap:
    """The document column of a file, and those of ids and titles where it has them.

    Raises:
        DataError: as ``resolve_document_columns``.
    """
    found = _documents_alone(header, file, overrides)
    key = _named_one(found.ignored, IDS)
    ignored = tuple(name for name in found.ignored if name != key)
    return replace(found, form="identified", query=key, ignored=ignored)


def resolve_log(header: Sequence[str], file: str | Path, overrides: Columns) -> ColumnMap:
    """The query column of a file (where none has the name of one, its only column of texts), and those of counts,
    sources and what was taken out of these where it has them.

    Raises:
        DataError: a name occurs twice, an override names no column, or there is no unique query column.
    """
    refuse_repeated(header, file)
    named = overridden(header, file, overrides)
    found = recognised(header, named)
    names = named["query"] or found.get("query", ()) or found.get("passage", ())
    require_one("query", names, header, file)
    count, source, taken_out = (_named_one(header, known) for known in (COUNTS, SOURCES, TAKEN_OUT))
    used = {names[0], count, source, taken_out}
    ignored = tuple(name for name in header if name not in used)
    return ColumnMap(form="log", query=names[0], passage=source, label=count, taken_out=taken_out, ignored=ignored)


def _documents_alone(header: Sequence[str], file: str | Path, overrides: Columns) -> ColumnMap:
    """The one document column, and that of titles where there is one."""
    refuse_repeated(header, file)
    named = overridden(header, file, overrides)
    names = named["passage"] or recognised(header, named).get("passage", ())
    require_one("passage", names, header, file)
    titles = [name for name in header if is_title(name) and name not in names]
    if len(titles) > 1:
        raise DataError(
            f"more than one column can be the title: {', '.join(map(repr, titles))}",
            where=str(file),
            found=list(header),
            todo="rename those that are not meant",
        )
    used = {names[0], *titles}
    ignored = tuple(name for name in header if name not in used)
    return ColumnMap(form="texts", passage=names[0], title="".join(titles), ignored=ignored)


def _named_one(header: Sequence[str], names: Sequence[str]) -> str:
    """The first column of a header with one of some names; "" where there is none."""
    return next((name for known in names for name in header if normalised_name(name) == known), "")


RESOLVERS: Final[dict[ReadAlone | None, Callable[[Sequence[str], str | Path, Columns], ColumnMap]]] = {
    None: resolve_columns,
    "document": resolve_document_columns,
    "query": resolve_query_column,
    "identified": resolve_identified,
    "log": resolve_log,
}
