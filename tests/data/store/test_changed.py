"""Documents without the queries that were made from them, behind those of the corpus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bistill.data.store.collection import Collection
from bistill.data.store.version import Version

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def collection(write: Write, tmp_path: Path) -> Collection:
    """Two labelled queries, then four without labels, of which the second and the last are taken out of the same."""
    write("v/train.csv", "query,passage,label\nred,r,1\nblue,b,1\n")
    write("v/valid.csv", "query,passage,label\ngreen,g,1\n")
    write("v/corpus.csv", "document\nA LONG document of ships\nother\n")
    text = "a long document of ships"
    write(
        "v/queries.csv", f"query,source,taken_out\nplain,other,\nships,{text},16-24\nalone,,\nlong,{text},2-6 16-18\n"
    )
    version = Version(tmp_path, "v")
    train, _ = version.training(rejected_to=tmp_path)
    return version.collection(version.unlabelled(train, rejected_to=tmp_path))


def test_a_changed_document_has_an_id_of_its_own_and_counts_as_the_whole_one(collection: Collection) -> None:
    texts, corpus = collection.documents, collection.corpus
    assert list(corpus) == ["r", "b", "other", "a long document of ships", "A LONG document of ships"]
    assert list(texts)[:5] == list(corpus) and len(texts) == 7
    assert texts[5:] == ["a long document", "a document ships"] == [texts[-2], texts[6]]
    assert texts.changed(np.arange(6)).tolist() == [-1, -1, -1, 5, -1, 6]
    assert texts.whole(np.array([6, 0, 5, 4])).tolist() == [3, 0, 3, 4]
    assert texts.first.tolist() == [0, 1, 2, 3, 3, 3, 3]
    with pytest.raises(IndexError):
        texts[7]
    assert texts.take([6, 2]) == ["a document ships", "other"]


def test_without_changed_documents_there_is_the_corpus_alone(collection: Collection, tmp_path: Path) -> None:
    version = Version(tmp_path, "v")
    plain = version.collection(version.training(rejected_to=tmp_path)[0])
    texts = plain.documents
    assert texts.first is plain.corpus.copies.first and list(texts) == list(plain.corpus)
    assert texts.changed(np.arange(2)).tolist() == [-1, -1]
