"""Which documents are the same text, and what becomes of judgements of such documents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bistill import artifacts
from bistill.data.queries.copies import Copies, Selection
from bistill.data.queries.same_text import text_key
from bistill.data.store.corpus import Corpus
from bistill.data.store.opening import left_out, load_documents, load_split
from bistill.data.store.texts import keys_of

Write = Callable[[str, str | bytes], Path]
TEXTS = ["Paris", "Seoul", " paris ", "PARIS", "seoul\u200b", "Rome"]


def test_the_first_of_the_same_text_stands_for_all() -> None:
    copies = Copies(TEXTS)
    assert copies.first.tolist() == [0, 1, 0, 0, 1, 5]
    assert copies.different.tolist() == [0, 1, 5]
    assert copies.count == 3
    assert copies.find(["ＰＡＲＩＳ", "rome", "Oslo", ""]).tolist() == [0, 5, -1, -1]


def test_copies_are_those_that_comparing_all_pairs_finds() -> None:
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("aAbB é"), size=3)) for _ in range(300)]
    keys = [text_key(text) for text in texts]
    assert Copies(texts).first.tolist() == [keys.index(key) for key in keys]
    assert Copies([]).first.tolist() == Copies([]).find(["x"])[:0].tolist() == []
    assert Copies([]).find(["x"]).tolist() == [-1]


def test_a_selection_reads_like_the_list_of_its_texts() -> None:
    selection = Selection(TEXTS, np.array([5, 0, 1]))
    wanted = ["Rome", "Paris", "Seoul"]
    assert list(selection) == selection[:] == selection.take([0, 1, 2]) == wanted
    assert (selection[-1], selection[1:2], list(selection.batches(2))) == ("Seoul", ["Paris"], [wanted[:2], wanted[2:]])
    assert keys_of(selection).tolist() == keys_of(wanted).tolist()
    assert selection.fingerprint() == Corpus(wanted).fingerprint()


def test_a_corpus_knows_its_copies_in_both_files() -> None:
    corpus = Corpus(["Paris", "PARIS"], ["paris", "Rome", "PARIS", "rome ", "Oslo"])
    assert list(corpus) == ["Paris", "PARIS", "paris", "Rome", "rome ", "Oslo"]
    assert corpus.keys.tolist() == keys_of(list(corpus)).tolist()
    assert corpus.copies.first.tolist() == [0, 0, 0, 3, 3, 5]
    assert list(corpus.different()) == ["Paris", "Rome", "Oslo"]
    without = Corpus(["a"], ["b"])
    assert without.different() is without


def test_keys_lie_beside_the_texts_and_are_those_of_the_texts(write: Write) -> None:
    dataset = load_split(write("rows.csv", "query,positive,negative\nQ one,A  b,c\nq two,a b,Ｃ\n"))
    documents = load_documents(write("corpus.csv", "passage\nX\nx y\n"))
    for texts in (dataset.queries, dataset.documents, documents):
        assert texts.file.with_name(texts.file.name + artifacts.KEYS_SUFFIX).exists()
        assert texts.keys.tolist() == np.frombuffer(b"".join(map(text_key, texts)), dtype=np.uint64).tolist()


@pytest.mark.parametrize(
    ("rows", "positives", "negatives", "counted"),
    [
        ("q,a,1\nq, A ,1\nq,b,0\n", {"a": 1.0}, {"b": 0.0}, (1, 0, 0)),
        ("q,a,1\nq,A,2\nq,b,0\n", {"a": 1.0}, {"b": 0.0}, (1, 0, 0)),  # 2 of 2 is the better label
        ("q,a,1\nq,A,0\nq,b,0\nq,B,0\n", {"a": 1.0}, {"b": 0.0}, (1, 1, 0)),
        ("q,a,1\nq,Q,0\nq,b,0\n", {"a": 1.0}, {"b": 0.0}, (0, 0, 1)),
        ("q,Q,1\nq,ｑ,0\nq,b,0\n", {"Q": 1.0}, {"b": 0.0}, (0, 1, 0)),  # labelled positive: the query's text stays
    ],
)
def test_a_text_is_judged_once_for_a_query(
    rows: str,
    positives: dict[str, float],
    negatives: dict[str, float],
    counted: tuple[int, int, int],
    write: Write,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dataset = load_split(write("rows.csv", "query,document,label\n" + rows))
    record = dataset[0]
    texts = dataset.documents
    assert dict(zip(texts.take(record.positives), record.positive_labels, strict=True)) == positives
    assert dict(zip(texts.take(record.negatives), record.negative_labels, strict=True)) == negatives
    assert tuple(left_out(dataset).values()) == counted
    said = capsys.readouterr().err
    assert said.count("1 judged document is") == (counted[0] > 0)
    assert said.count("the same text as a positive of their query") == (counted[1] > 0)
    assert said.count("the text of their own query") == (counted[2] > 0)


def test_documents_that_differ_between_queries_stay_as_they_are(write: Write) -> None:
    dataset = load_split(write("rows.csv", "query,positive,negative\nq,Paris,Rome\nr,PARIS,rome\n"))
    assert list(dataset.documents) == ["Paris", "Rome", "PARIS", "rome"]
    assert (dataset[0].positives, dataset[1].positives, dataset[1].negatives) == ((0,), (2,), (3,))
    assert dataset.notes == ()
