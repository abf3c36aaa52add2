"""Imports run down only, and what must start fast never loads torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import bistill

PACKAGE = Path(bistill.__file__).parent
# Lower layers first; parts of one layer do not import each other, a part may import itself.
LAYERS = (
    ("errors",),
    ("settings",),
    ("data.settings", "models.settings"),
    ("candidates.settings",),
    ("training.settings",),
    ("options",),
    ("config", "artifacts", "journal", "console", "packaged", "hub"),
    ("data", "losses", "evaluation.measures"),
    ("config.assembling",),
    ("models",),
    ("candidates",),
    ("training", "evaluation", "monitor", "serving"),
    ("app",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def part_of(module: str) -> str:
    """The longest name of ``LAYERS`` that a module, without ``bistill.``, lies in; its first name where none does."""
    names = module.split(".")
    prefixes = [".".join(names[:length]) for length in range(len(names), 0, -1)]
    return next((prefix for prefix in prefixes if prefix in LEVEL), names[0])


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imported_parts(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {part_of(name.removeprefix("bistill.")) for name in names if name.startswith("bistill.")}
    return found & LEVEL.keys()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_down_only(path: Path) -> None:
    if (own := part_of(module_of(path))) == "__init__":
        return
    upward = {part for part in imported_parts(path) - {own} if LEVEL[part] >= LEVEL[own]}
    assert not upward, f"{own} imports {upward}"


def test_every_part_has_a_place() -> None:
    assert {part_of(module_of(path)) for path in PACKAGE.rglob("*.py")} - {"__init__"} <= LEVEL.keys()


@pytest.mark.parametrize(
    "module",
    [
        "config",
        "app.cli",
        "training.settings",
        "journal",
        "monitor.runs",
        "monitor.watch",
        "monitor.screen",
        "monitor.web.server",
    ],
)
def test_light_modules_never_load_torch(module: str) -> None:
    code = f"import sys, bistill.{module}; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
