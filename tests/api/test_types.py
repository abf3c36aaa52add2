"""The public API passes a strict type check from a user's file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
WRONG = """
import bistill
import numpy as np
import numpy.typing as npt

student = bistill.load("models/student")
student.score(3, ["text"])
bistill.Lora(rank="16")
bistill.distill("t", bistill.Dataset.from_rows([]), "s", output_dir="o", epoch=1)
ids: npt.NDArray[np.int64] = student.encode_query(["text"])
cosines: npt.NDArray[np.float64] = student.similarity(ids, ids)
linear: npt.NDArray[np.float32] = student.score("text", ["text"]).linear
"""


def checked(file: Path) -> str:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", file.name]
    environment = os.environ | {"MYPYPATH": str(EXAMPLES.parent)}  # as if the package were installed
    return subprocess.run(command, cwd=file.parent, env=environment, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_the_examples_are_typed() -> None:
    for name in ("quickstart.py", "own_loss.py", "korean.py"):
        assert "Success: no issues found" in checked(EXAMPLES / name), checked(EXAMPLES / name)


@pytest.mark.slow
def test_wrong_calls_are_found(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    said = checked(tmp_path / "wrong.py")
    assert [f"wrong.py:{line}: error" in said for line in range(7, 13)] == [True] * 6, said
