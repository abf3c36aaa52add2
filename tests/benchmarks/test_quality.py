"""A model that was kept is measured anew under other questions, and trained anew under other settings alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from bistill.models.bi_encoder import BiEncoder


def test_another_question_to_a_kept_model_trains_nothing(
    tmp_path: Path, script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = script("quality/recipe")
    done: list[str] = []

    class Ended:
        returncode = 0

    def run(*_: object, **__: object) -> Ended:
        done.append("trained")
        return Ended()

    def measured(job: dict[str, Any]) -> dict[str, Any]:
        done.append("measured")
        return {"figures": {"asked": job["test_queries"]}, "forgetting": {}}

    monkeypatch.setattr(recipe.subprocess, "run", run)
    monkeypatch.setattr(recipe, "of_ours", lambda _: {"updates": 3, "notes": []})
    monkeypatch.setattr(recipe, "measured", measured)
    job: dict[str, Any] = {
        "kind": "bistill",
        "options": {},
        "common": {"seed": 1},
        "start": "start",
        "keep_models": True,
    }
    job |= {"output": str(tmp_path / "model"), "forgetting": [], "test_queries": 5, "dimensions": []}

    def call(**changes: object) -> list[str]:
        done.clear()
        (tmp_path / "job.json").write_text(json.dumps(job | changes), encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["recipe.py", str(tmp_path / "job.json")])
        recipe.main()
        return list(done)

    assert call() == ["trained", "measured"]
    assert call() == []
    assert call(keep_models=False, flagembedding_python="python") == []  # decide nothing
    assert call(test_queries=9) == call(dimensions=[64]) == call(forgetting=["other"]) == ["measured"]
    assert json.loads((tmp_path / "result.json").read_text())["job"]["forgetting"] == ["other"]
    assert call(common={"seed": 2}) == ["trained", "measured"]
    assert call() == ["trained", "measured"]  # the model of seed 2 stands there now


def test_another_model_or_data_version_of_the_same_name_is_another_job(
    tmp_path: Path, script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = script("quality/compare")
    recipes = compare.recipes
    for name in ("student", "teacher"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(name.encode())
    for name in ("data", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test.csv").write_text("query,positive\na,b\n")
    models = f"--student {tmp_path}/student --teacher {tmp_path}/teacher --output_dir {tmp_path}/out"
    given = f"compare.py --data data:64 --data_root {tmp_path} {models} --forgetting other"
    monkeypatch.setattr(sys, "argv", given.split())

    def job() -> dict[str, Any]:
        compare.model_files.cache_clear()
        options = compare.arguments()
        made = compare.job_of("data:64", "ours", recipes.RECIPES["ours"], 1, compare.Place(tmp_path / "out"), options)
        return dict(made)

    first = job()
    assert recipes.identity(job()) == recipes.identity(first)
    (tmp_path / "other" / "test.csv").write_text("query,positive\na,c\n")
    assert recipes.identity(job()) != recipes.identity(first)
    assert recipes.training_identity(job()) == recipes.training_identity(first)
    for place in ("teacher/model.safetensors", "student/model.safetensors", "data/test.csv"):
        before = job()
        with (tmp_path / place).open("a") as file:
            file.write("changed")
        assert recipes.training_identity(job()) != recipes.training_identity(before), place


def test_options_of_rows_and_paths_with_spaces(script: Callable[[str], ModuleType]) -> None:
    recipes = script("quality/recipes")
    _, row = recipes.further("mine:merge_with_start=0.8 0.6,use_lora=true,matryoshka=,score=calibrated")
    common = {"teacher_path": "/my models/t", "max_samples": None, "allow_weak_teacher": True, "miners": ["a", "b"]}
    assert recipes.command_line(common, row.options, {"use_lora": False}) == [
        *("--teacher_path", "/my models/t", "--allow_weak_teacher", "--miners", "a", "b"),
        *("--merge_with_start", "0.8", "0.6", "--matryoshka", "--score", "calibrated"),
    ]
    assert recipes.command_line(row.options)[3] == "--use_lora"
    assert "mine: bistill distill, merge_with_start=0.8 0.6, use_lora=true" in row.label


@pytest.mark.parametrize(("kept", "layers"), [(0.5, None), (None, None), (0.5, [1])])
def test_shares_of_the_whole_training(
    tmp_path: Path,
    script: Callable[[str], ModuleType],
    tiny_encoder: Path,
    kept: float | None,
    layers: list[int] | None,
) -> None:
    """A student that kept half of what was trained is half a step from its start; a whole one is two halves."""
    start = BiEncoder.load(str(tiny_encoder), layer_count=layers and len(layers))
    first = {name: value.detach().clone() for name, value in start.model.named_parameters()}
    student = BiEncoder.load(str(tiny_encoder), layer_count=layers and len(layers))
    with torch.no_grad():
        for value in student.model.parameters():
            value.add_(0.25)
    record = {"base_model": str(tiny_encoder), "start_layers": layers, "merged_share": kept}
    (tmp_path / "bistill.json").write_text(json.dumps(record), encoding="utf-8")
    way, end = script("quality/shares").between(tmp_path, student)
    assert end == (kept or 1.0)
    for share, moved in ((0.0, 0.0), (end, 0.25), (2 * end, 0.5), (0.5 * end, 0.125)):
        way.go_to(share / end)
        for name, value in student.model.named_parameters():
            torch.testing.assert_close(value, first[name] + moved)
