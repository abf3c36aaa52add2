"""The code of ``docs/extending.md``, run under the names that it has there."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = Path(__file__).parents[1] / "docs" / "extending.md"


def documented(path: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of a path such as ``bistill/losses/margin_mse.py`` whose code stands in the document."""
    (code,) = re.findall(rf"```python\n# {re.escape(path)}\n(.*?)```", _text(), re.DOTALL)
    file, name = folder / Path(path).name, path.removesuffix(".py").replace("/", ".")
    file.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def entry(registry: str, **names: Any) -> dict[str, Any]:
    """What the document says to write into a registry that is a dict; ``names`` are those that the line uses."""
    (line,) = re.findall(rf"```python\n# in {registry}\n(.*?)```", _text(), re.DOTALL)
    found: dict[str, Any] = eval(f"{{{line}}}", names)
    return found


def _text() -> str:
    return DOCUMENT.read_text(encoding="utf-8")
