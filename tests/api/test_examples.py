"""The examples run, in a folder of their own, with the packaged model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, tmp_path: Path, *given: str) -> str:
    environment = os.environ | {"BISTILL_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(EXAMPLES / name), str(tmp_path / "models"), *given]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_quickstart(tmp_path: Path) -> None:
    said = run("quickstart.py", tmp_path)
    assert "Dataset(train=" in said and "lock" in said
    assert (tmp_path / "models" / "evaluation_results" / "bi_encoder_evaluation_results.json").is_file()


@pytest.mark.slow
def test_own_loss(tmp_path: Path) -> None:
    assert "pairwise_order" in run("own_loss.py", tmp_path)


@pytest.mark.slow
def test_korean(tmp_path: Path) -> None:
    assert "환불" in run("korean.py", tmp_path)


@pytest.mark.slow
def test_notebook(tmp_path: Path) -> None:
    import json

    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    script = tmp_path / "notebook.py"
    script.write_text(code, encoding="utf-8")
    environment = os.environ | {"BISTILL_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, str(script)], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
