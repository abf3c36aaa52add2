"""What the table of the house counts, on a checkout written here, by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

FILES = {
    "bistill/config/data.py": "class DataOptions: ...\n\n\nName = str\n",
    "bistill/losses.py": '''"""Losses.

Two lines of text.
"""


def info_nce(  # a comment
    tau: float,
) -> str:
    """InfoNCE."""
    return f"""
    {tau}
    """
''',
    "bistill/data/a.py": "from bistill.config.data import DataOptions\n\n# info_nce\nclass Row:\n    documents: list\n",
    "bistill/data/b.py": "from bistill.config.data import Name\nclass Other:\n    names: list\n",
    "bistill/app/c.py": "def f():\n    from bistill.config import data\n    return 'InfoNCE'\n",
    "bistill/app/d.py": "from bistill import config, losses\n",
    "bistill/candidates/e.py": "import bistill.errors\nclass Draft:\n    candidates: dict\n",
}


@pytest.fixture
def house(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("./house")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_code_docstrings_and_the_rest_are_told_apart(house: ModuleType, checkout: Path) -> None:
    losses = next(file for file in house.read(checkout) if file.path.name == "losses.py")
    assert (losses.lines, losses.code_lines, len(losses.docstring_lines)) == (13, 6, 5)


def test_a_function_is_long_with_its_docstring_or_without(house: ModuleType) -> None:
    body = "\n".join(f"    x{number} = {number}" for number in range(38))
    short = f'def f():\n    """A docstring\n    of two lines."""\n{body}\n'
    for text, expected in ((short, (1, 0)), (f"{short}    y = 1\n    z = 2\n", (1, 1)), ("def f(): ...\n", (0, 0))):
        file = house.File(Path("bistill/f.py"), text)
        assert (file.long_functions(True), file.long_functions(False)) == expected


def test_option_classes_and_their_modules_count_as_imported_other_names_do_not(
    house: ModuleType, checkout: Path
) -> None:
    found = house.option_imports(house.read(checkout))
    assert [str(path) for path in found] == ["bistill/app/c.py", "bistill/app/d.py", "bistill/data/a.py"]


def test_option_classes_are_found_inside_the_application_too(house: ModuleType, tmp_path: Path) -> None:
    files = {
        "bistill/app/config/__init__.py": "from bistill.app.config.data import DataOptions\n",
        "bistill/app/config/data.py": "from bistill.app.options import Options\nclass DataOptions(Options): ...\n",
        "bistill/app/options.py": "class Options: ...\ndef from_mapping(): ...\n",
        "bistill/app/a.py": "from bistill.app.config import DataOptions\n",
        "bistill/app/b.py": "from bistill.app.options import from_mapping\n",
        "bistill/models/c.py": "from bistill.app import config\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = house.option_imports(house.read(tmp_path))
    assert [str(path) for path in found] == ["bistill/app/a.py", "bistill/models/c.py"]


def test_places_are_files_whose_code_names_the_extension(house: ModuleType, checkout: Path) -> None:
    found = house.places(house.read(checkout))
    assert [str(path) for path in found["loss (InfoNCE)"]] == ["bistill/app/c.py", "bistill/losses.py"]
    assert found["metric (MRR)"] == []


def test_shapes_are_counted_only_where_all_are_there(
    house: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house, "SHAPES", {"old": "a.Row e.Gone", "new": "a.Row"})
    assert house.shapes(house.read(checkout)) == (["a.Row"], ["e.Draft"])
    monkeypatch.setattr(house, "SHAPES", {"old": "a.Row e.Gone"})
    with pytest.raises(LookupError, match=re.escape("old: no e.Gone")):
        house.shapes(house.read(checkout))


def test_the_shapes_of_this_checkout_are_known(house: ModuleType) -> None:
    held, unplaced = house.shapes(house.read(Path(house.__file__).parents[1]))
    assert {"miners.Mined", "lists.CandidateList", "pools.ScoredPools"} < set(held) and unplaced == []


@pytest.mark.slow
def test_an_update_of_this_checkout_is_traced_in_both_threads(house: ModuleType) -> None:
    root = Path(house.__file__).parents[1]
    found = house.update(root)
    assert found.keys() == {"update", "batch", "hooks"}
    names = {stretch: {Path(file).name for file in files} for stretch, files in found.items()}
    assert {"update.py", "updates.py", "packing.py"} <= names["update"]
    assert "choice.py" in names["batch"] and "choice.py" not in names["update"]
    assert "journal.py" in names["hooks"] and "journal.py" not in names["update"] | names["batch"]
    for files in found.values():
        for file, lines in files.items():
            assert 0 < len(lines) <= len((root / file).read_text(encoding="utf-8").splitlines())
