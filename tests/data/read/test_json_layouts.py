"""JSON files of every layout give the rows of the same objects on lines; what is broken is named with its place."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bistill.data.prepare.preparing import prepare
from bistill.data.read import json_values
from bistill.data.read.jsonl import objects
from bistill.data.store.opening import load_documents, load_queries, load_split
from bistill.data.store.version import Version
from bistill.errors import DataError, RowError

Write = Callable[[str, str | bytes], Path]
ROWS: list[dict[str, Any]] = [
    {"query": "how is a kettle cleaned", "pos": ["with a [damp] cloth"], "neg": ['it holds "two" litres, {about}']},
    {"query": "사다리는 어디에 있나요", "pos": ["창고 벽에 걸려 있다"], "neg": ["새 사다리\n둘"]},
    {"query": "who mends the lantern \\", "pos": ["the \\u0041 workshop"], "neg": ["it burns \U0001f3ee oil"]},
]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
PRETTY = "\n".join(json.dumps(row, ensure_ascii=False, indent=2) for row in ROWS)
ARRAY = json.dumps(ROWS, ensure_ascii=False)
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
LAYOUTS = {
    "lines": LINES,
    "array in one line": ARRAY,
    "array in lines": json.dumps(ROWS, indent=4),
    "array of lines": "[\n" + ",\n".join(LINES.splitlines()) + "\n]\n",
    "objects of several lines": PRETTY,
    "blanks before and behind": f"\ufeff\n\n  {PRETTY}\r\n\n",
    "arrays joined": json.dumps(ROWS[:1]) + "\n" + json.dumps(ROWS[1:], indent=1),
    "empty array before": "[]" + ARRAY,
    "columns of lists": json.dumps(COLUMNS),
    "columns by index": json.dumps(
        {name: {str(place): cell for place, cell in enumerate(cells)} for name, cells in COLUMNS.items()}, indent=1
    ),
    "rows by index": json.dumps({str(place): row for place, row in enumerate(ROWS)}),
    "rows inside": json.dumps({"version": "1", "tags": ["a"], "data": ROWS}, indent=2),
}


@pytest.mark.parametrize("name", ["f.json", "f.jsonl", "f.ndjson", "f.json.gz", "f.jsonl.gz"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_under_every_name_holds_the_same_objects(layout: str, name: str, write: Write) -> None:
    content = LAYOUTS[layout].encode()
    found = list(objects(write(name, gzip.compress(content) if name.endswith(".gz") else content)))
    assert found == list(enumerate(ROWS, start=1))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 16, 41])
@pytest.mark.parametrize("content", [ARRAY, PRETTY, json.dumps([*ROWS, 12345, -1.5e3, None, True, "\ud83c\udfee"])])
def test_values_are_the_same_however_the_text_is_cut(content: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "CHUNK_CHARACTERS", chunk)
    expected = json.loads(content) if content.startswith("[") else ROWS
    assert [value for _, value in json_values.values(io.StringIO(content), Path("f"))] == expected


def test_an_array_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "CHUNK_CHARACTERS", 1000)
    text = io.StringIO(json.dumps([{"query": str(number), "pos": "x" * 50} for number in range(1000)]))
    stream = json_values.values(text, Path("f"))
    reached = [text.tell() for _ in zip(range(500), stream, strict=False)]
    assert reached[0] <= 1000 and reached[499] < len(text.getvalue()) * 0.52


@pytest.mark.parametrize(
    ("content", "line", "character", "what"),
    [
        ('[{"query": "a", "pos": "b"},\n {"query": "c" "pos": "d"}]', 2, 16, "Expecting ',' delimiter"),
        ('[{"query": "a", "pos": "b"}\n {"query": "c", "pos": "d"}]', 2, 2, "a comma between two objects"),
        ('[{"query": "a", "pos": "b"},\n {"query": "c", "po', 2, 16, "ends in the middle"),
        ('[{"query": "a", "pos": "b"},\n', 2, 1, "ends in the middle"),
        ('{\n "query": "a",\n "pos": \'b\'\n}\n', 3, 9, "Expecting value"),
        ('{\n "query": "a",\n "pos": "b\n', 3, 11, "Invalid control character"),
    ],
)
@pytest.mark.parametrize("chunk", [5, 1 << 20])
def test_a_broken_array_or_object_names_line_and_character(
    chunk: int, content: str, line: int, character: int, what: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_values, "CHUNK_CHARACTERS", chunk)
    file = write("f.json", content)
    with pytest.raises(DataError) as caught:
        load_split(file, on_bad_rows="skip")
    assert what in caught.value.what
    if "ends" not in what:
        assert caught.value.where == f"{file}, line {line}, character {character}"
        assert "one object on each line" in caught.value.todo
    assert len(str(caught.value)) < 600


def test_the_layout_of_an_array_in_one_line_is_known_from_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "CHUNK_CHARACTERS", 100)
    read: list[int] = []

    class Counted(io.StringIO):
        def readline(self, size: int | None = -1, /) -> str:
            line = super().readline(-1 if size is None else size)
            read.append(len(line))
            return line

    assert json_values.layout_of(Counted("\n \n" + json.dumps(ROWS * 1000)), Path("f")) == "values"
    assert sum(read) <= 103
    assert json_values.layout_of(Counted(json.dumps(ROWS[0]) * 1 + "\n" + LINES), Path("f")) == "lines"


def test_an_error_far_before_the_end_is_found_without_reading_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "CHUNK_CHARACTERS", 100)
    text = io.StringIO('[{"query": "a" "pos": "b"},' + '{"query": "a", "pos": "b"},' * 1000)
    with pytest.raises(DataError, match="line 1, character 16"):
        list(json_values.values(text, Path("f")))
    assert text.tell() <= 200


@pytest.mark.parametrize(
    ("content", "row"),
    [
        ('[["q", "d"], ["e", "f"]]', 1),
        ('["a text", "another"]', 1),
        ('["q", "d"]\n["e", "f"]\n', 1),
        ('[{"query": "a", "pos": "b"}, 5]', 2),
    ],
)
def test_what_is_no_object_is_refused_with_the_form_that_is_wanted(content: str, row: int, write: Write) -> None:
    with pytest.raises(RowError, match="not a JSON object with names") as caught:
        load_split(write("f.json", content))
    assert caught.value.row == row
    assert "one object on each line" in caught.value.todo and "array of objects" in caught.value.todo


def test_a_bad_object_of_an_array_is_set_aside_and_no_other(write: Write) -> None:
    content = '[{"query": "a", "pos": "b"}, {"query": "c", "query": "c", "pos": "d"}, {"query": "", "pos": "d"}, {}, '
    dataset = load_split(write("f.json", content + '{"query": "e", "pos": "f"}]'), on_bad_rows="skip")
    assert (list(dataset.queries), dataset.rejected) == (["a", "e"], 3)


def test_a_line_that_is_cut_costs_its_row_alone_even_if_it_is_the_first(write: Write) -> None:
    content = '{"query": "a", "pos": ["b", \n{"query": "c", "pos": "d"}\n{"query": "e", "pos": "f"}\n'
    dataset = load_split(write("f.jsonl", content), on_bad_rows="skip")
    assert (list(dataset.queries), dataset.rejected) == (["c", "e"], 1)


@pytest.mark.parametrize("content", [LINES, ARRAY, PRETTY, json.dumps(ROWS, indent=1), "\ufeff" + LINES])
def test_json_under_the_name_of_a_table_is_called_what_it_is(content: str, write: Write) -> None:
    for name in ("f.csv", "f.tsv"):
        with pytest.raises(DataError, match="the file is not CSV, but JSON") as caught:
            load_split(write(name, content))
        assert caught.value.todo == "name it .jsonl or .json"


def test_layouts_other_than_lines_are_said(write: Write) -> None:
    assert load_split(write("a.jsonl", LINES)).notes == ()
    assert load_split(write("b.jsonl", ARRAY)).notes == (
        "no object on each line: row N is the N-th object of the file",
    )


def finetuning(**changes: Any) -> dict[str, Any]:
    """Queries, corpus and judgements by id, as a data set of LlamaIndex."""
    return {
        "queries": {"q0": "first", "q1": "second", "q2": "third"},
        "corpus": {"d0": "one", "d1": "two", "d2": "three", "d3": "four"},
        "relevant_docs": {"q0": ["d0", "d2"], "q1": ["d1"]},
        "mode": "text",
        **changes,
    }


def answers(file: Path) -> dict[str, tuple[list[str], list[str]]]:
    found = load_split(file, on_bad_rows="skip")
    take = found.documents.take
    return {record.query: (take(record.positives), take(record.negatives)) for record in found}


@pytest.mark.parametrize("indent", [None, 4])
def test_queries_corpus_and_judgements_by_id(indent: int | None, write: Write) -> None:
    file = write("qa.json", json.dumps(finetuning(), indent=indent))
    assert answers(file) == {"first": (["one", "three"], []), "second": (["two"], [])}
    assert "1 query has no entry in relevant_docs: not read" in load_split(file).notes
    assert list(load_documents(file)) == ["one", "two", "three", "four"]
    assert list(load_queries(file)) == ["first", "second", "third"]


def test_grades_by_id_and_documents_with_titles(write: Write) -> None:
    corpus = {"1": {"title": "T", "text": "one"}, "2": {"title": " ", "text": "two"}, "3": {"text": "three"}}
    qrels = {"q0": {"1": 2, "2": 0}, "q1": {"3": 1, "1": 2}}
    document = {"queries": finetuning()["queries"], "corpus": corpus, "qrels": qrels}
    file = write("qa.json", json.dumps(document))
    assert answers(file) == {"first": (["T one"], ["two"]), "second": (["three", "T one"], [])}
    assert load_split(file)[1].positive_labels == (0.5, 1.0)
    assert list(load_documents(file)) == ["T one", "two", "three"]


def test_unknown_ids_and_queries_without_a_document_cost_their_judgement_alone(write: Write) -> None:
    judged = {"q0": ["d0", "d9"], "q9": ["d1"], "q1": "d1", "q2": []}
    file = write("qa.json", json.dumps(finetuning(relevant_docs=judged)))
    errors = [item for item in objects(file) if isinstance(item, RowError)]
    assert [(error.row, error.column, error.what, error.found) for error in errors] == [
        (1, "relevant_docs", "an id that corpus does not have", "d9"),
        (2, "relevant_docs", "an id that queries does not have", "q9"),
        (4, "relevant_docs", "a query with no positive", "q2"),
    ]
    assert answers(file) == {"first": (["one"], []), "second": (["two"], [])}


def test_documents_that_no_query_judges_come_into_the_corpus(write: Write, tmp_path: Path) -> None:
    names = "abcdefghijklmnopqrst"
    document = finetuning(
        queries={name: f"question {name}" for name in names},
        corpus={name: f"passage {name}" for name in "abcdefghijklmnopqrstuvw"},
        relevant_docs={name: [name] for name in names},
    )
    file = write("qa.json", json.dumps(document, indent=4))
    made = prepare(file, Version(tmp_path / "out", "v"))
    assert made.queries == {"train": 16, "valid": 2, "test": 2}
    assert list(load_documents(made.folder / "corpus.csv")) == ["passage u", "passage v", "passage w"]


@pytest.mark.parametrize("split", ["train.json", "train.jsonl"])
def test_a_folder_of_arrays(split: str, write: Write, tmp_path: Path) -> None:
    write(f"set/{split}", ARRAY)
    write("set/validation.json", json.dumps([{"query": "a", "pos": ["b"]}], indent=2))
    write("set/prepare.json", "{}")
    folder = write("set/test.json", json.dumps(finetuning())).parent
    made = prepare(folder, Version(tmp_path / "out", "v"))
    assert made.queries == {"train": 3, "valid": 1, "test": 2}
    assert list(load_documents(made.folder / "corpus.csv")) == ["four"]


def test_an_array_as_the_corpus_of_a_beir_folder(write: Write, tmp_path: Path) -> None:
    write("set/corpus.jsonl", json.dumps([{"_id": "1", "title": "T", "text": "one"}], indent=2))
    write("set/queries.jsonl", '{\n  "_id": "q",\n  "text": "first"\n}\n')
    folder = write("set/qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\t1\t1\n").parents[1]
    made = prepare(folder, Version(tmp_path / "out", "v"))
    assert answers(made.folder / "test.csv") == {"first": (["T one"], [])}


def test_one_object_that_is_no_data_set_is_one_row(write: Write) -> None:
    assert list(load_queries(write("a.json", json.dumps(ROWS[0], indent=2)))) == [ROWS[0]["query"]]
    file = write("b.json", json.dumps({"text": "a page", "sections": [{"head": "h"}]}, indent=2))
    assert list(load_documents(file)) == ["a page"]
    with pytest.raises(DataError, match=r"b.json: missing column: query\n  found: \['text', 'sections'\]"):
        load_split(file)
