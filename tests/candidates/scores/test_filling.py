"""Pairs of a file scored without training: what is read, kept, written and refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bistill.app.commands.scores import scores
from bistill.app.config import ScoresOptions
from bistill.candidates.scores.exchange import read_pairs, read_scores
from bistill.candidates.scores.filling import fill
from bistill.candidates.scores.teachers import CachedTeacher
from bistill.candidates.settings import TeacherReading
from bistill.errors import DataError, OptionError, RowError
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.settings import PACKAGED_MODEL

PAIRS = [(f"how to {word}", f"the {other} of a {word}") for word in ("file", "list", "set") for other in ("key", "map")]
READING = TeacherReading(batch_size=2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"query": query, "document": text}) + "\n" for query, text in PAIRS))
    return path


def test_pairs_are_scored_once_and_written_in_their_order(file: Path, tiny_teacher: Path, tmp_path: Path) -> None:
    output = tmp_path / "out" / "scored.parquet"
    with CachedTeacher.open(str(tiny_teacher), READING) as teacher:
        filled = fill(teacher, file, output, scale="logit", at_once=4)  # in two windows
        assert (filled.pairs, filled.scored, filled.failed) == (6, 6, None)
        assert (fill(teacher, file, None).scored, len(teacher.cache)) == (0, 6)
    expected = CrossEncoder.load(str(tiny_teacher)).score(PAIRS)
    table = pq.read_table(output)
    assert table.column_names == ["query", "document", "score"]
    assert list(zip(*(table[name].to_pylist() for name in ("query", "document")), strict=True)) == PAIRS
    np.testing.assert_allclose(table["score"].to_pylist(), expected, atol=1e-5)
    assert [row[:2] for row in read_scores(output, "logit")] == PAIRS


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"query": "a", "document": "b", "score": None}], [("a", "b")]),
        ([{"query": "a", "pos": ["b"], "neg": ["c", "d"]}], [("a", "b"), ("a", "c"), ("a", "d")]),
        ([{"query": "a", "pos": ["b"], "neg": None}], [("a", "b")]),
        ([{"query": "a", "positive": "b", "negative_1": "c", "negative_2": ""}], [("a", "b"), ("a", "c")]),
        ([{"query": "a", "positive": "b"}], [("a", "b")]),
    ],
)
def test_the_forms_of_a_file_of_pairs(rows: list[dict], expected: list, tmp_path: Path) -> None:
    jsonl, parquet = tmp_path / "pairs.jsonl", tmp_path / "pairs.parquet"
    jsonl.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), parquet)
    assert list(read_pairs(jsonl)) == list(read_pairs(parquet)) == expected


def test_what_is_no_file_of_pairs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("query,document\nhow,\n")
    with pytest.raises(RowError, match="row 2, column 'document'"):
        list(read_pairs(path))
    path.write_text("query,answer\nhow,so\n")
    with pytest.raises(DataError, match="neither query, document nor the columns of a list form") as raised:
        list(read_pairs(path))
    assert "query, pos, neg" in raised.value.todo and "score" not in raised.value.todo
    path.write_text("query,document\n")
    with pytest.raises(DataError, match="empty"):
        list(read_pairs(path))


def test_a_bi_encoder_reads_no_pairs(file: Path, tmp_path: Path) -> None:
    with (
        CachedTeacher.open(PACKAGED_MODEL, READING) as teacher,
        pytest.raises(OptionError, match="only a re-ranker scores pairs"),
    ):
        fill(teacher, file, None)


def test_the_command_writes_relevance_that_can_be_imported_and_compared(
    file: Path, tiny_teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "scored.jsonl"
    scores(ScoresOptions(action="fill", file=str(file), teacher_path=str(tiny_teacher), output=str(output)))
    shown = capsys.readouterr()
    assert shown.out == f"{output}\n" and "6 pairs, 6 of them read; the cache holds 6 pairs" in shown.err
    relevance = [json.loads(line)["score"] for line in output.read_text().splitlines()]
    logits = CrossEncoder.load(str(tiny_teacher)).score(PAIRS)
    np.testing.assert_allclose(relevance, 1 / (1 + np.exp(-logits)), atol=1e-5)
    scores(ScoresOptions(action="compare", file=str(output), other=str(output)))
    assert "6, 0, 0" in capsys.readouterr().out


@pytest.mark.parametrize(("given", "flag"), [({"file": "x.csv"}, "--teacher_path"), ({"teacher_path": "x"}, "--file")])
def test_the_command_needs_pairs_and_a_teacher(given: dict[str, str], flag: str) -> None:
    with pytest.raises(OptionError, match=flag):
        scores(ScoresOptions(action="fill", **given))
