"""Cosines of an embedding teacher for whole batches, against sentence-transformers and a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from bistill.candidates.lists import CandidateList
from bistill.candidates.pools import Counts, ScoredPools
from bistill.candidates.scores.embedding import logits_of, relevance_of
from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import TeacherReading
from bistill.candidates.teacher_vectors import TeacherVectors
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
from bistill.data.store.version import Version
from bistill.models.bi_encoder import BiEncoder
from bistill.models.settings import EncoderStart
from tests.assembled import built
from tests.candidates.conftest import Small

ROWS = np.array([3, 0, 8])


def vectors_of(small: Small, model: Path, collection: Collection | None = None) -> tuple[TeacherVectors, np.ndarray]:
    """The vectors of a run over ten queries, and the documents that its lists may hold."""
    collection = collection or small.collection
    made = small.options(model, model, miners=("labelled", "random:20"))
    with Teachers.open([str(model)], (), TeacherReading(precision="fp32")) as teachers:
        pools = built(made, collection.dataset, collection.corpus, np.arange(10), teachers)
    return TeacherVectors(EncoderStart(str(model), precision="fp32"), collection, pools), pools.document_ids()


def test_cosines_of_a_batch_are_those_of_sentence_transformers(small: Small, tiny_encoder: Path) -> None:
    found, documents = vectors_of(small, tiny_encoder)
    chosen = documents[[5, 1, 9, 2]]
    model = SentenceTransformer(str(tiny_encoder), device="cpu")
    queries = model.encode([small.dataset.queries[row] for row in ROWS], normalize_embeddings=True)
    texts = model.encode([small.corpus[int(document)] for document in chosen], normalize_embeddings=True)
    np.testing.assert_allclose(found.cosines(ROWS, chosen), queries @ texts.T, atol=1e-5)


def test_the_querys_own_text_does_not_count(small: Small, tiny_encoder: Path) -> None:
    corpus = Corpus(small.dataset.documents, ["How to  SORT", "slow tree", "how to sort"])
    found, documents = vectors_of(small, tiny_encoder, Collection(small.dataset, corpus))
    own = list(corpus).index("How to  SORT")
    assert own in documents  # of the two spellings, the first stands for the text
    batch = np.array([own - 1, own])
    query = list(small.dataset.queries).index("how to sort")
    cosines = found.cosines(np.array([query, (query + 1) % 10]), batch)
    assert np.isnan(cosines).tolist() == [[False, True], [False, False]]


def test_of_the_forms_of_its_document_a_query_sees_its_own_alone(
    small: Small, tiny_encoder: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    """Two queries that were taken out of one document, each of which would find the other's by its words."""
    text = "the slow tree returns the list"
    rows = [
        ["query", "source", "taken_out"],
        ["slow tree", text, "4-13"],
        ["the list", text, "22-30"],
        ["json", "", ""],
    ]
    write_csv(small.root / "small" / "queries.csv", rows)
    version = Version(small.root, "small")
    collection = version.collection(version.unlabelled(small.dataset, rejected_to=small.root))
    texts, whole = collection.documents, list(collection.corpus).index(text)
    lists = [
        CandidateList.unscored(10, (len(collection.corpus),), {0: 4}),
        CandidateList.unscored(11, (len(collection.corpus) + 1,), {1: 4}),
        CandidateList.unscored(12, (2,), {whole: 4}),
    ]
    found = TeacherVectors(EncoderStart(str(tiny_encoder), precision="fp32"), collection, ScoredPools(lists, Counts()))
    batch = np.array([0, whole, len(collection.corpus), len(collection.corpus) + 1])
    cosines = found.cosines(np.arange(3), batch)
    missing = [[False, True, False, True], [False, True, True, False], [False] * 4]
    assert np.isnan(cosines).tolist() == missing
    model = SentenceTransformer(str(tiny_encoder), device="cpu")
    documents = model.encode([texts[int(one)] for one in batch], normalize_embeddings=True)
    expected = model.encode(["slow tree", "the list", "json"], normalize_embeddings=True) @ documents.T
    np.testing.assert_allclose(cosines, np.where(missing, np.nan, expected), atol=1e-5)
    with Teachers.open([str(tiny_encoder)], (), TeacherReading(precision="fp32")) as teachers:  # pair by pair, too
        pairs = np.array([[10, whole], [10, len(collection.corpus)], [11, 0], [11, len(collection.corpus) + 1]])
        logits = teachers.logits(collection.dataset.queries, texts, pairs).logits
    sides = (list(collection.dataset.queries), list(collection.corpus))  # none of them a changed document
    means = [model.encode(side, normalize_embeddings=True).mean(axis=0) for side in sides]
    chance = float(means[0] @ means[1])
    np.testing.assert_allclose(
        logits, logits_of(relevance_of(expected[[0, 0, 1, 1], [1, 2, 0, 3]], chance)), rtol=1e-3, atol=1e-3
    )


def test_the_fingerprint_is_that_of_the_vectors(
    small: Small, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = vectors_of(small, tiny_encoder)
    monkeypatch.setattr(BiEncoder, "load", None)  # what the cache has needs no weights
    again, _ = vectors_of(small, tiny_encoder)
    assert again.fingerprint() == first.fingerprint()
    monkeypatch.undo()
    other = tmp_path / "other"
    BiEncoder.load(str(tiny_encoder), query_prompt="the ").save(other, None)
    assert vectors_of(small, other)[0].fingerprint() != first.fingerprint()
