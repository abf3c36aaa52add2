"""The file of made queries: its rows, that it is whole or not there, and that it is never that of other inputs."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bistill.data.made.making import Made
from bistill.data.made.writing import MadeQueries, make
from bistill.data.queries import taken_out
from bistill.data.queries.same_text import same_text
from bistill.data.queries.taken_out import fits
from bistill.data.settings import Making
from bistill.errors import DataError, OptionError, RowError

Write = Callable[[str, str | bytes], Path]
PLACES = ["Seoul", "Busan", "Daegu", "Gwangju", "Daejeon", "Ulsan", "Suwon", "Jeonju", "Mokpo", "Gangneung", "Andong"]


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def documents(folder: Path, name: str, places: list[str]) -> Path:
    rows = [
        {
            "_id": place,
            "title": f"{place} city",
            "text": f"The harbour of {place} lies in the east of the country. Old ships bring green tea from {place} "
            f"every winter. Where do the people of {place} eat fresh fish?",
        }
        for place in places
    ]
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def rows(made: MadeQueries) -> list[Made]:
    with made.path.open(encoding="utf-8", newline="") as text:
        header, *found = csv.reader(text)
    assert tuple(header) == Made._fields == ("query", "source", "kind", "typed", "taken_out")
    return [Made(*row) for row in found]


def test_a_file_of_queries_with_their_documents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make(documents(tmp_path, "corpus.jsonl", PLACES), tmp_path / "out" / "made.csv", Making(each=3))
    found = rows(made)
    assert len(found) == 33 and not made.reused
    for row in found:
        assert row.source.startswith(tuple(PLACES)) and " city The harbour of " in row.source
        spans = taken_out.read(row.taken_out)
        assert spans is not None and fits(row.source, spans)
    kinds = [row.kind for row in found]
    assert {kind: made.report[kind] for kind in {*kinds}} == {kind: kinds.count(kind) for kind in {*kinds}}
    assert made.report["typed as people type"] == sum(bool(row.typed) for row in found)
    assert made.report["taken out of their document"] == sum(bool(row.taken_out) for row in found)
    assert "made queries" in capsys.readouterr().out


def test_a_query_is_the_same_whatever_other_documents_there_are(tmp_path: Path) -> None:
    making = Making(each=2)
    all_of_them = rows(make(documents(tmp_path, "a.jsonl", PLACES), "a.csv", making))
    some = rows(make(documents(tmp_path, "b.jsonl", PLACES[7:2:-2]), "b.csv", making))
    assert {*some} == {row for row in all_of_them if row.source.startswith(tuple(PLACES[7:2:-2]))}


def test_so_many_as_are_asked_for_the_first_of_every_document_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = documents(tmp_path, "corpus.jsonl", PLACES)
    everything, first = (rows(make(corpus, f"{each}.csv", Making(each=each))) for each in (3, 1))
    few = rows(make(corpus, "few.csv", Making(each=3, number=4)))
    assert len(few) == 4 and {*few} < {*first} < {*everything} and few == [row for row in first if row in few]
    fourteen = rows(make(corpus, "fourteen.csv", Making(each=3, number=14)))
    assert {*first} < {*fourteen} and len(fourteen) == 14
    capsys.readouterr()
    assert len(rows(make(corpus, "many.csv", Making(number=50)))) == 11
    assert "11 queries, where `Making.number` is 50" in capsys.readouterr().err


def test_a_document_that_stands_in_the_file_again_gives_no_second_query(write: Write) -> None:
    text = "Sweet potatoes taste good with brown sugar and with butter in the long nights of winter here"
    file = write("corpus.csv", f"passage\n{text}\n{text.upper()}\n{text}\n")
    found = rows(make(file, "made.csv", Making(each=1)))
    assert [row.source for row in found] == [text]


def test_two_corpora_one_after_the_other_share_nothing(tmp_path: Path) -> None:
    """Another generator loaded the training file as its validation file and appended (llama_index 16479)."""
    first = make(documents(tmp_path, "train.jsonl", PLACES[:6]))
    second = make(documents(tmp_path, "valid.jsonl", PLACES[6:]))
    assert first.path != second.path and first.path.parent == second.path.parent == Path("made_queries")
    train, valid = rows(first), rows(second)
    assert {row.source for row in train} | {row.source for row in valid} == {
        row.source for row in rows(make(documents(tmp_path, "all.jsonl", PLACES)))
    }
    for part in ("query", "source"):
        assert not {same_text(getattr(row, part)) for row in train} & {same_text(getattr(row, part)) for row in valid}


def test_corpora_that_overlap_share_nothing_where_it_is_asked_for(tmp_path: Path) -> None:
    making = Making(each=4)
    first = make(documents(tmp_path, "train.jsonl", PLACES[:7]), making=making)
    overlapping = documents(tmp_path, "valid.jsonl", PLACES[4:])
    train = rows(first)
    careless, careful = (
        rows(make(overlapping, making=making)),
        rows(make(overlapping, making=making, apart_from=[first.path])),
    )
    assert {row.source for row in train} & {row.source for row in careless}
    assert careful and {row.source.split()[0] for row in careful} == {*PLACES[7:]}
    assert not {same_text(row.query) for row in train} & {same_text(row.query) for row in careful}


KILLED = """
import os, signal, sys
from bistill.data.made import writing
from bistill.data.settings import Making

