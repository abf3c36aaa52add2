"""Imports run down only, and what must start fast never loads torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bistill

PACKAGE = Path(bistill.__file__).parent
# Lower layers first; modules of one layer do not import each other, a folder may import itself.
LAYERS = (
    ("errors",),
    ("options",),
    ("config", "artifacts", "journal", "console", "packaged", "hub"),
    ("data", "losses", "metrics", "calibration", "reliability", "thresholds", "bootstrap"),
    ("encoders",),
    ("candidates",),
    ("training", "evaluation", "monitor", "serving"),
    ("pipeline", "bench"),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_parts(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {name.split(".")[1] for name in names if name.startswith("bistill.")}
    return found & LEVEL.keys()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_down_only(path: Path) -> None:
    if (own := part_of(path)) == "__init__":
        return
    upward = {part for part in imported_parts(path) - {own} if LEVEL[part] >= LEVEL[own]}
    assert not upward, f"{own} imports {upward}"


def test_every_part_has_a_place() -> None:
    assert {part_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"} <= LEVEL.keys()


@pytest.mark.parametrize(
    "module", ["config", "cli", "journal", "monitor.runs", "monitor.watch", "monitor.screen", "monitor.web.server"]
)
def test_light_modules_never_load_torch(module: str) -> None:
    code = f"import sys, bistill.{module}; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
