"""From a source to a data version: what is resolved, split, kept and reported."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from bistill.data.settings import Columns, RowReading, Splitting
from bistill.data.store.opening import load_documents, load_split
from bistill.errors import DataError, OptionError, RowError
from tests.data.prepare.versions import Write, queries_by_split, rows_of, run, unsplit

LONG = "the harbour master writes down every ship that enters the old port before noon and reads the list aloud"


def test_triplets_become_long_rows(write: Write, tmp_path: Path) -> None:
    write("set/train.csv", 'query,positive,negative\na,"b, c",d\ne,f,b\na,g,d\n')
    write("set/valid.csv", "query,positive\nh,i\n")
    write("set/test.csv", "query,passage,label\nj,k,2\nj,l,1\nj,m,0\n")
    made = run(tmp_path / "set", tmp_path)
    assert made.queries == {"train": 2, "valid": 1, "test": 1}
    assert rows_of(made.folder / "train.csv") == [
        ("query", "passage", "label"),
        ("a", "b, c", "1"),
        ("a", "g", "1"),
        ("a", "d", "0"),
        ("e", "f", "1"),
        ("e", "b", "0"),
    ]
    assert rows_of(made.folder / "test.csv")[1:] == [("j", "k", "1"), ("j", "l", "0.5"), ("j", "m", "0")]
    assert sorted(path.name for path in made.folder.iterdir()) == ["prepare.json", "test.csv", "train.csv", "valid.csv"]


def test_what_is_found_is_resolved_and_reported(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        "set/train.csv",
        "query,positive,negative\n"
        f"first question,{LONG},{LONG.upper()}!\n"  # the negative equals the positive but for case
        f"First question?,something short,{LONG} x\n"  # the same query; its negative nearly equals a positive
        "shared question,p1,n1\n"
        "the very long question about all the ships of the harbour,p2,n2\n",
    )
    write("set/valid.csv", "query,positive\nShared Question,p3\n")
    write("set/test.csv", "query,positive\nthe very long question about all the ships of the harbours,p4\n")
    made = run(tmp_path / "set", tmp_path, splitting=Splitting(near_duplicates=0.8))
    assert made.report == {
        "documents: equal to an earlier one, merged": 1,
        "documents: nearly equal to an earlier one, merged": 1,
        "queries: equal in one split, merged": 1,
        "queries: equal in two splits, dropped from the later": 1,
        "queries: nearly equal in two splits, dropped from the later": 1,
        "negatives that are positives of their query, dropped": 1,
        "queries without a positive, kept": 0,
        "documents that no query judges, in corpus.csv": 4,
        "bad rows set aside, in rejected.csv": 0,
    }
    assert rows_of(made.folder / "train.csv")[1:] == [
        ("first question", LONG, "1"),
        ("first question", "something short", "1"),
    ]
    assert list(load_documents(made.folder / "corpus.csv")) == ["p1", "n1", "p2", "n2"]
    shown = capsys.readouterr().out
    assert "queries: equal in one split, merged" in shown and "positives" in shown


def test_no_query_is_in_two_splits_and_order_of_rows_does_not_matter(write: Write, tmp_path: Path) -> None:
    rows = unsplit()
    random.Random(1).shuffle(rows)
    splits = []
    for name, ordered in (("a", rows), ("b", sorted(rows))):
        file = write(f"{name}.csv", "query,positive,negative\n" + "".join(ordered))
        splits.append(queries_by_split(run(file, tmp_path, name=name).folder))
    assert splits[0] == splits[1]
    train, valid, test = (splits[0][name] for name in ("train", "valid", "test"))
    assert (len(train), len(valid), len(test)) == (32, 4, 4)
    assert not (train & valid or train & test or valid & test)
    other = run(tmp_path / "a.csv", tmp_path, name="c", splitting=Splitting(seed=7))
    assert queries_by_split(other.folder) != splits[0]


def test_near_equal_queries_stay_together(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    families = [
        "how does the harbour master count all the ships of the old port in summer",
        "which of the seven mountain passes stay open for lorries when the snow is deep",
        "why do bakers let the dough of rye bread rest for such a long time in the cellar",
    ]
    rows = [f"{text} {number},p{number} {text[:9]},n\n" for text in families for number in range(9)]
    made = run(
        write("rows.csv", "query,positive,negative\n" + "".join(rows)),
        tmp_path,
        splitting=Splitting(near_duplicates=0.8),
    )
    assert made.queries == {"train": 9, "valid": 9, "test": 9}
    for queries in queries_by_split(made.folder).values():
        assert len({query[:9] for query in queries}) == 1
    file = write("few.csv", "query,positive,negative\n" + "".join(rows[:9]))
    one = run(file, tmp_path, name="one", splitting=Splitting(near_duplicates=0.8))
    assert one.queries == {"train": 9}
    said = capsys.readouterr().err
    assert "no query for test" in said
    assert (
        "no query for valid: the source has too few queries that are not nearly equal, and training needs some" in said
    )


def test_missing_splits_are_taken_from_train(write: Write, tmp_path: Path) -> None:
    write("set/train.csv", "query,positive,negative\n" + "".join(unsplit(20)))
    write("set/test.csv", "query,positive\nother,p\n")
    made = run(tmp_path / "set", tmp_path, splitting=Splitting(valid=0.25))
    assert made.queries == {"train": 15, "valid": 5, "test": 1}


def test_labels_of_graded_splits_share_one_scale(write: Write, tmp_path: Path) -> None:
    write("set/train.csv", "query,passage,label\na,b,2\na,c,3\na,d,0\n")
    write("set/valid.csv", "query,passage,label\ne,f,2\ne,g,1\n")
    write("set/test.csv", "query,passage,label\nh,i,1\nh,j,3\n")
    made = run(tmp_path / "set", tmp_path)
    assert rows_of(made.folder / "valid.csv")[1:] == [
        ("e", "f", "0.66666666666666663"),
        ("e", "g", "0.33333333333333331"),
    ]
    assert load_split(made.folder / "valid.csv")[0].negative_labels == (1 / 3,)
    write("set/test.csv", "query,passage,label\nh,i,0.5\nh,j,1\n")
    with pytest.raises(DataError, match=r"mix fractions with labels above 1: 0.5 here, 2 in .*train.csv, row 2"):
        run(tmp_path / "set", tmp_path, overwrite=True)


def test_the_threshold_of_preparation_is_used_again(write: Write, tmp_path: Path) -> None:
    file = write("rows.csv", "query,passage,label\n" + "".join(f"q{number},d{number},0.4\n" for number in range(9)))
    made = run(file, tmp_path, reading=RowReading(positive_from=0.3))
    assert all(record.positive_labels == (0.4,) for record in load_split(made.folder / "train.csv"))


def test_bad_rows_stop_or_are_set_aside(write: Write, tmp_path: Path) -> None:
    file = write(
        "rows.csv",
        "query,passage,label\n" + "".join(f"q{number},d{number},1\n" for number in range(9)) + "x,,1\nn,d,0\n",
    )
    with pytest.raises(RowError, match=r"row 11, column 'passage'"):
        run(file, tmp_path)
    assert not (tmp_path / "out").exists()
    made = run(file, tmp_path, on_bad_rows="skip")
    assert made.report["queries without a positive, kept"] == 1
    assert made.report["bad rows set aside, in rejected.csv"] == 1
    assert [row[:4] for row in rows_of(made.folder / "rejected.csv")[1:]] == [
        (str(file), "11", "passage", "the cell is empty"),
    ]


def test_queries_with_labels_of_0_alone_are_kept_in_every_split(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    positive = [f"what is p{n} about,p{n} is this,1\nwhat is p{n} about,q{n} is not,0\n" for n in range(40)]
    alone = [f"where is z{n} kept,z{n} is not there,0\nwhere is z{n} kept,y{n} is neither,0\n" for n in range(30)]
    header = "query,passage,label\n"
    mixed = run(write("mixed.csv", header + "".join(positive + alone)), tmp_path, name="mixed")
    plain = run(write("plain.csv", header + "".join(positive)), tmp_path, name="plain")
    assert mixed.queries == {"train": 32 + 24, "valid": 4 + 3, "test": 4 + 3}
    assert mixed.report["queries without a positive, kept"] == 30
    written = {split: rows_of(mixed.folder / f"{split}.csv")[1:] for split in ("train", "valid", "test")}
    lines = {",".join(row) + "\n" for rows in written.values() for row in rows}
    assert lines == set("".join(positive + alone).splitlines(keepends=True))
    assert not (mixed.folder / "corpus.csv").exists()
    for split, rows in written.items():  # what they are beside changes nothing for the others
        answered = [row for row in rows if row[0].startswith("what")]
        assert answered == rows_of(plain.folder / f"{split}.csv")[1:]
    rows = [line.replace("│", " ").split() for line in capsys.readouterr().out.splitlines()]
    assert ["train", "56", "24", "32", "80"] in rows  # queries, without a positive, positives, negatives
    assert ["queries", "without", "a", "positive,", "kept", "30"] in rows


def test_a_source_of_labels_of_0_alone_is_refused(write: Write, tmp_path: Path) -> None:
    rows = "".join(f"q{n} word{n},d{n} text{n},0\n" for n in range(20))
    with pytest.raises(DataError, match="no query has a relevant document") as caught:
        run(write("rows.csv", "query,passage,label\n" + rows), tmp_path)
    assert "`positive_from`" in str(caught.value) and not (tmp_path / "out").exists()


def test_columns_and_labels_by_option(write: Write, tmp_path: Path) -> None:
    file = write("rows.csv", "frage,gut,schlecht\n" + "".join(f"q{number},p{number},n\n" for number in range(9)))
    with pytest.raises(DataError, match="missing columns"):
        run(file, tmp_path)
    made = run(file, tmp_path, reading=RowReading(Columns("frage", "gut", ("schlecht",))))
    assert sum(made.queries.values()) == 9


def test_texts_survive_being_written_and_read(write: Write, tmp_path: Path) -> None:
    texts = [
        "lone\rreturn",
        'quote " inside',
        "comma, line\nend",
        "  blanks around  ",
        "\u2028 separator",
        "줄\r\n바꿈",
    ]
    objects = [{"query": f"question {number}", "positive": text} for number, text in enumerate(texts)]
    write("set/train.jsonl", "".join(json.dumps(item) + "\n" for item in objects))
    write("set/valid.csv", "query,positive\nother,one\n")
    write("set/test.csv", "query,positive\nfurther,two\n")
    made = run(tmp_path / "set", tmp_path)
    assert list(load_split(made.folder / "train.csv").documents) == texts


def test_data_are_prepared_without_a_cache(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write("data.csv", "query,positive,negative\n" + "".join(unsplit()))
    counts = run(source, tmp_path).queries
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "file"))
    assert run(source, tmp_path, name="other").queries == counts
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["other", "v"]


@pytest.mark.parametrize(
    ("given", "todo"),
    [
        ({"on_bad_rows": "ignore"}, "give 'stop' or 'skip'"),
        ({"numbers_are_texts": "no"}, "give True or False"),
        ({"overwrite": 1}, "give True or False"),
        ({"max_pairs": "100"}, "give a whole number"),
        ({"max_pairs": 99}, "give at least 100"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name_before_anything_is_read(
    given: dict[str, Any], todo: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionError) as refused:
        run(tmp_path / "nowhere.csv", tmp_path, **given)
    assert (refused.value.where, refused.value.todo) == (f"`{next(iter(given))}`", todo)
