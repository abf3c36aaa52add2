"""The lowest versions that pyproject.toml allows, as a constraints file for pip.

python benchmarks/lowest.py [--without NAME ...] > lowest.txt
pip install -c lowest.txt -e '.[dev]'

Covers the dependencies and every extra. A requirement without a lower bound (stubs of types) gets no line: pip takes
its newest. `--without torch` leaves a package to another line, as where its build for a CPU is installed first.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def requirements(path: Path) -> list[Requirement]:
    """Every requirement of a project, those of its extras behind its own; an extra of the project itself is none."""
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    found = map(Requirement, (*project["dependencies"], *(line for extra in extras for line in extra)))
    return [item for item in found if canonicalize_name(item.name) != canonicalize_name(project["name"])]


def lowest(found: Iterable[Requirement]) -> dict[str, Version]:
    """The highest lower bound of each package that has one; it meets all the bounds wherever a version does."""
    floors: dict[str, Version] = {}
    for item in found:
        bounds = [Version(part.version) for part in item.specifier if part.operator in (">=", "==", "~=")]
        if bounds:
            name = canonicalize_name(item.name)
            floors[name] = max(*bounds, floors.get(name, bounds[0]))
    return floors


def main() -> None:
    """Print a line for each package."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME", help="packages that get no line")
    left_out = {canonicalize_name(name) for name in parser.parse_args().without}
    for name, version in sorted(lowest(requirements(PYPROJECT)).items()):
        if name not in left_out:
            print(f"{name}=={version}")


if __name__ == "__main__":
    main()
