"""Scripts of the benchmarks as modules; several folders have modules of one name, so none stays imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A function from ``folder/name`` to the module."""
    for name in [name for name, module in sys.modules.items() if _is_ours(module)]:
        monkeypatch.delitem(sys.modules, name)

    def load(path: str) -> ModuleType:
        folder, name = path.split("/")
        monkeypatch.syspath_prepend(str(BENCHMARKS / folder))
        return importlib.import_module(name)

    return load


def _is_ours(module: ModuleType) -> bool:
    return BENCHMARKS in Path(getattr(module, "__file__", None) or "/").parents
