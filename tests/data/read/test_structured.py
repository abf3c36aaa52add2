"""Documents that are objects in a cell: title and text joined, labels inside, empty negatives; what cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bistill import artifacts
from bistill.data.read.rejections import Rejections
from bistill.data.read.sources import open_source
from bistill.data.settings import Columns, RowReading
from bistill.data.store import building
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import load_documents, load_queries, load_split
from bistill.errors import DataError, RowError

Objects = list[dict[str, Any]]
Save = Callable[[Objects], Dataset]
READING = RowReading()


def built(source: Path, reading: RowReading = READING) -> Dataset:
    folder = source.parent / "built"
    folder.mkdir()
    (reader,) = open_source(source, reading).readers.values()
    rejections = Rejections("stop", folder / artifacts.REJECTIONS_FILE)
    building.build(reader.rows(), folder, file=source, reading=reading, rejections=rejections)
    rejections.close()
    return Dataset(folder, path=source, fingerprint="", rejected=0, notes=tuple(reader.notes))


@pytest.fixture(params=["lines", "array", "parquet", "hub"])
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Save:
    """Writes objects in one of the forms, and opens them."""

    def save_and_open(rows: Objects) -> Dataset:
        file = tmp_path / "rows.jsonl"
        if request.param == "lines":
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        elif request.param == "array":
            file.write_text(json.dumps(rows, indent=1), encoding="utf-8")
        elif request.param == "parquet":
            file = tmp_path / "rows.parquet"
            pq.write_table(pa.Table.from_pylist(rows), file)
        else:
            import datasets

            file = tmp_path / "saved"
            datasets.Dataset.from_list(rows).save_to_disk(str(file))
        return built(file)

    return save_and_open


def answers(found: Dataset) -> dict[str, tuple[list[str], list[str]]]:
    take = found.documents.take
    return {record.query: (take(record.positives), take(record.negatives)) for record in found}


def passage(key: str, title: str | None, text: str | None) -> dict[str, Any]:
    return {"docid": key, "title": title, "text": text}


def test_positive_and_negative_passages(save: Save) -> None:
    rows = [
        {
            "query_id": "0",
            "query": "first",
            "positive_passages": [passage("1", "Title", "one"), passage("2", "", "two")],
            "negative_passages": [passage("3", None, "three"), passage("4", " ", "four")],
        },
        {
            "query_id": "1",
            "query": "second",
            "positive_passages": [passage("5", "Alone", "")],
            "negative_passages": [passage("6", "", " ")],
        },
    ]
    found = save(rows)
    assert answers(found) == {"first": (["Title one", "two"], ["three", "four"]), "second": (["Alone"], [])}
    assert "1 empty negatives: read as none" in found.notes


def test_contexts_of_a_reader(save: Save) -> None:
    rows = [
        {
            "question": "first",
            "answers": ["an answer"],
            "positive_ctxs": [{"title": "T", "text": "one", "score": 9.5, "psg_id": "7"}],
            "negative_ctxs": [{"title": "", "text": "two", "score": 0.0, "psg_id": "8"}],
            "hard_negative_ctxs": [{"title": "H", "text": "three", "score": 3.5, "psg_id": "9"}],
        }
    ]
    assert answers(save(rows)) == {"first": (["T one"], ["two", "H three"])}


SELECTED = [
    {"query": "first", "query_id": 1, "passages": [("one", 0), ("two", 1), ("three", 0)]},
    {"query": "second", "query_id": 2, "passages": [("four", 1)]},
]


@pytest.mark.parametrize("of_lists", [True, False])
def test_labels_inside_the_objects(of_lists: bool, save: Save) -> None:
    rows = []
    for row in SELECTED:
        texts, labels = zip(*row["passages"], strict=True)
        lists = {"is_selected": list(labels), "passage_text": list(texts), "url": ["u"] * len(texts)}
        items = [{"is_selected": label, "passage_text": text, "url": "u"} for text, label in row["passages"]]
        rows.append({**row, "passages": lists if of_lists else items})
    found = save(rows)
    assert answers(found) == {"first": (["two"], ["one", "three"]), "second": (["four"], [])}


def test_lists_of_documents_with_lists_of_labels(save: Save) -> None:
    rows = [
        {"query": "first", "docs": ["one", "two", "three"], "labels": [3.0, 0.0, 1.0]},
        {"query": "second", "docs": ["four"], "labels": [2.0]},
    ]
    found = save(rows)
    assert answers(found) == {"first": (["one"], ["two", "three"]), "second": (["four"], [])}
    assert found[0].negative_labels == (0.0, pytest.approx(1 / 3))


@pytest.mark.parametrize("negatives", [None, [], [""], [None], [" \u200b"], ["", "\ufeff"]])
def test_empty_negatives_are_none(negatives: list[str | None] | None, save: Save) -> None:
    rows = [
        {"query": "a", "pos": ["b"], "neg": ["c", *(negatives or [])]},
        {"query": "d", "pos": ["e"], "neg": negatives},
    ]
    found = save(rows)
    assert answers(found) == {"a": (["b"], ["c"]), "d": (["e"], [])}
    assert list(found.documents) == ["b", "c", "e"]
    counted = f"{2 * len(negatives)} empty negatives: read as none" if negatives else ""
    assert [note for note in found.notes if "empty" in note] == [counted] * bool(counted)


@pytest.mark.parametrize("negative", [None, "", " "])
def test_an_empty_negative_that_is_no_list(negative: str | None, save: Save) -> None:
    rows = [{"query": "a", "positive": "b", "negative": "c"}, {"query": "d", "positive": "e", "negative": negative}]
    assert answers(save(rows)) == {"a": (["b"], ["c"]), "d": (["e"], [])}


@pytest.mark.parametrize(
    ("cells", "column", "what", "found"),
    [
        ({"pos": [{"docid": "p0"}]}, "pos", "an object without a text", "{'docid': 'p0'}"),
        ({"pos": [{"title": "T", "summary": "x"}]}, "pos", "an object without a text", "summary"),
        ({"pos": {"title": "T", "text": {"a": 1}}}, "pos.text", "not text", "{'a': 1}"),
        ({"pos": [{"title": 5, "text": "t"}]}, "pos.title", "not text", "5"),
        ({"pos": [{"title": "", "text": None}]}, "pos", "the cell is empty", "''"),
        ({"pos": ["a", ["b"]]}, "pos", "not text", "['b']"),
        ({"pos": {"text": ["a", "b"], "title": ["T"]}}, "pos", "not of one length", "{'text': 2, 'title': 1}"),
    ],
)
def test_objects_that_cannot_be_read_name_their_fields(
    cells: dict[str, Any], column: str, what: str, found: str, tmp_path: Path
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"query": "q", **cells}), encoding="utf-8")
    with pytest.raises(RowError) as caught:
        load_split(file)
    assert (caught.value.row, caught.value.column) == (1, column)
    assert what in caught.value.what and found in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        ({"docs": ["a", "b"], "labels": [1]}, "2 documents with 1 label"),
        ({"docs": ["a", "b"], "labels": 1}, "2 documents with a label that is no list"),
        ({"docs": [], "labels": []}, "a query without a document"),
        ({"docs": ["a", ""], "labels": [1, 0]}, "the cell is empty"),
        ({"docs": ["a"], "labels": ["x"]}, "the label is not a number"),
        ({"docs": [{"text": "a", "is_selected": 1}, "b"]}, "not an object"),
        ({"docs": [{"text": "a", "is_selected": 1}, {"text": "b"}]}, "the label is empty"),
    ],
)
def test_documents_and_labels_that_do_not_fit(cells: dict[str, Any], what: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"query": "q", **cells}), encoding="utf-8")
    with pytest.raises(RowError, match=what):
        load_split(file)


def test_documents_and_queries_of_objects_are_read_alone(tmp_path: Path) -> None:
    marco = tmp_path / "marco.jsonl"
    lists = {"is_selected": [0, 1], "passage_text": ["one", "two"]}
    marco.write_text(json.dumps({"query": {"id": 1, "text": "first"}, "passages": lists}), encoding="utf-8")
    assert list(load_documents(marco)) == ["one", "two"]
    assert list(load_queries(marco)) == ["first"]
    corpus = tmp_path / "corpus.json"
    corpus.write_text(json.dumps([{"document": passage("1", "T", "one")}, {"document": "two"}]), encoding="utf-8")
    assert list(load_documents(corpus)) == ["T one", "two"]


def test_a_label_column_goes_before_labels_inside_and_names_by_flag_before_both(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    inside = {"text": "one", "label": 0}
    file.write_text(json.dumps({"query": "q", "passage": inside, "label": 1, "ctx": inside}), encoding="utf-8")
    assert answers(load_split(file)) == {"q": (["one"], [])}
    reading = RowReading(columns=Columns(positive="ctx"))
    assert answers(load_split(file, reading=reading)) == {"q": (["one"], [])}
    with pytest.raises(DataError, match="missing column: label"):
        file.write_text(json.dumps({"query": "q", "passage": {"text": "one"}}), encoding="utf-8")
        load_split(file)
