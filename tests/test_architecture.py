"""Imports run down only, and what must start fast never loads torch."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import bistill
from bistill.settings import Settings

PACKAGE = Path(bistill.__file__).parent
# Lower layers first; parts of one layer do not import each other, a part may import itself.
LAYERS = (
    ("errors", "languages", "arrays"),
    ("settings", "own_classes"),
    ("data.settings", "models.settings"),
    ("candidates.settings",),
    ("training.settings", "miners"),
    ("artifacts", "journal", "console", "packaged", "hub"),
    ("progress", "cache_folder", "distributed"),
    ("data", "losses", "evaluation.measures"),
    ("models",),
    ("candidates",),
    ("training", "evaluation", "monitor", "serving"),
    ("api",),
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
        "app.config",
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


def library_files() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if part_of(module_of(path)) not in ("app", "__main__")]


LIBRARY = sorted(f"bistill.{module_of(path)}".removesuffix(".__init__") for path in library_files())


def test_the_library_imports_without_the_application() -> None:
    code = (
        "import importlib, sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'bistill.app' or name.startswith('bistill.app.'):\n"
        "            raise ImportError(f'{name} is blocked')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", code, *LIBRARY], check=True, capture_output=True, text=True)


@cache
def read_by_file() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Of each file of the library the attributes that it reads, and all names that stand in it."""
    found = {}
    for path in library_files():
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        loaded = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)]
        attributes = frozenset(node.attr for node in loaded)
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        names |= {node.name for node in nodes if isinstance(node, ast.ClassDef)}
        found[module_of(path)] = (attributes, attributes | names)
    return found


def receivers(kind: type) -> list[frozenset[str]]:
    """Attributes read in each file that takes objects of a settings class: that names the class, or a field of other
    settings that holds one."""
    holding = {
        field.name
        for other in settings_classes()
        for field in dataclasses.fields(other)
        if re.search(rf"\b{kind.__name__}\b", str(field.type))
    }
    # Losses are held by what they have in common.
    wanted = {kind.__name__} | holding | ({"losses"} if hasattr(kind, "reads_teacher") else set())
    return [attributes for attributes, names in read_by_file().values() if wanted & names]


def settings_classes() -> list[type]:
    modules = [import_module(name) for name in LIBRARY if name.endswith(("settings", "objective", "losses"))]
    found = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    return sorted((kind for kind in found if issubclass(kind, Settings) and kind is not Settings), key=str)


@pytest.mark.parametrize("kind", settings_classes(), ids=lambda kind: kind.__name__)
def test_settings_are_small_and_all_of_them_are_read(kind: type) -> None:
    names = [field.name for field in dataclasses.fields(kind)]
    assert 0 < len(names) <= 8, names
    read = frozenset[str]().union(*receivers(kind))
    own = set(names) & kind.__annotations__.keys()
    assert own <= read, f"no file that takes it reads {own - read}"
