"""Columns of files whose documents or queries are read alone."""

from __future__ import annotations

import pytest

from bistill.data.read.alone import resolve_document_columns, resolve_identified, resolve_log, resolve_query_column
from bistill.data.settings import Columns
from bistill.errors import DataError

NONE = Columns()


def test_documents_of_labelled_rows_and_of_a_corpus() -> None:
    assert resolve_document_columns(["query", "positive"], "f.csv", NONE).form == "triplets"
    corpus = resolve_document_columns(["id", "passage"], "f.csv", NONE)
    assert (corpus.form, corpus.passage, corpus.ignored) == ("texts", "passage", ("id",))
    with pytest.raises(DataError, match="missing column: passage"):
        resolve_document_columns(["id"], "f.csv", NONE)


def test_queries_of_labelled_rows_and_alone() -> None:
    for header, others in ((["query", "positive"], ("positive",)), (["id", "질문"], ("id",))):
        found = resolve_query_column(header, "f.csv", NONE)
        assert (found.form, found.used, found.ignored) == ("texts", tuple({*header} - {*others}), others)
    with pytest.raises(DataError, match="missing column: query"):
        resolve_query_column(["passage"], "f.csv", NONE)
    with pytest.raises(DataError, match="more than one column can be the query: 'q', 'question'"):
        resolve_query_column(["q", "question"], "f.csv", NONE)


@pytest.mark.parametrize(
    ("header", "key", "text", "title"),
    [
        (["_id", "title", "text", "url"], "_id", "text", "title"),
        (["passage"], "", "passage", ""),
        (["문서", "제목", "Doc-ID"], "Doc-ID", "문서", "제목"),
        (["query", "document", "label", "id"], "id", "document", ""),
        (["doc_id", "id", "content"], "id", "content", ""),
    ],
)
def test_ids_and_titles_of_documents(header: list[str], key: str, text: str, title: str) -> None:
    found = resolve_identified(header, "f", NONE)
    assert (found.form, found.query, found.passage, found.title) == ("identified", key, text, title)
    assert {*found.ignored, *found.used, *found.optional} == {*header}


@pytest.mark.parametrize(
    ("header", "query", "count", "source"),
    [
        (["query", "count", "source"], "query", "count", "source"),
        (["text"], "text", "", ""),
        (["검색어", "횟수", "출처"], "검색어", "횟수", "출처"),
        (["question", "passage", "label", "Freq"], "question", "Freq", ""),
    ],
)
def test_counts_and_sources_of_queries(header: list[str], query: str, count: str, source: str) -> None:
    found = resolve_log(header, "f", NONE)
    assert (found.form, found.query, found.label, found.passage) == ("log", query, count, source)
    assert {*found.ignored, *found.used, *found.optional} == {*header}


def test_columns_that_are_not_there_or_not_unique_are_errors() -> None:
    with pytest.raises(DataError, match="missing column: query"):
        resolve_log(["count", "source"], "f", NONE)
    with pytest.raises(DataError, match="more than one column can be the query: 'text', 'content'"):
        resolve_log(["text", "content"], "f", NONE)
    with pytest.raises(DataError, match="missing column: passage"):
        resolve_identified(["id", "title"], "f", NONE)
