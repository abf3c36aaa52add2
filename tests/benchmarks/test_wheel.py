"""What is wrong with a wheel, on wheels written here."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

INFO = "bistill-1.0.dist-info"
METADATA = "Name: bistill\nRequires-Python: >=3.11\nRequires-Dist: torch>=2.6\n"
EXTRAS = "".join(f"Provides-Extra: {name}\n" for name in ("excel", "korean", "monitor", "dev"))
WHOLE = {
    "bistill/__init__.py": "",
    "bistill/py.typed": "",
    f"{INFO}/METADATA": METADATA + EXTRAS,
    f"{INFO}/licenses/LICENSE": "",
}
CHECKOUT = ["README.md", "bistill/__init__.py", "bistill/py.typed"]


@pytest.fixture
def script_of_wheels(script: Callable[[str], ModuleType]) -> ModuleType:
    return script("./wheel")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"bistill/py.typed": None}, ["bistill/py.typed is missing"]),
        ({"tests/a.py": ""}, ["tests/a.py is not of the package"]),
        ({"bistill/old.py": ""}, ["bistill/old.py is not of the package"]),
        ({f"{INFO}/METADATA": EXTRAS}, ["the metadata lacks name, Python or requirements"]),
        ({f"{INFO}/METADATA": METADATA}, ["the extras are [], not ['dev', 'excel', 'korean', 'monitor']"]),
        ({f"{INFO}/licenses/LICENSE": None}, ["the licence is missing"]),
    ],
)
def test_faults_of_a_wheel(
    script_of_wheels: ModuleType, tmp_path: Path, changes: dict[str, str | None], expected: list[str]
) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        for name, text in (WHOLE | changes).items():
            if text is not None:
                archive.writestr(name, text)
    assert script_of_wheels.faults(tmp_path / "a.whl", CHECKOUT) == expected
