"""A Bi-Encoder as a teacher: its cosines as logits, known by its folder, encoded once, and what decides its scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import CrossEncoder, SentenceTransformer

from bistill.candidates.scores import embedding
from bistill.candidates.scores.embedding import EmbeddingTeacher, document_rows, logits_of, relevance_of
from bistill.candidates.scores.teachers import CachedTeacher, Teachers, relevance
from bistill.candidates.settings import TeacherReading
from bistill.data.store.corpus import Corpus
from bistill.errors import OptionError
from bistill.models.bi_encoder import BiEncoder

QUERIES = ["how to sort", "read a file", "서울 날씨"]
DOCUMENTS = ["sort list", "open file", "서울 날씨", "red blue", "tree graph"]
PAIRS = np.array([(0, 0), (2, 2), (1, 1), (0, 3), (1, 4), (0, 1)])
FP32 = TeacherReading(precision="fp32")


@pytest.fixture(scope="session")
def student_folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder with prompts."""
    folder = tmp_path_factory.mktemp("embedding-teacher")
    BiEncoder.load(str(tiny_encoder), max_len=24, query_prompt="how to ", document_prompt="the ").save(folder, None)
    return folder


def expected_cosines(folder: Path) -> np.ndarray:
    return all_cosines(folder)[PAIRS[:, 0], PAIRS[:, 1]]


def all_cosines(folder: Path) -> np.ndarray:
    model = SentenceTransformer(str(folder), device="cpu")
    queries = model.encode_query(QUERIES, normalize_embeddings=True)
    documents = model.encode_document(DOCUMENTS, normalize_embeddings=True)
    return np.asarray(queries @ documents.T)


def test_relevance_lies_between_chance_and_the_same_text_by_the_cosine_of_sentence_transformers(
    student_folder: Path,
) -> None:
    with Teachers.open([str(student_folder)], (), FP32) as teachers:
        found = teachers.logits(QUERIES, DOCUMENTS, PAIRS)
        again = teachers.logits(QUERIES, DOCUMENTS, PAIRS[::-1])
        assert teachers.all_encoders and teachers.encoders[0].name == str(student_folder)
    chance = all_cosines(student_folder).mean()  # of all pairs: there are fewer texts than the sample takes
    expected = (expected_cosines(student_folder) - chance) / (1 - chance)
    assert (expected > 0.02).any() and (expected < 0).any()
    above = expected > 0.02
    np.testing.assert_allclose(relevance(found.logits)[above], expected[above], atol=1e-4)
    assert (relevance(found.logits)[expected < 0] < 0.01).all()
    np.testing.assert_array_equal(np.argsort(found.logits), np.argsort(expected_cosines(student_folder)))
    np.testing.assert_array_equal(found.logits[::-1], again.logits)
    assert (found.requested, found.scored) == (6, 0)  # no pair is read


def test_texts_that_are_gone_do_not_decide_what_counts_as_chance_for_those_at_their_address(
    student_folder: Path,
) -> None:
    pair = np.array([(0, 0)])
    with Teachers.open([str(student_folder)], (), FP32) as teachers:
        queries, documents = [*QUERIES], [*DOCUMENTS]
        before = teachers.logits(queries, documents, pair).logits
        addresses = id(queries), id(documents)
        del queries, documents
        lists: dict[int, list[str]] = {id(new): new for new in [[] for _ in range(10_000)]}
        queries, documents = (lists.get(address, []) for address in addresses)  # free memory is given out again
        queries += [QUERIES[0]]
        documents += [DOCUMENTS[0], "red blue"]
        found = teachers.logits(queries, documents, pair).logits
    with Teachers.open([str(student_folder)], (), FP32) as fresh:
        np.testing.assert_array_equal(found, fresh.logits(queries, documents, pair).logits)
    assert found != before


def test_relevance_begins_where_texts_have_nothing_to_do_with_each_other() -> None:
    cosines = np.array([0.7, 0.85, 1.0, 0.6], dtype=np.float32)
    np.testing.assert_allclose(relevance_of(cosines, 0.7), [0, 0.5, 1, -1 / 3], atol=1e-6)
    np.testing.assert_array_equal(relevance_of(cosines, -0.2), cosines)
    assert np.isfinite(relevance_of(cosines, 1.0)).all()
    # A hard negative of 0.86 beside a positive of 0.9: above 95 % of it by the bare cosine, and yet to be kept.
    positive, hard = relevance_of(np.array([0.9, 0.86], dtype=np.float32), 0.7)
    assert 0.86 > 0.95 * 0.9 and hard < 0.95 * positive


