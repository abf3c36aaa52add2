"""A student of fewer layers beside its base model, whole and cut alike: what the teaching did, not the layers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bistill import cache_folder
from bistill.app.commands.evaluate import evaluate
from bistill.app.config import EvaluationOptions
from bistill.evaluation.report import page, summary
from bistill.models.bi_encoder import BiEncoder


@pytest.fixture
def cut_student(tmp_path: Path, other_encoder: Path) -> Path:
    """The first of two layers, read by [CLS] as its training was told to, and not taught."""
    folder = tmp_path / "cut-student"
    BiEncoder.load(str(other_encoder), layer_count=1, pooling_name="cls").save(folder, None)
    record = {"base_model": str(other_encoder), "start_layers": [0], "options": {"pooling": "cls"}}
    (folder / "bistill.json").write_text(json.dumps(record))
    return folder


def evaluated(student: Path, test_file: Path, tmp_path: Path, **changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"rerank_depth": 0, "bm25": False, "output_dir": str(tmp_path / "results"), **changes}
    return evaluate(EvaluationOptions(model_path=str(student), test_data=str(test_file), **settings))


def test_the_untaught_cut_stands_beside_the_whole(
    cut_student: Path, other_encoder: Path, test_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = evaluated(cut_student, test_file, tmp_path)
    ranking, entry = result["ranking"], result["models"]["cut"]
    assert (entry["path"], entry["layers"], entry["pooling"]) == (str(other_encoder), [0], "pooling_mode_cls_token")
    # Nobody taught this student: it is the cut, in every figure.
    assert ranking["cut"] == ranking["student"] != ranking["base"]
    assert result["separation"]["cut"] == result["separation"]["student"]
    none = {"difference": 0.0, "low": 0.0, "high": 0.0}
    assert set(map(str, result["comparisons"]["student_minus_cut"].values())) == {str(none)}
    said = capsys.readouterr().out
    figures = [f"{ranking[role]['ndcg_at_10']:.4f}" for role in ("cut", "student", "base")]
    assert (
        "Layers of the base model that the student has: 0. nDCG@10 {} before any training (column cut), {} as it is, "
        "{} of the whole base model.".format(*figures)
    ) in " ".join(said.split())
    assert summary.shown_roles(result) == ["base", "cut", "teacher", "student"]
    assert page.in_languages("cut")[1] in (tmp_path / "results" / "bi_encoder_evaluation_report.html").read_text(
        "utf-8"
    )
    # Its vectors are none of the base model's folder: only the whole one's are kept.
    assert len(list((cache_folder.cache_dir() / "index").iterdir())) == 1


def test_a_student_of_all_layers_has_no_cut_and_no_base_means_no_cut(
    cut_student: Path, other_encoder: Path, test_file: Path, tmp_path: Path
) -> None:
    alone = evaluated(other_encoder, test_file, tmp_path)
    assert (alone["ranking"]["cut"], alone["comparisons"]["student_minus_cut"]) == (None, None)
    assert "names no layers that it was cut to" in alone["models"]["cut"]["left_out"]
    record = json.loads((cut_student / "bistill.json").read_text())
    (cut_student / "bistill.json").write_text(json.dumps({**record, "base_model": str(tmp_path / "gone")}))
    gone = evaluated(cut_student, test_file, tmp_path)
    assert (gone["ranking"]["base"], gone["ranking"]["cut"]) == (None, None)
    assert gone["models"]["cut"]["path"] == str(tmp_path / "gone") and gone["models"]["cut"]["left_out"]
