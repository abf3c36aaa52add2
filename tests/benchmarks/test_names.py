"""What benchmarks take out of the package and of each other is there and can be called so: mypy does not read them, and
those that need a peer's environment run nowhere else."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.app.test_flags import FLAG, option_names
from tests.benchmarks.conftest import BENCHMARKS

SCRIPTS = sorted(BENCHMARKS.rglob("*.py"))
# They start pip, git or torchrun, too.
OTHER_COMMANDS = {
    BENCHMARKS / "wheel.py",
    BENCHMARKS / "house.py",
    BENCHMARKS / "monitor" / "page.py",
    BENCHMARKS / "training" / "processes.py",
}
of_each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")


class MissingError(Exception):
    """A name that is not there."""


@cache
def tree_of(script: Path) -> ast.Module:
    return ast.parse(script.read_text(encoding="utf-8"))


def taken(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Module, name and local name of everything that is imported by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name, alias.asname or alias.name) for alias in node.names)


def of_package(module: str, name: str) -> Any:
    """What a module of the package calls so: an object of it, or a module below it."""
    found = importlib.import_module(module)
    if hasattr(found, name):
        return getattr(found, name)
    if hasattr(found, "__path__") and importlib.util.find_spec(f"{module}.{name}") is not None:
        return importlib.import_module(f"{module}.{name}")
    raise MissingError(f"{module}.{name}")


def named(tree: ast.Module) -> dict[str, Any]:
    """What the names that are imported out of the package stand for."""
    found = {"bistill": importlib.import_module("bistill")}
    for module, name, local in taken(tree):
        if module.split(".")[0] == "bistill":
            found[local] = of_package(module, name)
    return found


def meant(node: ast.expr, names: dict[str, Any]) -> Any:
    """What an expression such as ``module.Class.method`` of imported names stands for; None of every other one."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    owner = meant(node.value, names) if isinstance(node, ast.Attribute) else None
    if not (inspect.ismodule(owner) or inspect.isclass(owner)):
        return None
    assert isinstance(node, ast.Attribute)
    if not hasattr(owner, node.attr):
        # A field without a default, or a module that nobody has imported yet, is no attribute, either.
        fields = owner.__annotations__ if inspect.isclass(owner) else {}
        return None if node.attr in fields else of_package(owner.__name__, node.attr)
    return getattr(owner, node.attr)


def misfit(call: ast.Call, function: Any) -> str:
    """Why a call cannot be made; "" where it can, or where nobody knows before it is."""
    starred = any(isinstance(one, ast.Starred) for one in call.args) or any(word.arg is None for word in call.keywords)
    if starred or not callable(function):
        return ""
    try:
        signature = inspect.signature(function)
    except ValueError:  # of a builtin
        return ""
    try:
        signature.bind(*call.args, **{str(word.arg): word.value for word in call.keywords})
    except TypeError as error:
        return f"line {call.lineno}: {ast.unparse(call.func)}: {error}"
    return ""


def misfits(tree: ast.Module) -> list[str]:
    names = named(tree)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [why for call in calls if (why := misfit(call, meant(call.func, names)))]


def defined(tree: ast.Module) -> set[str]:
    """Names at the top of a script."""
    found = {local for _, _, local in taken(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def neighbour(script: Path, module: str) -> Path | None:
    """The script of a module in the same folder, or in one that benchmarks share."""
    folders = (script.parent, BENCHMARKS / "shared", BENCHMARKS)
    return next((path for folder in folders if (path := folder / f"{module}.py").is_file()), None)


@of_each_script
def test_what_a_benchmark_takes_out_of_the_package_is_there_and_can_be_called_so(script: Path) -> None:
    assert misfits(tree_of(script)) == []


@of_each_script
def test_what_a_benchmark_takes_out_of_another_is_there(script: Path) -> None:
    found = [(path, name) for module, name, _ in taken(tree_of(script)) if (path := neighbour(script, module))]
    assert [f"{path.stem}.{name}" for path, name in found if name not in defined(tree_of(path))] == []


@pytest.mark.parametrize(
    "script",
    [path for path in SCRIPTS if path not in OTHER_COMMANDS],
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_flags_that_a_benchmark_gives_are_options(script: Path) -> None:
    """Of a command, or of a script beside it."""
    own: set[str] = set()
    for path in script.parent.glob("*.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.arg):
                own.add(node.arg)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                own.add(node.target.id)
            elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("add_argument", "add"):
                own.update(str(one.value).lstrip("-") for one in node.args if isinstance(one, ast.Constant))
    texts = [str(node.value) for node in ast.walk(tree_of(script)) if isinstance(node, ast.Constant)]
    given = {name for text in texts for name in FLAG.findall(text)}
    known = {name.replace("-", "_") for name in own} | option_names()
    assert {name for name in given if name.replace("-", "_") not in known} == set()


def test_what_is_gone_is_found() -> None:
    calls = """
from bistill.models.bi_encoder import BiEncoder
from bistill import console
from bistill.models import settings
console.table(["a"], [], title="x")
BiEncoder.load("name", length=3)
settings.EncoderStart()
BiEncoder.load(*names, length=3)
unknown.thing(1)
"""
    found = misfits(ast.parse(calls))
    assert found == [
        "line 6: BiEncoder.load: got an unexpected keyword argument 'length'",
        "line 7: settings.EncoderStart: missing a required argument: 'name'",
    ]
    for text in ("from bistill.models import gone", "from bistill import console\nconsole.gone(1)"):
        with pytest.raises(MissingError, match="gone"):
            misfits(ast.parse(text))
    assert "bistill.gone" not in sys.modules
