"""A model that was kept is measured anew under other questions, and trained anew under other settings alone."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


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
