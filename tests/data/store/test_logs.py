"""Queries without labels: read, and behind the labelled ones of a data set."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bistill.data.queries import choice
from bistill.data.queries.turns import turns_of
from bistill.data.store.dataset import Dataset
from bistill.data.store.logs import Log
from bistill.data.store.opening import load_documents, load_log, load_queries
from bistill.data.store.version import Version
from bistill.errors import DataError, RowError

Write = Callable[[str, str | bytes], Path]


def read(log: Log) -> list[tuple[str, int, str]]:
    sources = [log.sources[int(place)] if place >= 0 else "" for place in log.source]
    return list(zip(log.queries, log.counts.tolist(), sources, strict=True))


def test_every_form_of_file_is_the_same_log(write: Write, tmp_path: Path) -> None:
    rows = [("red", 3, "a document"), ("blue, or not", 1, ""), ("red", 2, "another"), ("질문", 1, "7")]
    expected = [("red", 5, "a document"), ("blue, or not", 1, ""), ("질문", 1, "7")]
    frame = pd.DataFrame(rows, columns=["query", "count", "source"])
    frame.to_csv(tmp_path / "log.csv", index=False)
    frame.to_csv(tmp_path / "log.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "log.parquet")
    lines = [json.dumps({"text": text, "횟수": count, "출처": source, "x": 1}) + "\n" for text, count, source in rows]
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode()))
    for name in ("log.csv", "log.tsv", "log.parquet", "log.jsonl.gz"):
        assert read(load_log(tmp_path / name)) == expected, name
    plain = write("log.txt", "red\r\n  blue, or not\nred\n질문\n\n")
    assert read(load_log(plain)) == [("red", 2, ""), ("blue, or not", 1, ""), ("질문", 1, "")]
    assert read(load_log(write("q.csv", 'question,title\nred,x\n"",y\n'))) == [("red", 1, "")]  # a blank one is none
    assert list(load_documents(plain)) == list(load_queries(plain)) == ["red", "blue, or not", "질문"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query,count\nred,0\n", "row 2, column 'count': the count is no whole number above 0"),
        ("query,count\nred,2.5\n", "row 2, column 'count': the count is no whole number above 0"),
        ("query,count\nred,often\n", "row 2, column 'count': the count is no whole number above 0"),
        (
            "query,taken_out\nred,5-3\n",
            "row 2, column 'taken_out': no places of characters, which are written as 12-45",
        ),
        ("query,source\nred,a\nblue\n", "row 3, column 'source': a short row"),
        ("frage\nred\n", "missing column: query"),
        ("query,question\na,b\n", "more than one column can be the query"),
    ],
)
def test_what_is_wrong_with_a_log_is_said(text: str, message: str, write: Write) -> None:
    with pytest.raises(DataError, match=message):
        load_log(write("log.csv", text))


def test_bad_rows_are_set_aside_as_everywhere(write: Write, tmp_path: Path) -> None:
    path = write("log.txt", b"red\n\nbl\xffue\nkey\n")
    with pytest.raises(RowError, match="row 3, column 'line': bytes that are not UTF-8"):
        load_log(path)
    with pytest.raises(RowError, match="row 2: the row is empty"):  # of documents it is one, of queries none
        load_documents(path)
    log = load_log(path, on_bad_rows="skip", rejected_to=tmp_path / "rejected.csv")
    assert list(log.queries) == ["red", "key"]
    assert len((tmp_path / "rejected.csv").read_text().splitlines()) == 1 + 1
    with pytest.raises(DataError, match="an empty file"):
        load_log(write("empty.txt", "\n\n"))


@pytest.fixture
def version(write: Write, tmp_path: Path) -> Version:
    header = "query,passage,label\n"
    write("v/train.csv", f"{header}red,r,1\nblue,b,1\nblue,r,0\nno,b,0\n")
    write("v/valid.csv", f"{header}green,g,1\n")
    write("v/test.csv", f"{header}tree,t,1\n")
    write("v/corpus.csv", "document\nc\nmade\n")
    write("v/queries.csv", "query,count,source\nblue,9,\nnew,2,made\nother,1,b\nTREE,1,\nheld,1,\nnew,1,c\n")
    write("v/valid_queries.csv", "query,count,source\nheld,4,z\nred,1,\ngreen,1,\n")
    return Version(tmp_path, "v")


def test_queries_without_labels_stand_behind_the_labelled_ones(
    version: Version, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, _ = version.training(rejected_to=tmp_path)
    found = version.unlabelled(train, rejected_to=tmp_path)
    assert list(found.queries) == ["red", "blue", "no", "new", "other"]
    assert found[:3] == train[:3]  # the same ids and labels
    assert list(found.documents) == ["r", "b", "made"]
    assert (found.labelled, found.unlabelled.tolist(), found.ends.tolist()) == (3, [3, 4], [3])
    assert (found.counts.tolist(), found.sources.tolist()) == ([3, 1], [2, 1])
    assert [(record.positives, record.negatives) for record in found[3:]] == [((), ()), ((), ())]
    assert (found.with_positive.tolist(), found.without_positive.tolist()) == ([0, 1], [2])
    assert list(version.corpus(found)) == ["r", "b", "made", "c"]
    assert "queries.csv: 2 queries without labels; 2 left out: the same as, or nearly" in capsys.readouterr().err
    assert found.fingerprint != train.fingerprint
    # Whoever asks for queries to learn labels from is given the labelled ones, and the same as before.
    for count in (None, 2):
        assert choice.queries(found, 42, "train", count).tolist() == choice.queries(train, 42, "train", count).tolist()
    assert choice.chosen(found, choice.queries(found, 42, "train", None)) == "3 of 3 queries, 4 of 4 rows"


def test_held_out_queries_are_those_of_their_own_file(version: Version, tmp_path: Path) -> None:
    _, valid = version.training(rejected_to=tmp_path)
    found = version.unlabelled(valid, "valid", rejected_to=tmp_path)
    assert list(found.queries) == ["green", "held"]  # red is trained on, green has labels
    assert (found.counts.tolist(), [found.documents[int(one)] for one in found.sources]) == ([4], ["z"])


def test_what_was_taken_out_goes_with_the_source_that_counts(version: Version, write: Write, tmp_path: Path) -> None:
    log = (
        "query,source,taken_out\nnew,a document,0-1 2-5\nnew,another,0-3\nplain,c,\nlast,,\nblue,b,0-1\nlast,b 2,0-2\n"
    )
    path = write("v/queries.csv", log)
    read_log = load_log(path)
    assert [read_log.spans(place) for place in range(5)] == [((0, 1), (2, 5)), (), ((0, 2),), ((0, 1),), ()]
    assert read_log.taken_out.tolist() == [[0, 0, 2, 3], [0, 2, 0, 0], [1, 5, 2, 1]]
    train, _ = version.training(rejected_to=tmp_path)
    assert train.taken_out.shape == (3, 0)
    found = version.unlabelled(train, rejected_to=tmp_path)  # blue has labels
    assert list(found.queries)[3:] == ["new", "plain", "last"]
    assert found.taken_out.tolist() == [[0, 0, 2], [0, 2, 0], [1, 5, 2]]
    assert [found.documents[int(one)] for one in found.sources] == ["a document", "c", "b 2"]


def test_the_content_of_a_version_with_a_log_is_that_of_its_test_too(version: Version, write: Write) -> None:
    before, labelled = version.content(unlabelled=True), version.content()
    write("v/test.csv", "query,passage,label\nother,t,1\n")  # it decides which queries of the log are left out
    assert version.content(unlabelled=True) != before and version.content() == labelled
    for name in ("queries.csv", "valid_queries.csv"):
        (version.folder / name).unlink()
    assert version.content(unlabelled=True) == labelled  # no other training than before there were logs


def test_a_version_without_labels_and_one_without_a_log(version: Version, write: Write, tmp_path: Path) -> None:
    for name in ("train", "valid", "test"):
        (version.folder / f"{name}.csv").unlink()
    found = version.unlabelled(rejected_to=tmp_path)
    assert (found.labelled, list(found.queries)) == (0, ["blue", "new", "other", "TREE"])
    assert (list(found.documents), found.ends.tolist()) == (["made", "b"], [])
    assert list(version.corpus(found)) == ["made", "b", "c"]
    write("w/train.csv", "query,positive\na,b\n")
    write("w/valid.csv", "query,positive\nc,d\n")
    labelled, _ = Version(tmp_path, "w").training(rejected_to=tmp_path)
    assert Version(tmp_path, "w").unlabelled(labelled, rejected_to=tmp_path) is labelled
    assert (labelled.labelled, labelled.unlabelled.tolist(), labelled.counts.tolist()) == (1, [], [])
    with pytest.raises(
        DataError, match="data version v has queries without labels alone, and this command learns from"
    ):
        version.training(rejected_to=tmp_path)
    with pytest.raises(DataError, match="the data version nowhere has no queries"):
        Version(tmp_path, "nowhere").unlabelled(rejected_to=tmp_path)


def test_the_logs_of_several_versions_are_joined(version: Version, write: Write, tmp_path: Path) -> None:
    write("w/train.csv", "query,passage,label\nkey,k,1\nred,k,1\n")
    write("w/valid.csv", "query,passage,label\nother,o,1\n")
    write("w/queries.csv", "query\nnew\nlast\nkey\n")
    both = Version(tmp_path, "v", ("w",))
    train, _ = both.training(rejected_to=tmp_path)
    found: Dataset = both.unlabelled(train, rejected_to=tmp_path)
    assert list(found.queries) == ["red", "blue", "no", "key", "new", "last"]  # other is held out by the second
    assert found.ends.tolist() == train.ends.tolist() == [3, 4]
    assert (found.unlabelled.tolist(), found.counts.tolist()) == ([4, 5], [4, 1])


def test_balanced_all_queries_without_labels_count_as_one_version_more(
    version: Version, write: Write, tmp_path: Path
) -> None:
    write("w/train.csv", "query,passage,label\nkey,k,1\n")
    write("w/valid.csv", "query,passage,label\nkept,o,1\n")
    write("w/queries.csv", "query\nlast\nkey\n")
    for versions, groups in (((), 2), (("w",), 3)):
        both = Version(tmp_path, "v", versions)
        found = both.unlabelled(both.training(rejected_to=tmp_path)[0], rejected_to=tmp_path)
        turns = turns_of(found, np.arange(len(found)), np.ones(len(found), dtype=np.int64), "versions")
        assert (turns.groups, turns.largest, turns.samples) == (groups, 3, 3 * groups)
        drawn = turns.of(turns.order(42, 0), 0)[0]
        assert (drawn >= found.labelled).sum() == 3  # as many as the three of the first version
