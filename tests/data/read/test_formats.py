"""JSONL, Parquet, BEIR and Hugging Face folders: the same data set from each, and what is wrong with bad ones."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bistill import artifacts
from bistill.data.read import csv_records, dialect, hugging_face, validation
from bistill.data.read.files import RowReader
from bistill.data.read.rejections import Rejections
from bistill.data.read.sources import open_source
from bistill.data.records import Record
from bistill.data.settings import RowReading
from bistill.data.store import building
from bistill.data.store.dataset import Dataset
from bistill.data.store.opening import load_split
from bistill.errors import DataError, RowError

Write = Callable[[str, str | bytes], Path]
READING = RowReading()
ROWS = [("q1", "d1", 1), ("q1", "d2", 0), ("질의", "문서 하나", 1), ("q1", "d3", 1)]
EXPECTED = [
    Record(0, "q1", (0, 3), (1.0, 1.0), (1,), (0.0,)),
    Record(1, "질의", (2,), (1.0,), (), ()),
]
DOCUMENTS = ["d1", "d2", "문서 하나", "d3"]


def lines(objects: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in objects)


def built(reader: RowReader, folder: Path) -> Dataset:
    folder.mkdir()
    rejections = Rejections("stop", folder / artifacts.REJECTIONS_FILE)
    building.build(reader.rows(), folder, file=reader.file, reading=READING, rejections=rejections)
    rejections.close()
    return Dataset(folder, path=reader.file, fingerprint="", rejected=0, notes=())


def beir(write: Write) -> Path:
    ids = {text: f"c{number}" for number, text in enumerate(DOCUMENTS)}
    corpus = [{"_id": key, "title": "", "text": text} for text, key in ids.items()]
    corpus.append({"_id": "extra", "title": "Title", "text": "text"})
    write("beir/corpus.jsonl.gz", gzip.compress(lines(corpus).encode()))
    write("beir/queries.jsonl", lines([{"_id": 1, "text": "q1"}, {"_id": "2", "text": "질의"}]))
    numbers = {"q1": "1", "질의": "2"}
    rows = "".join(f"{numbers[query]}\t{ids[text]}\t{label}\n" for query, text, label in ROWS)
    return write("beir/qrels/train.tsv", "query-id\tcorpus-id\tscore\n" + rows).parents[1]


def test_all_formats_give_the_same_data(write: Write, tmp_path: Path) -> None:
    objects = [{"query": query, "passage": text, "label": label} for query, text, label in ROWS]
    csv_text = "query,passage,label\n" + "".join(f"{query},{text},{label}\n" for query, text, label in ROWS)
    write("rows.csv", csv_text)
    write("rows.jsonl", "\ufeff" + lines(objects) + "\n")
    write("rows.jsonl.gz", gzip.compress(lines(objects).encode()))
    pq.write_table(pa.Table.from_pylist(objects), tmp_path / "rows.parquet")
    grouped = [
        {"query": "q1", "pos": ["d1"], "neg": ["d2"]},
        {"query": "질의", "pos": ["문서 하나"], "neg": []},
        {"query": "q1", "pos": ["d3"], "neg": []},
    ]
    write("lists.jsonl", lines(grouped))
    pq.write_table(pa.Table.from_pylist(grouped), tmp_path / "lists.parquet")
    datasets = [load_split(tmp_path / name) for name in ("rows.csv", "rows.jsonl", "rows.jsonl.gz", "rows.parquet")]
    datasets += [load_split(tmp_path / name) for name in ("lists.jsonl", "lists.parquet")]
    datasets.append(built(open_source(beir(write), READING).readers["train"], tmp_path / "built-beir"))
    write("hub/data/train.csv", csv_text)
    datasets.append(built(open_source(tmp_path / "hub", READING).readers["all"], tmp_path / "built-hub"))
    for dataset in datasets:
        assert list(dataset) == EXPECTED
        assert list(dataset.documents) == DOCUMENTS
        assert list(dataset.queries) == ["q1", "질의"]


@pytest.mark.parametrize(
    ("content", "row", "column", "what"),
    [
        (b'{"query": "a", "positive": "b"}\n{"query": "a"}\n', 2, "positive", "missing column"),
        (
            b'{"query": "a", "positive": "b"}\n{"query": "a", "positive": "c", "negative": "d"}\n',
            2,
            "negative",
            "an extra field",
        ),
        (b'{"query": "a", "positive": 5}\n', 1, "positive", "the cell is not text"),
        (b'{"query": null, "positive": "b"}\n', 1, "query", "the cell is empty"),
        (b'{"query": "a", "positive": []}\n', 1, "positive", "neither a positive nor a negative"),
        (b'{"query": "a", "positive": [], "negative": []}\n', 1, "positive", "neither a positive nor a negative"),
        (b'{"query": "a", "positive": ["b", " "]}\n', 1, "positive", "the cell is empty"),
        (b'{"query": "a", "positive": "caf\xe9"}\n', 1, "positive", "not UTF-8, at character 4"),
        (b'{"query": "a", "positive": "b\\u0000"}\n', 1, "positive", "NUL at character 2"),
        (b'{"query": "a", "positive": "\\ud800"}\n', 1, "positive", "not UTF-8"),
        (b'{"query": "a", "positive": "b"}\n{"query": "a", "posi\n', 2, "", "the line is not JSON"),
        (b'{"query": "a", "positive": "b"}\n\n{"query": "a", "positive": "b"}\n', 2, "", "the row is empty"),
        (b'{"query": "a", "positive": "b"}\n[1]\n', 2, "", "not a JSON object with names"),
        (b'{"query": "a", "query": "b", "positive": "c"}\n', 1, "", "a key occurs twice"),
        (b'{"query": "a", "passage": "b", "label": NaN}\n', 1, "label", "not a number"),
        (b'{"query": "a", "passage": "b", "label": [1]}\n', 1, "label", "not a number"),
    ],
)
def test_bad_jsonl_rows(content: bytes, row: int, column: str, what: str, write: Write) -> None:
    with pytest.raises(RowError) as caught:
        load_split(write("rows.jsonl", content))
    assert (caught.value.row, caught.value.column) == (row, column)
    assert what in caught.value.what


@pytest.mark.parametrize("digits", ["1" * 401, "-" + "1" * 401, "1" * 5000, "1e999"])
def test_numbers_of_any_length_are_bad_labels_and_unread_ids(digits: str, write: Write) -> None:
    with pytest.raises(RowError, match="row 1, column 'label': the label is out of range"):
        load_split(write("rows.jsonl", f'{{"query": "a", "passage": "b", "label": {digits}}}\n'))
    file = write("ids.jsonl", f'{{"id": {digits}, "query": "a", "passage": "b", "label": 1}}\n')
    assert load_split(file).documents[0] == "b"
    assert load_split(write("ids.csv", f"id,query,positive\n{digits},a,b\n")).documents[0] == "b"
    with pytest.raises(RowError, match="row 1, column 'query': the cell is not text"):
        load_split(write("text.jsonl", f'{{"query": {digits}, "positive": "b"}}\n'))


def test_decimal_labels_of_parquet(tmp_path: Path) -> None:
    labels = pa.array([Decimal("1.0"), Decimal("0.0")], pa.decimal128(3, 1))
    pq.write_table(pa.table({"query": ["a", "a"], "passage": ["b", "c"], "label": labels}), tmp_path / "rows.parquet")
    assert [(record.positives, record.negatives) for record in load_split(tmp_path / "rows.parquet")] == [((0,), (1,))]


def test_one_limit_of_a_text_in_every_format(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (dialect, csv_records, validation):
        monkeypatch.setattr(module, "LONGEST_TEXT", 1000)
    most, more = "a" * 1000, "a" * 1001
    for text in (most, more):
        write(f"{len(text)}.csv", f'query,positive\nq,"{text}"\n')
        write(f"{len(text)}.jsonl", lines([{"query": "q", "positive": text}]))
        pq.write_table(pa.table({"query": ["q"], "positive": [text]}), tmp_path / f"{len(text)}.parquet")
    for ending in ("csv", "jsonl", "parquet"):
        assert list(load_split(tmp_path / f"1000.{ending}").documents) == [most]
        with pytest.raises(RowError, match=r"column 'positive': a (text of 1,001|field longer than 1,000) characters"):
            load_split(tmp_path / f"1001.{ending}")
    titled = beir(write)
    write("beir/corpus.jsonl.gz", gzip.compress(lines([{"_id": "c0", "title": "a" * 600, "text": "a" * 400}]).encode()))
    with pytest.raises(RowError, match="column 'text': a text of 1,001 characters; 1,000 is the most"):
        for outcome in open_source(titled, READING).readers["train"].rows():
            if isinstance(outcome, RowError):
                raise outcome


def test_judgements_of_beir_in_utf16(write: Write) -> None:
    folder = beir(write)
    qrels = folder / "qrels" / "train.tsv"
    qrels.write_bytes(qrels.read_text(encoding="utf-8").encode("utf-16"))
    reader = open_source(folder, READING).readers["train"]
    assert len(list(reader.rows())) == len(ROWS)
    assert reader.notes == ["read as UTF-16, not UTF-8"]


def test_empty_and_damaged_files(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="an empty file"):
        load_split(write("rows.jsonl", ""))
    packed = gzip.compress(lines([{"query": "a", "positive": "b"}]).encode())
    with pytest.raises(DataError, match="gzip file is cut or damaged"):
        load_split(write("rows.jsonl.gz", packed[:-12]))
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        load_split(write("rows.parquet", "no parquet"))
    pq.write_table(
        pa.table({"query": pa.array([], pa.string()), "positive": pa.array([], pa.string())}), tmp_path / "e.parquet"
    )
    with pytest.raises(DataError, match="an empty file"):
        load_split(tmp_path / "e.parquet")


def test_bad_parquet_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"query": ["a", None], "positive": ["b", "c"]}), tmp_path / "rows.parquet")
    with pytest.raises(RowError, match=r"row 2, column 'query': the cell is empty"):
        load_split(tmp_path / "rows.parquet")


def test_booleans_are_labels(write: Write) -> None:
    objects = [{"query": "a", "passage": "b", "label": True}, {"query": "a", "passage": "c", "label": False}]
    assert load_split(write("rows.jsonl", lines(objects)))[0].negatives == (1,)


def test_beir_splits_titles_and_unjudged_documents(write: Write) -> None:
    folder = beir(write)
    write("beir/qrels/dev.tsv", "query-id\tcorpus-id\tscore\n2\textra\t1\n")
    source = open_source(folder, READING)
    assert sorted(source.readers) == ["train", "valid"]
    (row,) = source.readers["valid"].rows()
    assert not isinstance(row, RowError)
    assert (row.number, row.query, row.judgements[0].document) == (2, "질의", "Title text")
    assert list(source.documents()) == [*DOCUMENTS, "Title text"]


@pytest.mark.parametrize(
    ("line", "column", "what"),
    [
        ("9\tc0\t1", "query-id", "an id that queries.jsonl does not have"),
        ("1\tc9\t1", "corpus-id", "an id that corpus.jsonl.gz does not have"),
        ("1\tc0\tx", "score", "not a number"),
        ("1\tc0", "", "a short row"),
        ("1\tc0\t1\t1", "", "an extra field"),
    ],
)
def test_bad_qrels(line: str, column: str, what: str, write: Write) -> None:
    folder = beir(write)
    file = write("beir/qrels/test.tsv", f"query-id\tcorpus-id\tscore\n1\tc0\t1\n{line}\n")
    errors = [row for row in open_source(folder, READING).readers["test"].rows() if isinstance(row, RowError)]
    assert [(error.file, error.row, error.column) for error in errors] == [(str(file), 3, column)]
    assert what in errors[0].what


def test_bad_beir_texts_are_reported_once_by_the_first_split(write: Write) -> None:
    folder = beir(write)
    write(
        "beir/queries.jsonl", lines([{"_id": "1", "text": "q1"}, {"_id": "1", "text": "x"}, {"_id": "2", "text": ""}])
    )
    errors = [row for row in open_source(folder, READING).readers["train"].rows() if isinstance(row, RowError)]
    assert [(Path(error.file).name, error.row, error.column) for error in errors] == [
        ("queries.jsonl", 2, "_id"),
        ("queries.jsonl", 3, "text"),
        ("train.tsv", 4, "query-id"),
    ]


def test_qrels_without_header_are_refused(write: Write) -> None:
    folder = beir(write)
    write("beir/qrels/train.tsv", "1\tc0\t1\n")
    with pytest.raises(DataError, match="query-id, corpus-id and score"):
        list(open_source(folder, READING).readers["train"].rows())


def test_folders_of_split_files(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("set/more.csv", "query,positive\nx,y\n")
    write("set/train.csv", "query,positive\na,b\n")
    write("set/validation.jsonl", lines([{"query": "c", "positive": "d"}]))
    write("set/test.tsv", "query\tpositive\ne\tf\n")
    write("set/corpus.csv", "passage\ng\n")
    source = open_source(tmp_path / "set", READING)
    assert sorted(source.readers) == ["test", "train", "valid"]
    assert list(source.documents()) == ["g"]
    assert "files not read, since they are not named train, valid or test: more.csv\n" in capsys.readouterr().err
    write("set/dev.csv", "query,positive\na,b\n")
    with pytest.raises(DataError, match=r"two files for the split 'valid': dev.csv and validation.jsonl"):
        open_source(tmp_path / "set", READING)


def test_sources_that_are_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither a file nor a folder"):
        open_source(tmp_path / "none", READING)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="an empty folder"):
        open_source(tmp_path / "empty", READING)


def test_saved_data_sets(tmp_path: Path) -> None:
    import datasets

    rows = datasets.Dataset.from_dict({"query": ["a"], "positive": ["b"]})
    datasets.DatasetDict({"train": rows, "validation": rows}).save_to_disk(str(tmp_path / "saved"))
    source = open_source(tmp_path / "saved", READING)
    assert sorted(source.readers) == ["train", "valid"]
    datasets.DatasetDict({"train": rows, "odd": rows}).save_to_disk(str(tmp_path / "odd"))
    with pytest.raises(DataError, match="splits other than train, validation and test"):
        open_source(tmp_path / "odd", READING)


def test_a_hub_that_cannot_be_reached_names_the_local_alternatives(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    monkeypatch.setattr(hugging_face.hub, "silence", lambda: "")
    with pytest.raises(DataError) as caught:
        hugging_face.load("owner/name", READING)
    message = str(caught.value)
    assert "owner/name: the data set cannot be loaded (ConnectionError: Couldn't reach the Hub)" in message
    assert "give a local source instead: a CSV, TSV, JSONL or Parquet file" in message
