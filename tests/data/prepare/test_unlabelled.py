"""Documents and queries without labels become a data version."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.data.prepare import writing as prepare_writing
from bistill.data.prepare.duplicates import jaccard, normalised_text, shingles
from bistill.data.prepare.loading import FurtherFiles
from bistill.data.prepare.preparing import PreparedData, prepare
from bistill.data.prepare.unlabelled import LONGEST_QUERY, no_query
from bistill.data.queries.same_text import same_text
from bistill.data.settings import Splitting
from bistill.data.store.opening import load_documents, load_log, load_split
from bistill.data.store.version import Version
from bistill.errors import DataError, OptionError

Write = Callable[[str, str | bytes], Path]
LONG = "the harbour master writes down every ship that enters the old port before noon and reads the list aloud"
KEPT = "unlabelled: to learn from, in queries.csv"
HELD = "unlabelled: held out for validation, in valid_queries.csv"


def run(source: Path | None, folder: Path, *, name: str = "v", **settings: Any) -> PreparedData:
    files = {kind: settings.pop(kind) for kind in ("documents", "queries") if kind in settings}
    return prepare(source, Version(folder / "out", name), further=FurtherFiles(**files), **settings)


def rows_of(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.reader(text))


def asked(made: PreparedData) -> list[list[str]]:
    """Rows of both files of queries without labels."""
    files = [made.folder / name for name in ("queries.csv", "valid_queries.csv")]
    return [row for file in files if file.exists() for row in rows_of(file)[1:]]


def test_documents_and_a_log_alone(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = [
        {"_id": 7, "title": "Ports", "text": "Ships enter."},
        {"_id": "x8", "title": "", "text": "Snow falls."},
        {"_id": "y9", "title": "ports", "text": "ships enter"},
    ]
    documents = write("corpus.jsonl", "".join(json.dumps(item) + "\n" for item in corpus))
    log = "query,count,source\n" + "".join(f"question {n} about {n * n},{n + 1},\n" for n in range(18))
    queries = write("log.csv", f"{log}ships,2,y9\nSHIPS,3,\nsnow,1,Snow falls.\nlost,1,z1\n")
    made = run(None, tmp_path, documents=documents, queries=queries)
    assert rows_of(made.folder / "corpus.csv") == [["passage"], ["Ports Ships enter."], ["Snow falls."]]
    found = {query: (int(count), source) for query, count, source in asked(made)}
    assert len(found) == 21 and found["question 3 about 9"] == (4, "")
    assert found["ships"] == (5, "Ports Ships enter.")  # the document that y9 was merged into
    assert (found["snow"], found["lost"]) == ((1, "Snow falls."), (1, ""))
    assert rows_of(made.folder / "queries.csv")[0] == ["query", "count", "source"]
    assert (made.queries, made.report[KEPT], made.report[HELD]) == ({}, 19, 2)
    assert made.report["unlabelled: equal to an earlier one, merged"] == 1
    assert made.report["unlabelled: made from a document that is not there"] == 1
    assert "unlabelled: to learn from, in queries.csv" in capsys.readouterr().out
    assert run(None, tmp_path, documents=documents, queries=queries).reused
    # As training will see it.
    version = Version(tmp_path / "out", "v")
    train = version.unlabelled(rejected_to=tmp_path)
    assert len(train.unlabelled) == 19 and len(version.corpus(train)) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" \u200b", "empty"),
        ("12.5 %", "only digits"),
        ("???", "only digits"),
        ("٣٤", "only digits"),
        ("👍", "only digits"),
        ("https://example.org/a b", ""),
        ("https://example.org/a?q=b", "a URL"),
        ("HTTP://X.KR", "a URL"),
        ("www.example.org", "a URL"),
        (" example.co.kr/shop/7 ", "a URL"),
        ("node.js", ""),
        ("e.g. this and/or that", ""),
        ("a" * LONGEST_QUERY, ""),
        ("a" * (LONGEST_QUERY + 1), "longer than 512 characters"),
        ("날씨", ""),
        ("C", ""),
        ("3M", ""),
    ],
)
def test_texts_that_are_no_queries(text: str, why: str) -> None:
    found = no_query(text)
    assert bool(found) == bool(why) and why in found


def test_each_text_that_is_dropped_is_counted(write: Write, tmp_path: Path) -> None:
    queries = write("log.txt", "\n".join(["first", "", "12", "---", "http://a.b", "x" * 600, "second", "  "]))
    made = run(None, tmp_path, queries=queries, splitting=Splitting(valid=0))
    assert [row[0] for row in asked(made)] == ["first", "second"]
    counted = {name: count for name, count in made.report.items() if name.startswith("unlabelled") and count}
    assert counted == {
        "unlabelled: empty, dropped": 1,  # a blank line at the end is no row
        "unlabelled: only digits and punctuation, dropped": 2,
        "unlabelled: a URL, dropped": 1,
        "unlabelled: longer than 512 characters, dropped": 1,
        KEPT: 2,
    }
    record = json.loads((made.folder / "prepare.json").read_text())
    assert record["report"] == made.report and record["files"].keys() == {"queries.csv"}
    assert record["options"]["queries"] == str(queries) and record["options"]["source"] is None
    with pytest.raises(DataError, match="no query is left"):
        run(None, tmp_path, name="w", queries=write("numbers.txt", "1\n2\n"))


def test_what_comes_again_in_labelled_splits_is_not_trained_on(write: Write, tmp_path: Path) -> None:
    write("set/train.csv", "query,positive\nlearned,p1\n")
    write("set/valid.csv", f"query,positive\n{LONG},p2\n")
    write("set/test.csv", "query,positive\nTested query,p3\n")
    near = f"{LONG}!s"
    assert 0.9 <= jaccard(shingles(normalised_text(LONG)), shingles(normalised_text(near))) < 1
    texts = ["fresh", near, "tested  QUERY", "Learned", "further", LONG.upper()]
    made = run(tmp_path / "set", tmp_path, queries=write("log.txt", "\n".join(texts)))
    assert sorted(row[0] for row in asked(made)) == ["fresh", "further"]
    report = made.report
    assert report["unlabelled: equal or nearly equal to a validation or test query, dropped"] == 3
    assert report["unlabelled: labelled in train, dropped"] == 1
    assert made.queries == {"train": 1, "valid": 1, "test": 1}
    plain = run(tmp_path / "set", tmp_path, name="plain")
    for name in ("train.csv", "valid.csv", "test.csv"):
        assert (plain.folder / name).read_bytes() == (made.folder / name).read_bytes()
    assert not any(name.startswith("unlabelled") for name in plain.report)


def test_what_was_taken_out_is_carried_where_its_source_is_that_document(write: Write, tmp_path: Path) -> None:
    documents = write(
        "corpus.jsonl",
        "".join(
            json.dumps(one) + "\n"
            for one in [
                {"_id": 1, "title": "Ports", "text": "Ships enter the old harbour."},
                {"_id": 2, "text": LONG},
                {"_id": 3, "text": f"{LONG}!s"},
            ]
        ),
    )
    whole = "Ports Ships enter the old harbour."
    rows = [
        ["query", "source", "taken_out"],
        ["ships", whole, "6-11"],
        ["harbour", "1", "22-33"],
        ["by name", whole.upper(), "6-11"],  # the same text, but not to the letter
        ["list", "3", "0-3"],  # another document stands for it
        ["beyond", whole, "6-99"],
        ["lost", "gone", "0-2"],
        ["plain", whole, ""],
    ]
    queries = tmp_path / "made.csv"
    with queries.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(rows)
    made = run(None, tmp_path, documents=documents, queries=queries, splitting=Splitting(valid=0))
    assert rows_of(made.folder / "queries.csv")[0] == ["query", "count", "source", "taken_out"]
    assert {query: (source, spans) for query, _, source, spans in asked(made)} == {
        "ships": (whole, "6-11"),
        "harbour": (whole, "22-33"),
        "by name": (whole, ""),
        "list": (LONG, ""),
        "beyond": (whole, ""),
        "lost": ("", ""),
        "plain": (whole, ""),
    }
    assert made.report["unlabelled: made from a document that another stands for, kept whole"] == 3
    version = Version(tmp_path / "out", "v")
    train = version.unlabelled(rejected_to=tmp_path)
    texts = version.collection(train).documents
    ids = texts.changed(train.unlabelled)
    found = {train.queries[query]: texts[int(one)] for query, one in enumerate(ids) if one >= 0}
    assert found == {"ships": "Ports enter the old harbour.", "harbour": "Ports Ships enter the ."}


def words(number: int) -> str:
    """A long query that is near to no other number's."""
    drawn = np.random.default_rng(number).integers(97, 123, (6, 6))
    return " ".join("".join(map(chr, letters)) for letters in drawn)


