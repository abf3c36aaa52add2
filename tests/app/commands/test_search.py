"""The command ``search`` and the closing searches of the pipeline."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bistill.app.commands.search import answer, search, shortened
from bistill.app.config import SearchOptions
from bistill.errors import OptionError
from bistill.models.calibration import Calibration
from bistill.models.files import calibration_file

WORDS = "file list set map tree 서울 부산 날씨 red"
DOCUMENTS = [f"{word} of the {number}" for number, word in enumerate(WORDS.split())]
QUERIES = ["read a file", "서울 날씨"]


def test_search_prints_both_models(
    tmp_path: Path,
    tiny_encoder: Path,
    write_csv: Callable[[Path, list[list[str]]], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write_csv(tmp_path / "documents.csv", [["document"], *([text] for text in DOCUMENTS)])
    options = SearchOptions(
        model_path=str(tiny_encoder), documents=str(path), query=tuple(QUERIES), top_k=2, compare_with=str(tiny_encoder)
    )
    answers = search(options)
    assert [item.query for item in answers] == QUERIES
    assert all(len(item.hits) == 2 and item.hits == item.compared for item in answers)
    printed = capsys.readouterr().out
    for item in answers:
        assert item.query in printed
        assert printed.count(f"{item.hits[0].score:.3f}") >= 2


def test_answer_without_comparison(tiny_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = answer(["red"], str(tiny_encoder), DOCUMENTS, top_k=100)
    assert found.compared is None
    heading = next(line for line in capsys.readouterr().out.splitlines() if "rank" in line)
    assert "document" in heading and tiny_encoder.name not in heading
    assert len(found.hits) == len(DOCUMENTS)


@pytest.mark.parametrize("queries", [(), ("read", " "), ("\u200b",)])
def test_an_empty_query_is_refused(tiny_encoder: Path, queries: tuple[str, ...]) -> None:
    with pytest.raises(OptionError, match="at least one query"):
        answer(queries, str(tiny_encoder), DOCUMENTS)


def test_documents_that_are_one_text_are_one_hit_with_their_number(
    tmp_path: Path,
    tiny_encoder: Path,
    write_csv: Callable[[Path, list[list[str]]], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = ["read a file", "red tree", "Read  a FILE", "read a file", "map", "red tree"]
    path = write_csv(tmp_path / "documents.csv", [["document"], *([text] for text in texts)])
    options = SearchOptions(model_path=str(tiny_encoder), documents=str(path), query=("READ a file",), top_k=5)
    (found,) = search(options)
    # The query itself is found first, nothing is left out, and every text is there once.
    assert (found.hits[0].text, found.hits[0].copies) == ("read a file", 3)
    assert {(hit.text, hit.copies) for hit in found.hits} == {("read a file", 3), ("red tree", 2), ("map", 1)}
    shown = capsys.readouterr().out
    assert "read a file (3 copies)" in shown and "red tree (2 copies)" in shown and "map (" not in shown


def test_a_passage_that_several_queries_have_is_no_copy(
    tmp_path: Path, tiny_encoder: Path, write_csv: Callable[[Path, list[list[str]]], Path]
) -> None:
    rows = [["query", "positive"], ["how to read", "read a file"], ["which file", "read a file"], ["x", "READ a file"]]
    options = SearchOptions(
        model_path=str(tiny_encoder), documents=str(write_csv(tmp_path / "rows.csv", rows)), query=("read",), top_k=5
    )
    assert [(hit.text, hit.copies) for hit in search(options)[0].hits] == [("read a file", 2)]  # two spellings


def test_shortened_by_hand() -> None:
    assert shortened("a\n b   c", 9) == "a b c"
    assert shortened("abc def ghi", 5) == "abc…"


def test_a_calibrated_model_gives_the_probability_beside_the_cosine(
    tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "student"
    shutil.copytree(tiny_encoder, folder)
    calibration_file.write(folder, Calibration(a=6.0, b=-5.0))
    hits = answer(QUERIES[:1], str(folder), DOCUMENTS, top_k=2)[0].hits
    for hit in hits:
        assert hit.probability == pytest.approx(1 / (1 + np.exp(-(6.0 * hit.score - 5.0))))
    shown = capsys.readouterr().out
    assert "relevance" in shown and f"{hits[0].probability:.2f}" in shown
