from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from bistill.data.prepare import python_docs as module
from bistill.data.prepare.docstrings import cut, described_in, plain, says_something, summary_and_rest
from bistill.data.prepare.python_docs import SourceFile, python_docs
from bistill.data.records import Row
from bistill.data.settings import Splitting
from bistill.errors import DataError

Write = Callable[[str, str | bytes], Path]

SOURCE = '''"""A module."""

def open_harbour(name: str, *, depth: float = 3.0) -> bool:
    """Open the gates of the harbour ``name``.

    Ships wait outside until the tide is high enough for the deepest
    among them.

    Args:
        name: which harbour, as :class:`~ports.Registry` knows it.
    """

class Ship:
    """A wooden ship with sails. It floats on
    salt water only, and it needs a crew of at least five sailors to leave the port.
    """

    def __init__(self, crew, /, *sails):
        """Make a ship."""

    def unload(self):
        """Bring all goods to the quay.

        The order is last in, first out; heavy goods need a crane and
        wait until one is free.
        """

    def _hidden(self):
        """Hide the goods from the customs officers.

        Nobody must ever read this text, which is long enough to be taken
        if it were public.
        """

def short():
    """Do something short and sweet."""

def old():
    """Deprecated alias of the other function.

    A long text follows here so that only the summary can be the reason
    for leaving it out of the set.
    """
'''


def test_exact_pairs_of_a_file(write: Write) -> None:
    found = list(described_in(write("ports.py", SOURCE), "sea.ports"))
    assert [(item.name, item.query, item.document) for item in found] == [
        (
            "open_harbour",
            "Open the gates of the harbour name.",
            "sea.ports.open_harbour(name: str, *, depth: float=3.0) -> bool\n"
            "Ships wait outside until the tide is high enough for the deepest\namong them.\n\n"
            "Args:\n    name: which harbour, as :class:`~ports.Registry` knows it.",
        ),
        (
            "Ship",
            "A wooden ship with sails.",
            "sea.ports.Ship(crew, /, *sails)\n"
            "It floats on salt water only, and it needs a crew of at least five sailors to leave the port.",
        ),
        (
            "Ship.unload",
            "Bring all goods to the quay.",
            "sea.ports.Ship.unload()\n"
            "The order is last in, first out; heavy goods need a crane and\nwait until one is free.",
        ),
    ]


def test_broken_files_have_no_pairs(write: Write) -> None:
    for content in (b"def f(:\n", b"\xff\xfe\x00", b"x = '\0'"):
        assert list(described_in(write("broken.py", content), "broken")) == []


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("One sentence here. Two more. Three.", ("One sentence here.", "Two more. Three.")),
        ("Return e.g. Paris as text.\n\nMore.", ("Return e.g. Paris as text.", "More.")),
        ("Sum of all\n    values\n\n    Rest.", ("Sum of all values", "Rest.")),
        ("Do it\n:param x: what", ("Do it", ":param x: what")),
        ("where(condition, x)\n\nMore.", None),
        ("", None),
    ],
)
def test_summary_and_rest(docstring: str, expected: tuple[str, str] | None) -> None:
    assert summary_and_rest(docstring) == expected


def test_plain_text_and_what_says_something() -> None:
    assert plain("See :class:`~a.b.C`, :func:`x.y` and `text <http://x>`_ in ``code``") == "See C, x.y and text in code"
    assert says_something("Return the number of ships.")
    for query in (
        "Return it.",
        "Deprecated: use the other one",
        "See the other function there",
        "a.b(c, d) [1, 2] {3}",
    ):
        assert not says_something(query)


def test_documents_are_cut_at_a_line() -> None:
    assert cut("a" * 60 + "\n" + "b" * 60, 100) == "a" * 60
    assert cut("a" * 200, 100) == "a" * 100
    assert cut("short", 100) == "short"