def disjoint(made: PreparedData) -> None:
    """No query and no source is in two of all splits, equal or nearly equal."""
    folder = made.folder
    texts = {name: list(load_split(folder / f"{name}.csv").queries) for name in ("train", "valid", "test")}
    logs = {name: load_log(folder / f"{name}.csv") for name in ("queries", "valid_queries")}
    held = [("queries", "valid"), ("queries", "test"), ("queries", "valid_queries"), ("valid_queries", "train")]
    held += [("valid_queries", "test"), ("valid_queries", "valid")]
    texts |= {name: list(log.queries) for name, log in logs.items()}
    assert all(texts.values())
    for here, there in held:
        assert not {*map(same_text, texts[here])} & {*map(same_text, texts[there])}, (here, there)
        near = max(
            jaccard(shingles(normalised_text(one)), shingles(normalised_text(other)))
            for one in texts[here]
            for other in texts[there]
        )
        assert near < 0.9, (here, there)
    assert logs["queries"].sources and not {*logs["queries"].sources} & {*logs["valid_queries"].sources}


def test_training_queries_do_not_come_back_as_validation_queries(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two corpora one after the other, the second once broken off: run-llama/llama_index#16479."""
    source = write("rows.csv", "query,positive\n" + "".join(f"{words(n)},answer {n}\n" for n in range(30)))

    def files(name: str) -> dict[str, Path]:
        corpus = write(
            f"{name}.csv", "id,text\n" + "".join(f"{n},{name} document {words(n + 500)}\n" for n in range(40))
        )
        rows = [f"{words(n + 100 * len(name))},{n % 40}\n" for n in range(80)]  # two of each document
        rows += [f"{words(n + 100 * len(name)).upper()}s,{n % 40}\n" for n in range(20)]  # and again, nearly equal
        rows += [f"{words(n)} again,\n" for n in range(30)]  # and labelled ones
        return {"documents": corpus, "queries": write(f"{name}-log.csv", "query,source\n" + "".join(rows))}

    first = run(source, tmp_path, name="a", **files("one"))
    disjoint(first)
    before = {file.name: file.read_bytes() for file in first.folder.iterdir()}

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(prepare_writing, "write_csv", killed)
        with pytest.raises(KeyboardInterrupt):
            run(source, tmp_path, name="a", overwrite=True, **files("three"))
    assert {file.name: file.read_bytes() for file in first.folder.iterdir()} == before
    with pytest.raises(OptionError, match="made otherwise") as refused:  # a file of other inputs is not added to
        run(source, tmp_path, name="a", **files("three"))
    assert "three-log.csv" in refused.value.what
    second = run(source, tmp_path, name="a", overwrite=True, **files("three"))
    disjoint(second)
    assert {row[0] for row in asked(second)} & {row[0] for row in asked_of(before)} <= {
        f"{words(n)} again" for n in range(30)
    }


def asked_of(files: dict[str, bytes]) -> list[list[str]]:
    """Rows of both files of queries without labels, as they were."""
    names = ("queries.csv", "valid_queries.csv")
    return [row for name in names for row in list(csv.reader(files[name].decode().splitlines()))[1:]]


def test_the_share_held_out_follows_the_texts_and_the_seed(write: Write, tmp_path: Path) -> None:
    texts = [words(number) for number in range(60)]
    one = run(None, tmp_path, name="a", queries=write("a.txt", "\n".join(texts)))
    turned = run(None, tmp_path, name="b", queries=write("b.txt", "\n".join(reversed(texts))))
    held = [{row[0] for row in rows_of(made.folder / "valid_queries.csv")[1:]} for made in (one, turned)]
    assert held[0] == held[1] and len(held[0]) == 6
    other = run(None, tmp_path, name="c", queries=tmp_path / "a.txt", splitting=Splitting(seed=7))
    assert {row[0] for row in rows_of(other.folder / "valid_queries.csv")[1:]} != held[0]
    none = run(None, tmp_path, name="d", queries=tmp_path / "a.txt", splitting=Splitting(valid=0))
    assert not (none.folder / "valid_queries.csv").exists() and none.report[KEPT] == 60


def test_a_source_and_further_documents(write: Write, tmp_path: Path) -> None:
    source = write("rows.csv", "query,positive\n" + "".join(f"{words(n)},answer {n}\n" for n in range(12)))
    documents = write("more.txt", "answer 3\nfurther text\n")
    made = run(source, tmp_path, documents=documents)
    assert list(load_documents(made.folder / "corpus.csv")) == ["further text"]
    assert not (made.folder / "queries.csv").exists()
    assert not any(name.startswith("unlabelled") for name in made.report)
    alone = run(None, tmp_path, name="w", documents=documents)
    assert list(load_documents(alone.folder / "corpus.csv")) == ["answer 3", "further text"]


def test_what_queries_were_made_from_are_documents_where_no_others_are_named(write: Write, tmp_path: Path) -> None:
    queries = write("log.csv", "query,source\nred,A red document\nblue,\nkey,a  RED document.\n")
    made = run(None, tmp_path, queries=queries, splitting=Splitting(valid=0))
    assert list(load_documents(made.folder / "corpus.csv")) == ["A red document"]
    assert [row[2] for row in asked(made)] == ["A red document", "", "A red document"]


def test_nothing_to_prepare_and_a_missing_file_are_errors(write: Write, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="nothing to prepare is given"):
        run(None, tmp_path)
    with pytest.raises(DataError, match="the file does not exist"):
        run(None, tmp_path, queries=tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="missing column: passage"):
        run(None, tmp_path, documents=write("a.csv", "query\nred\n"))
