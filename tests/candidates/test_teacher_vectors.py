"""Cosines of an embedding teacher for whole batches, against sentence-transformers and a plain loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from bistill.candidates.scores.teachers import Teachers
from bistill.candidates.settings import TeacherReading
from bistill.candidates.teacher_vectors import TeacherVectors
from bistill.data.store.collection import Collection
from bistill.data.store.corpus import Corpus
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


def test_the_fingerprint_is_that_of_the_vectors(
    small: Small, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = vectors_of(small, tiny_encoder)
    monkeypatch.setattr(BiEncoder, "document_windows", None)
    monkeypatch.setattr(BiEncoder, "query_windows", None)
    again, _ = vectors_of(small, tiny_encoder)
    assert again.fingerprint() == first.fingerprint()
    monkeypatch.undo()
    other = tmp_path / "other"
    BiEncoder.load(str(tiny_encoder), query_prompt="the ").save(other, None)
    assert vectors_of(small, other)[0].fingerprint() != first.fingerprint()
