"""The lowest versions are read from pyproject.toml as pip would read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from packaging.version import Version

from tests.benchmarks.conftest import BENCHMARKS

PYPROJECT = """
[project]
name = "our-house"
dependencies = ["a>=1.2,<3", "B_c==4.0", "without"]

[project.optional-dependencies]
one = ["a>=1.10", "d~=2.1", "our.house[two]"]
two = ['e>=2; python_version < "3"', "without"]
"""


@pytest.fixture
def lowest(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("./lowest")


def test_the_highest_lower_bound_of_each_package_counts(lowest: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(PYPROJECT, encoding="utf-8")
    found = lowest.lowest(lowest.requirements(path))
    assert {name: str(version) for name, version in found.items()} == {"a": "1.10", "b-c": "4.0", "d": "2.1", "e": "2"}


def test_every_line_of_the_project_but_stubs_has_a_floor(lowest: ModuleType) -> None:
    found = lowest.requirements(BENCHMARKS.parent / "pyproject.toml")
    floors = lowest.lowest(found)
    assert {item.name for item in found if item.name not in floors} == {"types-PyYAML", "types-psutil"}
    assert all(item.specifier.contains(floors[item.name]) for item in found if item.name in floors)
    assert floors["torch"] >= Version("2.6")
