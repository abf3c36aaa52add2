"""A student in a program: vectors, scores on three scales, search, and what is refused."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import bistill
from bistill.errors import DataError, ModelError, OptionError
from bistill.models.bi_encoder import BiEncoder
from bistill.models.calibration import Calibration
from bistill.models.files import calibration_file

QUERY, DOCUMENTS = "read a file", ["file of the list", "red tree", "서울 날씨"]
QUERIES = [QUERY, "서울"]


@pytest.fixture(scope="module")
def student(tiny_encoder: Path) -> bistill.Student:
    return bistill.load(str(tiny_encoder), precision="fp32", device="cpu")


@pytest.fixture(scope="module")
def vectors(tiny_encoder: Path) -> tuple[np.ndarray, np.ndarray]:
    encoder = BiEncoder.load(str(tiny_encoder), precision="fp32")
    return encoder.encode_queries(QUERIES), encoder.encode_documents(DOCUMENTS)


def test_scores_are_cosines_on_three_scales(tiny_encoder: Path, tmp_path: Path, vectors: tuple) -> None:
    folder = tmp_path / "student"
    shutil.copytree(tiny_encoder, folder)
    calibration_file.write(folder, Calibration(a=4.0, b=-1.5))
    student = bistill.Student(str(folder), precision="fp32")
    cosine = vectors[0] @ vectors[1].T
    for asked, expected in ((QUERY, cosine[0]), (QUERIES, cosine), (QUERIES[:1], cosine[:1])):
        found = student.score(asked, DOCUMENTS)
        assert found.cosine.shape == expected.shape
        np.testing.assert_allclose(found.cosine, expected, atol=1e-6)
        np.testing.assert_allclose(found.linear, (expected + 1) / 2, atol=1e-6)
        assert found.calibrated is not None
        np.testing.assert_allclose(found.calibrated, 1 / (1 + np.exp(-(4.0 * expected - 1.5))), atol=1e-6)
    hits = student.rank(QUERY, DOCUMENTS, top_k=2)
    order = np.argsort(-cosine[0])[:2]
    assert [(hit.document_id, hit.text) for hit in hits] == [(place, DOCUMENTS[place]) for place in order.tolist()]
    assert [hit.score for hit in hits] == pytest.approx(cosine[0][order].tolist(), abs=1e-6)
    assert hits[0].probability == pytest.approx(1 / (1 + np.exp(-(4.0 * hits[0].score - 1.5))), abs=1e-6)


def test_a_model_without_calibration_has_no_calibrated_score(student: bistill.Student) -> None:
    assert student.calibration is None and student.score(QUERY, DOCUMENTS).calibrated is None
    assert student.rank(QUERY, DOCUMENTS)[0].probability is None


def test_similarity_is_the_matrix_of_cosines(student: bistill.Student, vectors: tuple) -> None:
    found = student.similarity(student.encode_query(QUERIES), student.encode_document(DOCUMENTS))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, vectors[0] @ vectors[1].T, atol=1e-6)
    with pytest.raises(DataError, match=r"vectors of shape \(n, 32\)") as caught:
        student.similarity(student.encode_query(QUERIES), vectors[1][0])
    assert (caught.value.where, caught.value.found) == ("`documents`", (32,))


def test_texts_are_taken_in_their_order_from_columns_and_generators(student: bistill.Student, vectors: tuple) -> None:
    table = pd.DataFrame({"text": ["map", *DOCUMENTS]})
    filtered = table[table["text"] != "map"]["text"]
    assert filtered.index.tolist() == [1, 2, 3]
    for texts in (filtered, filtered.to_numpy(), (text for text in DOCUMENTS)):
        np.testing.assert_allclose(student.encode_document(texts), vectors[1], atol=1e-6)


@pytest.mark.parametrize(
    ("given", "todo"),
    [
        ("red tree", "give [text]"),
        ({"text": "red tree"}, "give its texts: list(texts.values())"),
        (pd.DataFrame({"text": ["red tree"]}), 'give one of its columns, such as table["text"]'),
        (["red", None], "give texts only; of a column those that are not missing"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(student: bistill.Student, given: object, todo: str) -> None:
    for call, name in (
        (student.encode_query, "texts"),
        (student.encode_document, "texts"),
        (lambda texts: student.score(QUERY, texts), "documents"),
        (lambda texts: student.rank(QUERY, texts), "documents"),
        (student.index, "documents"),
    ):
        with pytest.raises(OptionError) as caught:
            call(given)  # type: ignore[operator]
        assert (caught.value.where, caught.value.todo) == (f"`{name}`", todo)


def test_a_ranking_is_for_one_query(student: bistill.Student) -> None:
    with pytest.raises(OptionError) as caught:
        student.rank(QUERIES, DOCUMENTS)  # type: ignore[arg-type]
    assert caught.value.where == "`query`"


def test_former_names_say_the_new_ones(student: bistill.Student) -> None:
    with pytest.raises(AttributeError, match=r"encode_queries is called Student\.encode_query"):
        student.encode_queries(QUERIES)
    with pytest.raises(AttributeError, match=r"normalized is called Scores\.linear"):
        _ = student.score(QUERY, DOCUMENTS).normalized
    with pytest.raises(AttributeError, match="no attribute 'sore'"):
        student.sore  # noqa: B018


def test_vectors_that_are_no_numbers_are_an_error(tiny_encoder: Path) -> None:
    student = bistill.load(str(tiny_encoder), precision="fp32")
    token = student.encoder.tokenizer.convert_tokens_to_ids("tree")
    with torch.no_grad():
        student.encoder.model.get_input_embeddings().weight[token] = torch.nan
    assert np.isfinite(student.encode_document(["red"])).all()
    with pytest.raises(ModelError, match="NaN or infinite") as raised:
        student.encode_document(["red", "red tree", "map"])
    assert "1 of 3 texts" in str(raised.value)


def test_a_device_that_is_not_there_is_refused(tiny_encoder: Path) -> None:
    for device in ("cuda:99", "gpu"):
        with pytest.raises(OptionError, match="no such device") as caught:
            bistill.Student(str(tiny_encoder), device=device)
        assert (caught.value.where, caught.value.found) == ("`device`", device)


def test_an_index_finds_what_the_scores_rank_first(student: bistill.Student) -> None:
    found = student.index(DOCUMENTS).search(QUERIES, top_k=2)
    scores = student.score(QUERIES, DOCUMENTS).cosine
    assert [[hit.document_id for hit in hits] for hits in found] == np.argsort(-scores, axis=1)[:, :2].tolist()


def test_calls_work_where_an_event_loop_runs(student: bistill.Student) -> None:
    async def cell() -> np.ndarray:
        student.index(DOCUMENTS).search(QUERIES)
        return student.score(QUERIES, DOCUMENTS).cosine

    np.testing.assert_array_equal(asyncio.run(cell()), student.score(QUERIES, DOCUMENTS).cosine)


@pytest.mark.slow
def test_importing_the_package_loads_no_torch() -> None:
    code = (
        "import sys, bistill; print('torch' in sys.modules, 'Student' in dir(bistill));"
        "print(bistill.load is bistill.Student, bistill.load_teacher is bistill.Teacher)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "True", "True", "True"]


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sore'"):
        _ = bistill.sore
