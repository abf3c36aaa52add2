"""Several data sets read as one: ids, labels and rows against what a plain dictionary gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bistill.data.store.dataset import Dataset
from bistill.data.store.joining import join
from bistill.data.store.opening import left_out, load_split

Write = Callable[[Path, list[list[str]]], Path]
HEADER = ["query", "passage", "label"]


def parts(write: Write, folder: Path, *files: list[list[str]]) -> list[Dataset]:
    return [load_split(write(folder / f"part{n}" / "t.csv", [HEADER, *rows])) for n, rows in enumerate(files)]


def whole(given: list[Dataset]) -> Dataset:
    return join(given, [np.arange(len(part)) for part in given])


def labels(dataset: Dataset, query: int) -> dict[str, float]:
    """Label of each document of a query, those of negatives below zero."""
    record = dataset[query]
    found = dict(zip(record.positives, record.positive_labels, strict=True))
    found |= {one: -1 - label for one, label in zip(record.negatives, record.negative_labels, strict=True)}
    return {dataset.documents[document]: label for document, label in found.items()}


def test_queries_and_documents_of_one_text_are_one(tmp_path: Path, write_csv: Write) -> None:
    given = parts(
        write_csv,
        tmp_path,
        [["red", "red doc", "1"], ["red", "blue doc", "0"], ["blue", "blue doc", "0.75"]],
        [["key", "key doc", "1"], ["blue", "blue doc", "0.5"], ["blue", "red doc", "0.25"], ["blue", "new", "1"]],
    )
    found = whole(given)
    assert list(found.queries) == ["red", "blue", "key"]
    assert list(found.documents) == ["red doc", "blue doc", "key doc", "new"]
    assert found.ends.tolist() == [2, 3]  # blue belongs to the first
    assert labels(found, 0) == {"red doc": 1.0, "blue doc": -1.0}
    assert labels(found, 1) == {"blue doc": 0.75, "new": 1.0, "red doc": -1.25}
    assert labels(found, 2) == {"key doc": 1.0}
    assert found.rows().tolist() == [2, 1 + 3, 1]
    assert [part.ends.tolist() for part in given] == [[2], [2]]
    assert found[0] == given[0][0]


def test_a_positive_of_one_file_is_no_negative_of_another(
    tmp_path: Path, write_csv: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    given = parts(
        write_csv,
        tmp_path,
        [["red", "a", "0"], ["red", "b", "1"], ["own", "x", "1"]],
        [["red", "a", "1"], ["red", "B", "0"], ["own", "OWN", "0"], ["alone", "Alone", "0"]],
    )
    capsys.readouterr()
    found = whole(given)
    assert [labels(found, query) for query in range(4 - 1)] == [{"b": 1.0, "a": 1.0}, {"x": 1.0}, {}]
    assert (found.with_positive.tolist(), found.without_positive.tolist()) == ([0, 1], [2])
    said = capsys.readouterr().err
    assert "1 negative left out: positives of the same query in another of the files" in said
    assert left_out(found)["negatives_like_a_positive"] == 1  # B is b


def test_what_is_not_taken_leaves_its_documents(tmp_path: Path, write_csv: Write) -> None:
    given = parts(write_csv, tmp_path, [["red", "a", "1"], ["blue", "b", "1"]], [["key", "c", "1"], ["tree", "d", "1"]])
    found = join(given, [np.array([1]), np.array([], dtype=np.int64)])
    assert list(found.queries) == ["blue"] and list(found.documents) == ["a", "b", "c", "d"]
    assert labels(found, 0) == {"b": 1.0}
    assert found.ends.tolist() == [1, 1]
    other = join(given, [np.array([0]), np.array([], dtype=np.int64)])
    assert len({found.fingerprint, other.fingerprint, whole(given).fingerprint, given[0].fingerprint}) == 4


def test_joining_twice_reads_the_cache_and_the_order_of_files_is_part_of_it(
    tmp_path: Path, write_csv: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = parts(write_csv, tmp_path, [["red", "a", "1"]], [["key", "c", "1"]])
    found, turned = whole(given), whole(given[::-1])
    assert list(turned.queries) == ["key", "red"] and turned.fingerprint != found.fingerprint
    monkeypatch.setattr("bistill.data.store.joining.scratch", lambda *_: pytest.fail("joined again"))
    again = whole(given)
    assert (list(again), again.fingerprint, again.folder) == (list(found), found.fingerprint, found.folder)


def test_many_records_against_a_plain_dictionary(tmp_path: Path, write_csv: Write) -> None:
    rng = np.random.default_rng(7)
    files = [
        [[f"q{rng.integers(60)}", f"d{rng.integers(300)}", str(rng.integers(0, 5) / 4)] for _ in range(400)]
        for _ in range(3)
    ]
    # What contradicts itself within a file is refused there.
    files = [list({(query, document): [query, document, label] for query, document, label in own}.values())
             for own in files]  # fmt: skip
    expected: dict[str, dict[str, float]] = {}
    for own in files:
        for query, document, label in own:
            known = expected.setdefault(query, {})
            known[document] = max(known.get(document, 0.0), float(label))
    found = whole(parts(write_csv, tmp_path, *files))
    assert list(found.queries) == list(expected)
    for number, query in enumerate(found.queries):
        own = labels(found, number)
        assert own == {name: value if value >= 0.5 else -1 - value for name, value in expected[query].items()}
    assert found.rows().sum() == sum(map(len, files))
