"""What stands in two places says the same: commands of the checks, versions, files that an image is made of."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import bistill

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def make_commands(target: str) -> list[str]:
    """Commands of a target of the Makefile, with the names of its folders filled in."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", text, flags=re.M)
    assert recipe is not None
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]


def test_the_hooks_before_a_commit_are_the_commands_of_make_check() -> None:
    [local] = read(".pre-commit-config.yaml")["repos"]
    assert [hook["entry"] for hook in local["hooks"]] == make_commands("check")
    assert {(hook["language"], hook["pass_filenames"]) for hook in local["hooks"]} == {("system", False)}


def test_the_workflow_runs_make_on_each_python_from_the_oldest_allowed() -> None:
    jobs = read(".github/workflows/test.yml")["jobs"]
    pythons = jobs["test"]["strategy"]["matrix"]["python"]
    assert pythons == ["3.11", "3.12", "3.13"] and PROJECT["requires-python"] == f">={pythons[0]}"
    commands = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert commands["test"] == ["make test"]
    assert commands["lowest"][-1] == "make unit CONSTRAINTS=lowest.txt"
    for script in re.findall(r"python ([\w/]+\.py)", str(commands)):
        assert (ROOT / script).is_file(), script


def test_the_citation_is_of_this_version() -> None:
    citation = read("CITATION.cff")
    assert (citation["title"], citation["version"]) == (PROJECT["name"], bistill.__version__)
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_an_image_gets_what_it_copies_and_the_extras_that_there_are(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    copied = [part for line in re.findall(r"^COPY (.*) \S+$", text, flags=re.M) for part in line.split()]
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied and all((ROOT / part).exists() and f"!{part}" in let_through for part in copied)
    extras = re.search(r"\[([\w,]+)\]'", text)
    assert extras is not None
    assert set(extras[1].split(",")) == PROJECT["optional-dependencies"].keys() - {"dev"}
    assert int(re.search(r"^FROM python:3\.(\d+)", text, flags=re.M)[1]) >= 11  # type: ignore[index]


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").iterdir()), ids=lambda path: path.name)
def test_an_issue_form_asks_for_something_that_must_be_answered(path: Path) -> None:
    form = read(str(path.relative_to(ROOT)))
    assert form["name"] and form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    assert any(field.get("validations", {}).get("required") for field in form["body"])


# Parts of named tuples, and of libraries below us.
NOT_OURS = {
    "_replace",
    "_asdict",
    "_exit",
    "_fields",
    "_subclasses",
    "_mixed_precision",
    "_cache_manager",
    "_available_trackers",
} | {
    "_forward_pre_hooks",
    "_forward_hooks",
}


def private_parts(tree: ast.AST) -> Iterator[str]:
    """Private names of others that a test uses: read, imported, or replaced by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in ("self", "own")
        ):
            yield node.attr
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            texts = (one.value for one in node.args[:2] if isinstance(one, ast.Constant))
            yield from (text.rpartition(".")[2] for text in texts if isinstance(text, str))


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.stem)
def test_tests_use_no_private_parts(path: Path) -> None:
    found = set(private_parts(ast.parse(path.read_text(encoding="utf-8"))))
    assert {name for name in found if re.match("_[a-z]", name)} <= NOT_OURS
