"""Queries without labels: the teacher is the judge, and its relevance the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bistill.app.commands.evaluate import evaluate
from bistill.app.config import EvaluationOptions
from bistill.errors import DataError, OptionError
from bistill.evaluation import judged, questions
from bistill.evaluation.models import companions
from bistill.evaluation.settings import Asking, Beside
from bistill.models.bi_encoder import BiEncoder
from bistill.models.cross_encoder import CrossEncoder
from bistill.models.settings import Inference
from tests.evaluation.conftest import TOPICS

QUERIES = [f"how to {first} and {second}" for first, second in zip(TOPICS[:8], TOPICS[8:16], strict=True)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BISTILL_CACHE", str(tmp_path / "cache"))


def version(folder: Path, documents: list[str]) -> Path:
    """The held-out queries of a data version without labels."""
    own = folder / "preprocessed" / "mine"
    own.mkdir(parents=True)
    (own / "corpus.csv").write_text("\n".join(["passage", *documents]) + "\n", encoding="utf-8")
    file = own / "valid_queries.csv"
    file.write_text("\n".join(["query,count,source", *(f"{query},1," for query in QUERIES)]) + "\n", encoding="utf-8")
    return file


def options(file: Path, student: Path, base: Path, teacher: Path | None, **changes: Any) -> EvaluationOptions:
    return EvaluationOptions(
        model_path=str(student),
        base_model=str(base),
        teacher_path=None if teacher is None else str(teacher),
        test_data=str(file),
        output_dir=str(file.parent / "results"),
        **changes,
    )


def test_ndcg_is_that_against_the_teachers_relevance(
    tmp_path: Path,
    tiny_encoder: Path,
    other_encoder: Path,
    tiny_teacher: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of ten documents every model finds all, so the teacher has read every pair; gains to the percent, and what is
    below a tenth is none."""
    corpus = [f"returns the {word}" for word in TOPICS[5:15]]
    result = evaluate(options(version(tmp_path, corpus), tiny_encoder, other_encoder, tiny_teacher))
    pairs = [(query, text) for query in QUERIES for text in corpus]
    logits = CrossEncoder.load(str(tiny_teacher)).score(pairs).reshape(len(QUERIES), -1)
    relevance = 1 / (1 + np.exp(-logits.astype(np.float64)))
    gain = np.where(relevance >= 0.1, np.round(100 * relevance), 0)
    ideal = -np.sort(-gain, axis=1) @ (1 / np.log2(np.arange(10) + 2))
    for role, model in (("student", tiny_encoder), ("base", other_encoder)):
        encoder = BiEncoder.load(str(model))
        cosines = encoder.encode_queries(QUERIES) @ encoder.encode_documents(corpus).T
        ranked = np.take_along_axis(gain, np.argsort(-cosines, axis=1, kind="stable"), axis=1)
        expected = float((ranked @ (1 / np.log2(np.arange(10) + 2)) / ideal).mean())
        assert result["ranking"][role]["ndcg_at_10"] == pytest.approx(expected, abs=1e-6)
    judge = result["data"]["judge"]
    assert (judge["path"], judge["queries"], judge["queries_left_out"]) == (str(tiny_teacher), 8, 0)
    assert (judge["models"], judge["depth"]) == (["bm25", "base", "student"], 10)
    assert result["ranking"]["teacher"] is None and "judge" in result["models"]["teacher"]["left_out"]
    assert result["counts"]["documents"] == 10 and result["data"]["corpus"]["which"] == "version"
    first = f"The teacher {tiny_teacher} is the judge, since no person has judged the 8 queries"
    assert " ".join(capsys.readouterr().out.split()).startswith(first)
    page = (tmp_path / "preprocessed" / "mine" / "results" / "bi_encoder_evaluation_report.html").read_text()
    assert page.index(first) < page.index("Ranked among 10 documents") and "8개라서 교사 모델" in page
    written = json.loads((tmp_path / "preprocessed/mine/results/bi_encoder_evaluation_results.json").read_text())
    assert written["data"]["judge"] == judge


def test_what_any_model_ranks_first_is_judged(
    tmp_path: Path, tiny_encoder: Path, other_encoder: Path, tiny_teacher: Path
) -> None:
    corpus = [f"{first} of the {second} {n}" for n, first in enumerate(TOPICS[:15]) for second in TOPICS[5:10]]
    beside = Beside(base=str(other_encoder), teacher=str(tiny_teacher), compared=str(tiny_encoder))
    named = companions(str(tiny_encoder), beside)
    file = version(tmp_path, corpus)
    how: dict[str, Any] = {"asking": Asking(5), "inference": Inference()}
    found = judged.build(file, None, named, str(tiny_encoder), **how)
    assert found.judge["models"] == ["bm25", "base", "student", "compared"] and len(found.records) == 5
    asked = questions.of_judged(file, found, asking=Asking(5))
    assert asked.ranked == 5 and len(asked.corpus) == 75
    for record in asked.records:
        read = {*record.positives, *record.negatives}
        assert 10 <= len(read) <= 31 and not {*record.positives} & {*record.negatives}
        assert min(record.positive_labels) >= 0.1 > max(record.negative_labels, default=0)
        for model in (tiny_encoder, other_encoder):
            encoder = BiEncoder.load(str(model))
            cosines = encoder.encode_queries([record.query]) @ encoder.encode_documents(list(asked.corpus)).T
            left_out = np.delete(cosines[0], sorted(read))
            # Another batch rounds differently: of two documents as near as that either one may be the tenth.
            assert left_out.max() <= np.sort(cosines[0])[-10] + 1e-5


def test_who_is_the_judge(tmp_path: Path, tiny_encoder: Path, other_encoder: Path, tiny_teacher: Path) -> None:
    file = version(tmp_path, ["red file", "blue list"])
    assert judged.is_meant(file, Asking()) and not judged.is_meant(file, Asking(judge="labels"))
    plain = tmp_path / "asked.csv"
    plain.write_text("query\n" + "\n".join(QUERIES) + "\n", encoding="utf-8")
    assert not judged.is_meant(plain, Asking()) and judged.is_meant(plain, Asking(judge="teacher"))
    with pytest.raises(DataError, match="and no documents to rank"):
        evaluate(options(plain, tiny_encoder, other_encoder, tiny_teacher, judge="teacher"))
    corpus = str(file.parent / "corpus.csv")
    result = evaluate(options(plain, tiny_encoder, other_encoder, tiny_teacher, judge="teacher", documents=corpus))
    assert result["data"]["judge"]["queries"] == 8 and result["counts"]["documents"] == 2
    with pytest.raises(OptionError, match="the teacher as judge, and there is none: neither the options nor"):
        evaluate(options(file, tiny_encoder, other_encoder, None))
    with pytest.raises(OptionError, match="the options leave it out"):
        evaluate(options(file, tiny_encoder, other_encoder, tiny_teacher, rerank_depth=0))
