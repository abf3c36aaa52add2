"""What the command says beside the evaluation itself."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bistill.app.commands import evaluate as command
from bistill.app.config import EvaluationOptions


@pytest.mark.parametrize("language", [None, "en", "ko"])
def test_what_is_printed_is_in_the_language_that_is_asked_for(
    language: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[Any] = []
    report = SimpleNamespace(result={}, save=lambda _: [], summary=printed.append)
    monkeypatch.setattr(command, "measure", lambda *_, **__: report)
    test, output = str(tmp_path / "test.csv"), str(tmp_path / "out")
    command.evaluate(EvaluationOptions(model_path="m", test_data=test, output_dir=output, language=language))
    assert printed == [language]
