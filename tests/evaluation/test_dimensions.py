"""Ranking by the first numbers of each vector, against plain numpy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bistill.app.commands.evaluate import evaluate
from bistill.app.config import EvaluationOptions
from bistill.data.store.opening import load_split
from bistill.evaluation import models
from bistill.models.bi_encoder import BiEncoder
from tests.evaluation.test_evaluate import ranking


def options(student: Path, base: Path, test_file: Path) -> EvaluationOptions:
    return EvaluationOptions(
        model_path=str(student),
        base_model=str(base),
        test_data=str(test_file),
        output_dir=str(test_file.parent / "results"),
        rerank_depth=0,
    )


@pytest.mark.slow
def test_recorded_sizes_are_measured_for_student_and_base(
    tmp_path: Path, tiny_encoder: Path, other_encoder: Path, test_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = tmp_path / "student"
    shutil.copytree(tiny_encoder, student)
    (student / "bistill.json").write_text(json.dumps({"stage": "student", "matryoshka": [16, 8]}))
    result = evaluate(options(student, other_encoder, test_file))
    dataset = load_split(test_file)
    for role, folder in (("student", student), ("base", other_encoder)):
        encoder = BiEncoder.load(str(folder))
        queries, documents = encoder.encode_queries(list(dataset.queries)), encoder.encode_documents(dataset.documents)
        assert list(result["matryoshka"][role]) == ["16", "8"]
        for size in (16, 8):
            cut = [vectors[:, :size] for vectors in (queries, documents)]
            unit = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in cut]
            expected = ranking(unit[0] @ unit[1].T, dataset)
            found = result["matryoshka"][role][str(size)]
            assert {name: found[name] for name in expected} == pytest.approx(expected)
            assert found != result["ranking"][role]
    figures = {role: result["matryoshka"][role]["8"]["ndcg_at_10"] for role in ("student", "base")}
    said = f"by the first 8 numbers of each vector: student {figures['student']:.4f}, base {figures['base']:.4f}."
    assert said in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_models_without_recorded_sizes_have_no_such_figures(
    tiny_encoder: Path, other_encoder: Path, test_file: Path
) -> None:
    asked = options(tiny_encoder, other_encoder, test_file)
    assert models.matryoshka(str(tiny_encoder)) == ()
    result = evaluate(asked)
    assert result["matryoshka"] == {"base": None, "cut": None, "student": None, "compared": None}
