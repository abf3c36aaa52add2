"""The source ``python-docs``: a retrieval set that every installation has, from the documentation of its own packages.

Query: the summary sentence of a function or class. Document: its name, signature and the rest of its documentation.
Hard negatives: documents of the same module. Splits are by module, so that modules of the test are never trained on.
"""

from __future__ import annotations

import hashlib
import platform
import sysconfig
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bistill.data.prepare.docstrings import Described, described_in
from bistill.data.prepare.duplicates import find_duplicates, jaccard, normalised_text, shingles
from bistill.data.records import Judgement, Row
from bistill.data.settings import Splitting
from bistill.errors import DataError, RowError
from bistill.progress import progress

SOURCE_NAME: Final = "python-docs"
STANDARD_LIBRARY: Final = "python"
NEGATIVES: Final = 3
NEAR_NEGATIVE: Final = 0.7
SKIPPED_PARTS: Final = frozenset(
    (
        *("test", "tests", "testing", "_testing", "conftest.py", "idlelib", "lib2to3", "turtledemo", "ensurepip"),
        *("pydoc_data", "site-packages", "dist-packages", "__pycache__", "_vendor", "_vendored", "vendor", "vendored"),
        *("third_party", "externals", "extern", "setup.py", "benchmarks", "examples", "docs"),
    )
)
# Files of a package are read in a fixed order by hash until it has this share of all pairs: a giant package need not
# be read whole, and none dominates. The standard library counts for several packages.
CANDIDATE_SHARE: Final = 0.06
STANDARD_LIBRARY_SHARE: Final = 0.25


@dataclass(frozen=True)
class SourceFile:
    """A Python file: where it is and the dotted name of its module."""

    path: Path
    module: str


class PythonDocsReader:
    """Rows of one split of python-docs, in memory."""

    def __init__(self, split: str, rows: list[Row]) -> None:
        self.file = Path(f"{SOURCE_NAME}[{split}]")
        self.notes: list[str] = []
        self._rows = rows

    def rows(self) -> Iterator[Row | RowError]:
        """Every pair with its hard negatives."""
        return iter(self._rows)


def installed_packages() -> dict[str, list[SourceFile]]:
    """Source files of the standard library and of bistill's installed dependencies, by distribution, sorted."""
    packages = {STANDARD_LIBRARY: list(_files_below(Path(sysconfig.get_path("stdlib"))))}
    for name in sorted(_dependency_closure()):
        files = metadata.distribution(name).files or []
        sources = [
            SourceFile(Path(str(file.locate())), _module_name(file)) for file in sorted(files) if is_wanted(file)
        ]
        if sources:
            packages[name] = sources
    return packages


def fingerprint_of_installation() -> str:
    """Versions of Python and of every dependency, as one line."""
    versions = [f"{name}=={metadata.version(name)}" for name in sorted(_dependency_closure())]
    return " ".join([f"python=={platform.python_version()}", *versions])