def test_logits_keep_the_order_of_all_cosines() -> None:
    cosines = np.linspace(-1, 0.99999, 2001).astype(np.float32)
    logits = logits_of(cosines)
    assert logits.dtype == np.float32 and np.isfinite(logits).all() and (np.diff(logits) > 0).all()
    above = cosines > 0.011
    np.testing.assert_allclose(relevance(logits)[above], cosines[above], atol=1e-6)
    assert (relevance(logits)[~above] < 0.0111).all()
    # By hand: log(0.5 / 0.5), log(0.8 / 0.2); below 0.01 the tangent of slope 1 / (0.01 * 0.99).
    by_hand = [0.0, np.log(4), np.log(0.01 / 0.99) - 0.51 / 0.0099]
    np.testing.assert_allclose(logits_of(np.array([0.5, 0.8, -0.5], dtype=np.float32)), by_hand, rtol=1e-6)
    assert np.isfinite(logits_of(np.array([1.0, 1.0000001], dtype=np.float32))).all()


def test_a_folder_says_what_kind_of_teacher_it_is(
    tiny_encoder: Path, tiny_teacher: Path, tiny_causal_reranker: Path, student_folder: Path, tmp_path: Path
) -> None:
    # sentence-transformers writes modules.json beside a Cross-Encoder, too.
    CrossEncoder(str(tiny_teacher), device="cpu").save_pretrained(str(tmp_path / "newer"))
    assert (tmp_path / "newer" / "modules.json").is_file()
    found = {}
    for folder in (tiny_encoder, student_folder, tiny_teacher, tiny_causal_reranker, tmp_path / "newer"):
        with CachedTeacher.open(str(folder), FP32) as teacher:
            assert (teacher.encoder is None) is not isinstance(teacher, EmbeddingTeacher)
            found[folder] = teacher.identity["kind"]
    kinds = ["bi_encoder", "bi_encoder", "sequence_classification", "causal", "sequence_classification"]
    assert list(found.values()) == kinds


def test_texts_are_encoded_once_and_the_weights_loaded_only_when_asked(
    student_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CachedTeacher.open(str(student_folder), FP32) as teacher:
        first = teacher.logits(QUERIES, DOCUMENTS, PAIRS, "").logits
    loads: list[str] = []
    load = BiEncoder.load
    monkeypatch.setattr(BiEncoder, "load", lambda name, **how: loads.append(name) or load(name, **how))
    with CachedTeacher.open(str(student_folder), FP32) as teacher:
        np.testing.assert_array_equal(teacher.logits(QUERIES, DOCUMENTS, PAIRS, "").logits, first)
        assert len(teacher.logits(QUERIES, DOCUMENTS, PAIRS[:0], "").logits) == 0
        assert loads == []
        for _ in range(2):
            teacher.logits(["set", *QUERIES], DOCUMENTS, PAIRS, "")
        assert loads == [str(student_folder)]


def test_all_documents_are_encoded_where_half_are_asked_for_and_copies_once(
    student_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    made = embedding.cached_vectors
    monkeypatch.setattr(
        embedding,
        "cached_vectors",
        lambda encoder, texts, **how: asked.append(len(texts)) or made(encoder, texts, **how),
    )
    encoder = BiEncoder.load(str(student_folder), precision="fp32")
    corpus = Corpus([*DOCUMENTS, "Sort  LIST", "set map", "key value"])  # the sixth is the text of the first
    expected = encoder.encode_documents([corpus[row] for row in range(8)])
    for ids, encoded in (([5, 0, 0], 1), ([7, 1, 7], 2), ([7, 5, 6, 2], 7)):
        found = document_rows(encoder, corpus, np.array(ids), 4, "")
        assert asked[-1] == encoded
        rows = [0 if row == 5 else row for row in ids]
        np.testing.assert_allclose(found.vectors[found.rows], expected[rows], atol=1e-6)


def test_what_decides_cosines_decides_the_identity(student_folder: Path, tmp_path: Path) -> None:
    def known(folder: Path, **settings: object) -> str:
        with CachedTeacher.open(str(folder), TeacherReading(**{"precision": "fp32", **settings})) as teacher:  # type: ignore[arg-type]
            return json.dumps(teacher.identity, sort_keys=True)

    same, prompts = tmp_path / "same", tmp_path / "prompts"
    shutil.copytree(student_folder, same)
    BiEncoder.load(str(student_folder), query_prompt="", document_prompt="").save(prompts, None)
    base = known(student_folder)
    assert json.loads(base)["max_len"] == 24 and json.loads(base)["query_prompt"] == "how to "
    assert known(same) == known(student_folder, batch_size=3) == base
    assert len({base, known(student_folder, max_len=16), known(prompts), known(student_folder, precision="bf16")}) == 4


def test_an_instruction_is_refused(student_folder: Path) -> None:
    with pytest.raises(OptionError, match=r"(?s)`TeacherReading\.instruction`: .* is a Bi-Encoder"):
        CachedTeacher.open(str(student_folder), TeacherReading(instruction="Find code"))


def test_it_may_be_one_of_several(student_folder: Path, tiny_teacher: Path) -> None:
    with Teachers.open([str(tiny_teacher), str(student_folder)], (), FP32) as teachers:
        assert [model.name for model in teachers.encoders] == [str(student_folder)] and not teachers.all_encoders