def killed(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(writing, sys.argv[3], killed)
writing.make(sys.argv[1], sys.argv[2], Making(each=2))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no such signal")
@pytest.mark.slow
@pytest.mark.parametrize("at", ["write_csv", "_show", "order_of"])
def test_a_killed_process_leaves_a_whole_file_or_none_and_the_same_command_makes_it(tmp_path: Path, at: str) -> None:
    corpus, other = documents(tmp_path, "train.jsonl", PLACES[:6]), documents(tmp_path, "valid.jsonl", PLACES[6:])
    output = tmp_path / "made.csv"
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(corpus), str(output), at], env={**os.environ}, check=False
    )
    assert process.returncode == -signal.SIGKILL
    assert output.exists() == (at == "_show")
    expected = rows(make(corpus, "expected.csv", Making(each=2)))
    if output.exists():
        with pytest.raises(OptionError, match="made of other inputs"):
            make(other, output, Making(each=2))
    assert rows(make(corpus, output, Making(each=2))) == expected
    valid = rows(make(other, tmp_path / "valid.csv", Making(each=2)))
    assert not {same_text(row.query) for row in expected} & {same_text(row.query) for row in valid}


def test_the_same_inputs_are_made_once_and_others_are_refused(tmp_path: Path) -> None:
    corpus = documents(tmp_path, "corpus.jsonl", PLACES)
    made = make(corpus, "made.csv")
    before = made.path.read_bytes()
    (tmp_path / "moved").mkdir()
    moved = corpus.rename(tmp_path / "moved" / "renamed.jsonl")
    again = make(moved, "made.csv")
    assert again.reused and again.report == made.report and made.path.read_bytes() == before
    with pytest.raises(OptionError, match="other inputs: seed was 42, is 43") as caught:
        make(moved, "made.csv", Making(seed=43))
    assert "give `overwrite`" in str(caught.value)
    assert made.path.read_bytes() == before
    assert not make(moved, "made.csv", Making(seed=43), overwrite=True).reused
    assert made.path.read_bytes() != before


def test_a_changed_file_and_one_of_somebody_else_are_not_replaced(tmp_path: Path) -> None:
    corpus = documents(tmp_path, "corpus.jsonl", PLACES)
    mine = tmp_path / "mine.csv"
    mine.write_text("query\nmine\n", encoding="utf-8")
    with pytest.raises(OptionError, match="not written by `bistill queries`"):
        make(corpus, mine)
    made = make(corpus, "made.csv")
    made.path.write_text(made.path.read_text(encoding="utf-8") + "x,y,z,,\n", encoding="utf-8")
    with pytest.raises(OptionError, match="changed since it was made"):
        make(corpus, "made.csv")
    assert mine.read_text(encoding="utf-8") == "query\nmine\n"


def test_files_that_cannot_be_used(tmp_path: Path, write: Write) -> None:
    with pytest.raises(DataError, match="no document gives a query"):
        make(write("short.csv", "passage\nhi\nyes\n"), "made.csv")
    with pytest.raises(RowError, match="row 2, column 'passage': the cell is empty"):
        make(write("bad.csv", "id,passage\n1, \n"), "made.csv")
    corpus = documents(tmp_path, "corpus.jsonl", PLACES)
    with pytest.raises(DataError, match="missing column 'source'"):
        make(corpus, "made.csv", apart_from=[write("log.csv", "query\na\n")])
    assert not Path("made.csv").exists()