def python_docs(
    splitting: Splitting, max_pairs: int, packages: Mapping[str, list[SourceFile]] | None = None
) -> dict[str, PythonDocsReader]:
    """Readers of train, valid and test.

    Args:
        splitting: which texts are near duplicates, and the shares of valid and test (of the modules).
        max_pairs: at most so many.
        packages: files by package; None: those that are installed.

    Raises:
        DataError: no documented function was found.
    """
    packages = installed_packages() if packages is None else packages
    candidates = _collect(packages, max_pairs)
    described = _distinct(_fairly(candidates, max_pairs * 5 // 4), splitting.near_duplicates)
    described = _fairly(described, max_pairs)
    if not any(described.values()):
        raise DataError("no documented function was found", where=SOURCE_NAME, todo="install bistill's dependencies")
    by_module: dict[str, list[Described]] = defaultdict(list)
    for package in sorted(described):
        for item in described[package]:
            by_module[item.module].append(item)
    rows: dict[str, list[Row]] = {"train": [], "valid": [], "test": []}
    for module, items in sorted(by_module.items()):
        split = rows[_split_of(module, splitting)]
        for item in items:
            split.append(_row(len(split) + 1, item, items, splitting.seed))
    return {split: PythonDocsReader(split, found) for split, found in rows.items() if found}


def _collect(packages: Mapping[str, list[SourceFile]], max_pairs: int) -> dict[str, list[Described]]:
    found: dict[str, list[Described]] = {}
    with progress("reading documentation", len(packages), "packages") as advance:
        for package, files in sorted(packages.items()):
            share = STANDARD_LIBRARY_SHARE if package == STANDARD_LIBRARY else CANDIDATE_SHARE
            enough = max(50, int(max_pairs * share))
            items: list[Described] = []
            for file in sorted(files, key=lambda file: _hash(file.module)):
                items += described_in(file.path, file.module)
                if len(items) >= enough:
                    break
            found[package] = items
            advance(1)
    return found


def _fairly(found: Mapping[str, list[Described]], most: int) -> dict[str, list[Described]]:
    """At most ``most`` in all: the same cap for every package, the highest that fits."""
    low, high = 0, max((len(items) for items in found.values()), default=0)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(len(items), middle) for items in found.values()) <= most:
            low = middle
        else:
            high = middle - 1
    return {package: items[:low] for package, items in found.items()}


def _distinct(found: Mapping[str, list[Described]], threshold: float) -> dict[str, list[Described]]:
    """Without near-duplicate documents (the first stays) and without queries that several documents answer."""
    flat = [(package, item) for package in sorted(found) for item in found[package]]
    with progress("comparing documentation", len(flat), "documents") as advance:
        near = find_duplicates([_body(item) for _, item in flat], threshold, advance).near
    first = [pair for number, pair in enumerate(flat) if near[number] == number]
    times = Counter(normalised_text(item.query) for _, item in first)
    kept: dict[str, list[Described]] = {package: [] for package in found}
    for package, item in first:
        if times[normalised_text(item.query)] == 1:
            kept[package].append(item)
    return kept


def _body(item: Described) -> str:
    """The document without its heading: copies of a function under another name are duplicates."""
    return item.document.partition("\n")[2]


def _row(number: int, item: Described, others: list[Described], seed: int) -> Row:
    mine = shingles(normalised_text(_body(item)))
    judgements = [Judgement(item.document, None, True, "positive")]
    order = sorted(others, key=lambda other: _hash(f"{seed} {item.name} {other.name}"))
    for other in order:
        if len(judgements) > NEGATIVES:
            break
        if other is not item and jaccard(mine, shingles(normalised_text(_body(other)))) < NEAR_NEGATIVE:
            judgements.append(Judgement(other.document, None, False, f"negative_{len(judgements)}"))
    return Row(number, item.query, tuple(judgements))


def _split_of(module: str, splitting: Splitting) -> str:
    place = int(_hash(f"{splitting.seed} {module}")[:13], 16) / 16**13
    if place < splitting.test:
        return "test"
    return "valid" if place < splitting.test + splitting.valid else "train"


def _dependency_closure() -> set[str]:
    """Canonical names of the installed distributions that bistill needs, directly or not."""
    waiting = [Requirement(text) for text in _own_requirements()]
    names: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in names or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        try:
            further = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        names.add(name)
        waiting += [Requirement(text) for text in further]
    return names


def _own_requirements() -> Iterable[str]:
    """What bistill requires: from the clone's pyproject.toml, or from the installed distribution."""
    project = Path(__file__).parents[3] / "pyproject.toml"
    if project.exists():
        return [str(text) for text in tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]]
    return metadata.requires("bistill") or []


def _files_below(folder: Path) -> Iterator[SourceFile]:
    for path in sorted(folder.rglob("*.py")):
        relative = PurePosixPath(path.relative_to(folder).as_posix())
        if is_wanted(relative):
            yield SourceFile(path, _module_name(relative))


def is_wanted(file: PurePosixPath) -> bool:
    """Whether a file of an installed package is a public module, by its path below the packages."""
    if file.suffix != ".py" or any(part in SKIPPED_PARTS or part.startswith((".", "test_")) for part in file.parts):
        return False
    return ".." not in file.parts and all(part.isidentifier() for part in file.with_suffix("").parts)


def _module_name(file: PurePosixPath) -> str:
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
