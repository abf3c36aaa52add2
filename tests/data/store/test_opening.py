from __future__ import annotations

import pickle
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bistill.data.read import csv_reader
from bistill.data.records import Record, Row
from bistill.data.settings import Columns, RowReading
from bistill.data.store import texts
from bistill.data.store.opening import load_documents, load_queries, load_split
from bistill.errors import RowError

Write = Callable[[str, str | bytes], Path]
TRIPLETS = "query,positive,negative\na,b,c\nx,b,d\na,e,c\n"


def test_rows_of_a_query_are_merged_in_order_of_appearance(write: Write) -> None:
    dataset = load_split(write("rows.csv", TRIPLETS))
    assert len(dataset) == 2
    assert dataset[0] == Record(0, "a", (0, 3), (1.0, 1.0), (1,), (0.0,))
    assert dataset[-1] == dataset[1] == Record(1, "x", (0,), (1.0,), (2,), (0.0,))
    assert dataset[:] == list(dataset)
    assert dataset.documents.take([3, 0]) == ["e", "b"]
    assert list(dataset.documents.batches(3)) == [["b", "c", "d"], ["e"]]
    assert (dataset.documents[-1], dataset.documents[1:3]) == ("e", ["c", "d"])
    for index in (2, -3):
        with pytest.raises(IndexError):
            dataset[index]
    with pytest.raises(IndexError):
        dataset.documents.take([4])


@pytest.mark.parametrize(
    ("labels", "maximum", "positive_from", "positives", "negatives"),
    [
        (["0", "1"], None, 0.5, {1: 1.0}, {0: 0.0}),
        (["0.2", "0.5", "1"], None, 0.5, {1: 0.5, 2: 1.0}, {0: 0.2}),
        (["0", "1", "2", "3"], None, 0.5, {2: 2 / 3, 3: 1.0}, {0: 0.0, 1: 1 / 3}),
        (["0", "1", "2", "3"], 4.0, 0.5, {2: 0.5, 3: 0.75}, {0: 0.0, 1: 0.25}),
        (["2.5", "5"], 5.0, 0.6, {1: 1.0}, {0: 0.5}),
        (["0", "0.1"], None, 0.0, {1: 0.1}, {0: 0.0}),
        (["0", "1.0"], None, 0.5, {1: 1.0}, {0: 0.0}),
    ],
)
def test_labels_are_brought_to_0_to_1(
    labels: list[str],
    maximum: float | None,
    positive_from: float,
    positives: dict[int, float],
    negatives: dict[int, float],
    write: Write,
) -> None:
    rows = "".join(f"q,d{number},{label}\n" for number, label in enumerate(labels))
    reading = RowReading(label_maximum=maximum, positive_from=positive_from)
    record = load_split(write("rows.csv", "query,passage,label\n" + rows), reading=reading)[0]
    assert dict(zip(record.positives, record.positive_labels, strict=True)) == positives
    assert dict(zip(record.negatives, record.negative_labels, strict=True)) == negatives


def test_a_document_judged_twice_the_same_way_keeps_its_highest_label(write: Write) -> None:
    record = load_split(write("rows.csv", "query,passage,label\nq,d,0.6\nq,d,0.9\nq,e,0.3\nq,e,0.1\n"))[0]
    assert (record.positives, record.positive_labels, record.negative_labels) == ((0,), (0.9,), (0.3,))


def test_queries_without_a_positive_and_rows_are_counted(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "BATCH_ROWS", 2)
    content = "query,passage,label\na,b,0\nx,b,1\nc,d,0.2\nc,e,0.4\nx,b,1\nx,f,0\nx,b,0\ny,b,1\nz,z,0\n"
    dataset = load_split(write("rows.csv", content), on_bad_rows="skip")
    assert dataset[4] == Record(4, "z", (), (), (), ())  # judged by its own text alone
    assert dataset[2] == Record(2, "c", (), (), (1, 2), (0.2, 0.4))
    assert dataset.with_positive.tolist() == [1, 3]
    assert dataset.without_positive.tolist() == [0, 2, 4]
    assert dataset.rows().tolist() == [1, 3, 2, 1, 1]  # the contradiction of row 8 is set aside
    triplets = load_split(
        write(
            "rows.jsonl",
            '{"query": "a", "pos": ["b", "c"], "neg": []}\n{"query": "d", "pos": [], '
            '"neg": ["b", "e"]}\n{"query": "a", "pos": ["f"], "neg": []}\n',
        )
    )
    assert (triplets.rows().tolist(), triplets.with_positive.tolist()) == ([2, 1], [0])
    assert triplets[1] == Record(1, "d", (), (), (0, 2), (0.0, 0.0))


