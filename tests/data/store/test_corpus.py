"""Two files' documents as one sequence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bistill.data.store.corpus import Corpus
from bistill.data.store.texts import TEXT_SCHEMA, ArrowWriter, Texts


def texts(file: Path, items: Sequence[str]) -> Texts:
    with ArrowWriter(file, TEXT_SCHEMA) as writer:
        for item in items:
            writer.append(item)
    return Texts(file)


def test_ids_are_kept_and_new_texts_added_once() -> None:
    corpus = Corpus(["a", "b"], ["b", "c", "a", "d"])
    assert list(corpus) == ["a", "b", "c", "d"]
    assert (len(corpus), corpus[2], corpus[-1], corpus[1:3]) == (4, "c", "d", ["b", "c"])
    assert corpus.fingerprint() == Corpus(["a", "b", "c", "d"]).fingerprint()
    assert corpus.fingerprint() != Corpus(["a", "b", "d", "c"]).fingerprint()


def test_memory_mapped_texts_read_alike(tmp_path: Path) -> None:
    corpus = Corpus(texts(tmp_path / "own.arrow", "ab"), texts(tmp_path / "further.arrow", "bcad"))
    assert list(corpus) == ["a", "b", "c", "d"]
    assert corpus.take(np.array([3, 0, -2, 3])) == ["d", "a", "c", "d"]
    assert list(corpus.batches(3)) == [["a", "b", "c"], ["d"]]


def test_without_a_second_file() -> None:
    corpus = Corpus(["a", "b"])
    assert (list(corpus), corpus.take([]), list(corpus.batches(5))) == (["a", "b"], [], [["a", "b"]])
    assert (list(Corpus([])), list(Corpus([]).batches(2)), list(Corpus([], ["x"]))) == ([], [], ["x"])


@pytest.mark.parametrize("wrong", [3, -4])
def test_an_id_outside_is_refused(wrong: int) -> None:
    corpus = Corpus(["a", "b"], ["c"])
    with pytest.raises(IndexError):
        corpus.take([wrong])
    with pytest.raises(IndexError):
        corpus[wrong]
