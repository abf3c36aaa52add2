"""Exact search against brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bistill.errors import OptionError
from bistill.models.bi_encoder import BiEncoder
from bistill.serving import index

WORDS = "file list set map tree 서울 부산 날씨 red"
DOCUMENTS = [f"{word} of the {number}" for number, word in enumerate(WORDS.split())]
QUERIES = ["read a file", "서울 날씨"]


@pytest.fixture
def encoder(tiny_encoder: Path) -> BiEncoder:
    return BiEncoder.load(str(tiny_encoder))


def test_search_equals_brute_force(encoder: BiEncoder) -> None:
    found = index.open_index(encoder, DOCUMENTS).search(QUERIES, 4)
    cosines = encoder.encode_queries(QUERIES) @ encoder.encode_documents(DOCUMENTS).T
    for row, hits in enumerate(found):
        order = np.argsort(-cosines[row])[:4]
        assert [hit.document_id for hit in hits] == order.tolist()
        assert [hit.score for hit in hits] == pytest.approx(cosines[row][order].tolist(), abs=1e-6)
        assert [hit.text for hit in hits] == [DOCUMENTS[place] for place in order]


def test_the_vectors_come_from_the_cache(encoder: BiEncoder) -> None:
    first = index.open_index(encoder, DOCUMENTS)
    assert isinstance(first.vectors, np.memmap)
    encoder.document_windows = None  # type: ignore[assignment,method-assign]
    assert np.array_equal(index.open_index(encoder, DOCUMENTS).vectors, first.vectors)


def test_no_documents(encoder: BiEncoder) -> None:
    assert index.open_index(encoder, []).search(QUERIES, 3) == [[], []]


def test_copies_are_found_by_id_of_the_first(encoder: BiEncoder) -> None:
    texts = [DOCUMENTS[0].upper(), *DOCUMENTS, *DOCUMENTS]
    found = index.open_index(encoder, texts).search(QUERIES, 99)
    for hits in found:
        assert sorted((hit.document_id, hit.copies) for hit in hits) == [(0, 3), *((n, 2) for n in range(2, 10))]
        assert all(hit.text == texts[hit.document_id] for hit in hits)


def test_one_query_by_itself_is_refused(encoder: BiEncoder) -> None:
    with pytest.raises(OptionError, match="a list of texts is expected") as caught:
        index.open_index(encoder, DOCUMENTS).search("read a file")
    assert (caught.value.where, caught.value.todo) == ("`queries`", "give [text]")
