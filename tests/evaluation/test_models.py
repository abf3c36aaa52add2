from __future__ import annotations

import json
from pathlib import Path

from bistill.config import EvaluationOptions
from bistill.evaluation import models


def test_the_base_is_read_as_the_training_was_told_and_a_model_that_is_named_as_it_says_itself(tmp_path: Path) -> None:
    told = {"query_prompt": "find: ", "document_prompt": "", "pooling": "cls", "epochs": 3}
    (tmp_path / "bistill.json").write_text(json.dumps({"base_model": "owner/start", "options": told}))
    options = EvaluationOptions(model_path=str(tmp_path), test_data="test.csv")
    base, _, _ = models.choose(options)
    assert models.base_reading(base, options) == {
        "query_prompt": "find: ",
        "document_prompt": "",
        "pooling_name": "cls",
    }
    options = EvaluationOptions(model_path=str(tmp_path), test_data="test.csv", base_model=str(tmp_path))
    base, _, _ = models.choose(options)
    assert set(models.base_reading(base, options).values()) == {None}
    (tmp_path / "bistill.json").write_text(json.dumps({"base_model": "owner/start", "options": {"max_len": 32}}))
    options = EvaluationOptions(model_path=str(tmp_path), test_data="test.csv")
    base, _, _ = models.choose(options)  # of a student that was made before there were these options
    assert set(models.base_reading(base, options).values()) == {None}
