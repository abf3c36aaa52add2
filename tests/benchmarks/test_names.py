"""What benchmarks take out of the package is there: nothing else checks those that need a peer's environment to run."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.conftest import BENCHMARKS


def taken(script: Path) -> Iterator[tuple[str, str]]:
    """Module and name of everything that a script imports out of the package."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bistill":
            yield from ((str(node.module), alias.name) for alias in node.names)


def there(module: str, name: str) -> bool:
    """Whether a module has a name, or a module below it."""
    found = importlib.import_module(module)
    if hasattr(found, name):
        return True
    return hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.{name}") is not None


@pytest.mark.parametrize("script", sorted(BENCHMARKS.rglob("*.py")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_a_benchmark_imports_is_in_the_package(script: Path) -> None:
    assert [f"{module}.{name}" for module, name in taken(script) if not there(module, name)] == []