def many_files(write: Write, modules: int, functions: int) -> dict[str, list[SourceFile]]:
    packages: dict[str, list[SourceFile]] = {"big": [], "small": []}
    for number in range(modules):
        package = "small" if number == 0 else "big"
        text = "".join(
            f'def f{function}(x{number}):\n    """Compute the value{function} of station{number}.\n\n'
            + f"    {' '.join(f'word{(number * 97 + function * 31 + place * place) % 1000}' for place in range(30))}\n"
            + '    """\n\n'
            for function in range(functions)
        )
        name = f"{package}.m{number}"
        packages[package].append(SourceFile(write(f"{name.replace('.', '/')}.py", text), name))
    return packages


def rows_of(packages: dict[str, list[SourceFile]], max_pairs: int = 10_000, **changes: Any) -> dict[str, list[Row]]:
    readers = python_docs(Splitting(**changes), max_pairs, packages)
    return {split: [row for row in reader.rows() if isinstance(row, Row)] for split, reader in readers.items()}


def test_splits_are_by_module_with_hard_negatives_of_the_same_module(write: Write) -> None:
    packages = many_files(write, modules=30, functions=6)
    rows = rows_of(packages, test=0.2, valid=0.2)
    assert rows == rows_of({name: list(reversed(files)) for name, files in packages.items()}, test=0.2, valid=0.2)
    assert sum(len(found) for found in rows.values()) == 180
    modules: dict[str, set[str]] = {}
    for split, found in rows.items():
        modules[split] = set()
        for row in found:
            positive, *negatives = row.judgements
            name = positive.document.partition(".f")[0]
            modules[split].add(name)
            assert positive.positive is True and len(negatives) == 3
            assert all(item.positive is False and item.document.startswith(f"{name}.f") for item in negatives)
            assert len({item.document for item in row.judgements}) == 4
    assert set(modules) == {"train", "valid", "test"}
    assert sum(len(names) for names in modules.values()) == 30


def test_no_package_dominates(write: Write) -> None:
    packages = many_files(write, modules=40, functions=6)
    rows = rows_of(packages, max_pairs=100)
    documents = [row.judgements[0].document for found in rows.values() for row in found]
    assert sum(text.startswith("small.") for text in documents) == 6
    assert len(documents) <= 100


def test_copies_and_generic_queries_are_left_out(write: Write) -> None:
    same = '    """{0}\n\n    {1}\n    """\n'
    body = "This text is long enough to be a document and it is the same in both of the modules, word for word."
    other = "Another text that is long enough to be a document, about stars and planets and the moons around them."
    third = "A third text about cooking rice with saffron, onions, a little salt and a lot of patience at the stove."
    first = write("a.py", "def f():\n" + same.format("Read the whole text aloud.", body))
    second = write(
        "b.py",
        "def g():\n"
        + same.format("Recite the whole text quietly.", body)
        + "def h():\n"
        + same.format("Return a nice new object.", other)
        + "def i():\n"
        + same.format("Return a nice new object!", third),
    )
    rows = rows_of({"p": [SourceFile(first, "a"), SourceFile(second, "b")]})
    documents = [row.judgements[0].document for found in rows.values() for row in found]
    assert len(documents) == 1 and documents[0].endswith(body)


def test_nothing_documented_is_an_error(write: Write) -> None:
    with pytest.raises(DataError, match="no documented function"):
        python_docs(Splitting(), 100, {"p": [SourceFile(write("a.py", "x = 1\n"), "a")]})


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("json/decoder.py", True),
        ("pkg/tests/helper.py", False),
        ("pkg/test_x.py", False),
        ("pkg/_vendor/six.py", False),
        ("site-packages/x.py", False),
        ("../bin/tool.py", False),
        ("pkg/data.txt", False),
        ("pkg/not-a-module.py", False),
    ],
)
def test_files_that_are_read(path: str, wanted: bool) -> None:
    assert module.is_wanted(PurePosixPath(path)) is wanted


@pytest.mark.slow
def test_installed_packages_are_the_dependencies_and_the_standard_library() -> None:
    packages = module.installed_packages()
    assert {"python", "numpy", "pyarrow"} <= packages.keys()
    assert "pytest" not in packages
    assert "json.decoder" in {file.module for file in packages["python"]}
    assert module.fingerprint_of_installation().startswith("python==3.")