def test_more_rows_than_a_batch_against_a_plain_dictionary(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "BATCH_ROWS", 7)
    generator = random.Random(0)
    rows = [(f"q{generator.randrange(40)}", f"p{generator.randrange(60)}", f"n{number % 50}") for number in range(300)]
    dataset = load_split(write("rows.csv", "query,positive,negative\n" + "".join(",".join(row) + "\n" for row in rows)))
    positives: dict[str, list[str]] = defaultdict(list)
    negatives: dict[str, list[str]] = defaultdict(list)
    for query, positive, negative in rows:
        positives[query] += [positive] if positive not in positives[query] else []
        negatives[query] += [negative] if negative not in negatives[query] else []
    assert list(dataset.queries) == list(positives)
    assert list(dataset.documents) == list(dict.fromkeys(text for row in rows for text in row[1:]))
    for record in dataset:
        assert dataset.documents.take(record.positives) == positives[record.query]
        assert dataset.documents.take(record.negatives) == negatives[record.query]


def _refuse(*_: object) -> Iterator[Row | RowError]:
    raise AssertionError("parsed again")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", "query,positive,negative\na,b,c\nx,b,d\na,e,c\n"),
        ("rows.tsv", "query\tpassage\tlabel\na\tb\t0\nx\tb\tno number\n"),
        ("rows.jsonl", '{"query": "a"}\n{"query": "x"}\n{"query": "a"}\n'),
    ],
)
def test_queries_are_read_alone(name: str, content: str, write: Write) -> None:
    assert list(load_queries(write(name, content))) == ["a", "x"]


def test_a_second_start_does_not_parse(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = write("rows.csv", TRIPLETS + "z\n")
    first = load_split(file, on_bad_rows="skip", rejected_to=tmp_path / "first.csv")
    documents = list(load_documents(write("corpus.csv", "passage\nb\n")))
    monkeypatch.setattr(csv_reader.CsvReader, "rows", _refuse)
    second = load_split(file, on_bad_rows="skip", rejected_to=tmp_path / "second.csv")
    assert list(second) == list(first)
    assert (second.fingerprint, second.rejected, second.notes) == (first.fingerprint, 1, first.notes)
    assert (tmp_path / "second.csv").read_bytes() == (tmp_path / "first.csv").read_bytes()
    assert list(load_documents(tmp_path / "corpus.csv")) == documents
    renamed = file.rename(tmp_path / "other.csv")
    assert load_split(renamed, on_bad_rows="skip").fingerprint == first.fingerprint


def test_stop_raises_though_a_skipping_start_filled_the_cache(write: Write) -> None:
    file = write("rows.csv", TRIPLETS + "z\n")
    load_split(file, on_bad_rows="skip")
    with pytest.raises(RowError, match="row 5"):
        load_split(file)


def test_fingerprint_follows_content_and_reading(write: Write) -> None:
    file = write("rows.csv", "query,passage,label\na,b,0.5\na,c,1\n")
    first = load_split(file).fingerprint
    assert load_split(file, reading=RowReading(positive_from=0.6)).fingerprint != first
    named = RowReading(columns=Columns(query="query"))
    assert load_split(file, reading=named).fingerprint != first
    file.write_text("query,passage,label\na,b,0.5\na,d,1\n", encoding="utf-8")
    assert load_split(file).fingerprint != first


@pytest.mark.parametrize("damage", ["cut", "flip", "remove", "manifest"])
def test_damaged_cache_is_made_again(
    damage: str, write: Write, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write("rows.csv", TRIPLETS)
    before = list(load_split(file))
    stored = next(cache.glob("data/*/documents.arrow"))
    content = stored.read_bytes()
    if damage == "cut":
        stored.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        stored.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    elif damage == "remove":
        stored.unlink()
    else:
        (stored.parent / "manifest.json").write_text("{", encoding="utf-8")
    assert list(load_split(file)) == before
    assert "parsed data is damaged and made again" in capsys.readouterr().err
    load_split(file)
    assert "damaged" not in capsys.readouterr().err


def test_a_failed_parse_leaves_nothing_behind(write: Write, cache: Path) -> None:
    with pytest.raises(RowError):
        load_split(write("rows.csv", TRIPLETS + "z\n"))
    assert [path for path in (cache / "data").iterdir() if path.suffix != ".lock"] == []


def test_processes_that_start_together_parse_once(write: Write, tmp_path: Path) -> None:
    file = write("rows.csv", TRIPLETS)
    program = (
        "import sys\n"
        "from bistill.data.store import building\n"
        "from bistill.data.store.opening import load_split\n"
        "build = building.build\n"
        "building.build = lambda *a, **k: (print('parsed'), build(*a, **k))[1]\n"
        "print(len(load_split(sys.argv[1])))\n"
    )
    command = [sys.executable, "-c", program, str(file)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate()[0].split() for process in running]
    assert sorted(outputs) == [["2"], ["2"], ["parsed", "2"]]


def test_datasets_travel_to_other_processes(write: Write) -> None:
    dataset = load_split(write("rows.csv", TRIPLETS))
    copy = pickle.loads(pickle.dumps(dataset))
    assert list(copy) == list(dataset)
    assert copy.fingerprint == dataset.fingerprint
